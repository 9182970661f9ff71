"""Bodies of calls: each is bounded, and large ones have their room in memory together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request

from clx.server.answers import Refusal

AT_ONCE = 64 * 1024
"""Bytes of a body that the thread of the event loop reads by itself; larger ones would hold up others."""
LARGEST_QUESTION = 4 * 1024 * 1024
"""Bytes of the body of a call that only looks; read, names and numbers take twenty times as much."""
MOST_HELD = 128 * 1024 * 1024
"""Bytes of large bodies that may be here at a time."""


class BodyMemory:
    """Room in memory for large bodies, of all that are here together; small ones have it always.

    Attributes:
        held: how many bytes of large ones are here.
    """

    def __init__(self) -> None:
        self.held = 0

    @contextmanager
    def room(self) -> Iterator[BodyRoom]:
        """Room for one body, until it was used."""
        made = BodyRoom(self)
        try:
            yield made
        finally:
            self.held -= made.counted


class BodyRoom:
    """Room for one body."""

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self._size = 0

    @property
    def counted(self) -> int:
        """Bytes of it that count."""
        return self._size if self._size > AT_ONCE else 0

    def take(self, size: int) -> None:
        """Make room for *size* more bytes.

        Raises:
            Refusal: too much is here already.
        """
        self._memory.held -= self.counted
        self._size += size
        self._memory.held += self.counted
        if self.counted and self._memory.held > MOST_HELD:
            raise Refusal(503, "Too many send large bodies.", "Try again in 5 s.", retry_after="5")

    async def read(self, request: Request, largest: int | None) -> bytes:
        """A whole body of at most *largest* bytes; None: it is bounded already.

        Raises:
            Refusal: 413, it is larger; 503, too much is here already.
        """
        parts = []
        async for part in request.stream():
            self.take(len(part))
            if largest is not None and self._size > largest:
                raise Refusal(413, f"The body is larger than {largest} bytes.", "Ask for less at a time.")
            parts.append(part)
        return b"".join(parts)
