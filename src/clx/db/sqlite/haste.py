"""Writing in a thread that must not wait: that of an event loop, which others wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import Any

from clx.db.database import Database
from clx.db.sqlite.checkpoint import Checkpointer
from clx.db.sqlite.thread_connection import Held
from clx.errors import DatabaseBusyError


class _AtOnce(AbstractContextManager[None]):
    """Within it a thread is in haste; a generator would take longer than what it is there for."""

    __slots__ = ("_hasten", "_local")

    def __init__(self, local: threading.local, hasten: Callable[[], None]) -> None:
        self._local = local
        self._hasten = hasten

    def __enter__(self) -> None:
        self._local.is_in_haste = True
        try:
            self._hasten()
        except BaseException:
            self._local.is_in_haste = False
            raise

    def __exit__(self, *_exc: object) -> None:
        self._local.is_in_haste = False  # its connection is left as it is: it will mostly be in haste again


class Hasty(Database):
    """A database on whose file a thread may write only where that takes moments."""

    _local: threading.local
    _checkpointer: Checkpointer
    _hold: Callable[[], Held]
    _open: Callable[[Held], Any]

    def at_once(self) -> AbstractContextManager[None]:
        """Within it this thread waits for nobody: what would have to raises DatabaseBusyError."""
        return _AtOnce(self._local, self._hasten)

    def _hasten(self) -> None:
        """Have this thread's connection wait for nobody."""
        held = self._hold()
        if held.patience is None:
            (held.patience,) = held.connection.execute("PRAGMA busy_timeout").fetchone()
            held.connection.execute("PRAGMA busy_timeout = 0")

    def _take_time(self, held: Held) -> None:
        """Have a connection wait for others again."""
        held.connection.execute(f"PRAGMA busy_timeout = {held.patience}")
        held.patience = None

    @property
    def is_in_haste(self) -> bool:
        """Whether this thread is within :meth:`at_once`."""
        return getattr(self._local, "is_in_haste", False)

    def require_leisure(self, steps: Collection[int]) -> None:
        """See that there is time for what follows where works of these steps of pipelines have ended.

        Raises:
            DatabaseBusyError: there is none.
        """
        if steps and self.is_in_haste:
            raise DatabaseBusyError("A step of a pipeline may have ended.", "Call again, and wait.")

    def see_to_log(self) -> None:
        """Copy the log back where it is long."""
        held = self._hold()
        with held.lock:
            self._checkpointer.look(self._open(held))
