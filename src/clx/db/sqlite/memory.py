"""A database that lives in this process's memory: for tests, and for queues that need not outlive their program."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from clx.db.database import Params, Row
from clx.db.doorbell import Bell, Doorbell, with_blocks
from clx.db.sqlite.database import SqliteDatabase
from clx.db.sqlite.driver import driver
from clx.db.sqlite.thread_connection import Held
from clx.db.transaction import Transaction

T = TypeVar("T")


class MemoryDatabase(SqliteDatabase):
    """The same tables on one connection that the threads of this process share in turn.

    Differs by necessity from a file: a private in-memory database belongs to one connection, so there is one
    lock instead of one connection per thread, and no other process can look.
    """

    def __init__(self, path: Path, **options: Any) -> None:
        super().__init__(path, **options)
        self._turn = threading.RLock()
        self._only: Held | None = None
        self.doorbell = _MemoryDoorbell()

    @classmethod
    def open(cls, path: Path | str, **options: Any) -> Self:
        """A fresh, empty database; *path* is only its name in messages."""
        database = cls(Path(path), **options)
        database._ensure_schema()
        return database

    def _hold(self) -> Held:
        if self._only is None:
            self._only = super()._hold()
        self._local.held = self._only
        return super()._hold()

    def _new_connection(self) -> Held:
        connection = driver.connect(":memory:", isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA foreign_keys = ON")
        return Held(connection, None)

    def close(self) -> None:
        """Forget everything."""
        with self._turn:
            super().close()

    def read(self, sql: str, params: Params = ()) -> list[Row]:
        """All rows of one query."""
        with self._turn:
            return super().read(sql, params)

    def write(self, name: str, body: Callable[[Transaction], T]) -> T:
        """One transaction, as :meth:`SqliteDatabase.write`."""
        with self._turn:
            return super().write(name, body)

    @contextmanager
    def snapshot(self) -> Iterator[Any]:
        """Several reads that see one state."""
        with self._turn, super().snapshot() as connection:
            yield connection


class _MemoryBell(Bell):
    """A bell that is one end of a socket pair."""

    def __init__(self, name: str, bells: _MemoryDoorbell) -> None:
        listener, self.ringer = socket.socketpair(type=socket.SOCK_DGRAM)
        listener.setblocking(False)
        self.ringer.setblocking(False)
        super().__init__(listener)
        self.name = name
        self._bells = bells

    def close(self) -> None:
        """Take it down."""
        self._bells.hung.discard(self)
        self.ringer.close()
        super().close()


class _MemoryDoorbell(Doorbell):
    """Bells within one process."""

    def __init__(self) -> None:
        super().__init__(Path())
        self.hung: set[_MemoryBell] = set()

    def listen(self, name: str) -> Bell:
        """A bell that rings for *name*."""
        bell = _MemoryBell(name, self)
        self.hung.add(bell)
        return bell

    def ring(self, *names: object) -> None:
        """Wake everybody who listens for one of *names*."""
        rung = with_blocks(name for name in names if isinstance(name, str))
        for bell in [bell for bell in list(self.hung) if bell.name in rung]:
            try:
                bell.ringer.send(b"!")
            except OSError:
                continue  # full: it is ringing already
