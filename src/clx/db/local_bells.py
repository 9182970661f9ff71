"""Bells within one process: sockets that nobody else sees."""

from __future__ import annotations

import socket
from pathlib import Path

from clx.db.doorbell import Bell, Doorbell, is_of_ends, with_blocks


class LocalBell(Bell):
    """A bell that is one end of a socket pair."""

    def __init__(self, name: str, bells: LocalDoorbell) -> None:
        listener, self.ringer = socket.socketpair(type=socket.SOCK_DGRAM)
        listener.setblocking(False)
        self.ringer.setblocking(False)
        super().__init__(listener)
        self.name = name
        self._bells = bells

    def ring(self) -> None:
        """Wake whoever waits for it."""
        try:
            self.ringer.send(b"!")
        except OSError:
            return  # full: it is ringing already

    def close(self) -> None:
        """Take it down."""
        self._bells.hung.discard(self)
        self.ringer.close()
        super().close()


class LocalDoorbell(Doorbell):
    """Bells of which only this process rings."""

    def __init__(self) -> None:
        super().__init__(Path())
        self.hung: set[LocalBell] = set()

    def listen(self, name: str) -> Bell:
        """A bell that rings for *name*."""
        try:
            bell = LocalBell(name, self)
        except OSError:  # no descriptors left: who waits looks by itself
            return Bell(None)
        self.hung.add(bell)
        return bell

    def ring(self, *names: object) -> None:
        """Wake everybody who listens for one of *names*."""
        if self.hung:
            words = {name for name in names if isinstance(name, str)}
            rung = with_blocks(words) if any(is_of_ends(bell.name) for bell in list(self.hung)) else words
            for bell in [bell for bell in list(self.hung) if bell.name in rung]:
                bell.ring()

    def sweep(self) -> None:
        """Nothing of it outlives its process."""

    def closed_to_us(self) -> str:
        """Nobody is shut out."""
        return ""
