"""A database that lives in this process's memory: for tests, and for queues that need not outlive their program."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from clx.db.database import Params, Row
from clx.db.local_bells import LocalDoorbell
from clx.db.sqlite.database import SqliteDatabase
from clx.db.sqlite.driver import driver
from clx.db.sqlite.thread_connection import Held
from clx.db.transaction import Transaction

T = TypeVar("T")

_made: bytes | None = None
"""The empty tables, once this process has made some: to copy them takes a fifth of the time."""


class MemoryDatabase(SqliteDatabase):
    """The same tables on one connection that the threads of this process share in turn.

    Differs by necessity from a file: a private in-memory database belongs to one connection, so there is one
    lock instead of one connection per thread, and no other process can look.
    """

    def __init__(self, path: Path, **options: Any) -> None:
        super().__init__(path, **options)
        self._turn = threading.RLock()
        self._only: Held | None = None
        self.doorbell = LocalDoorbell()

    @classmethod
    def open(cls, path: Path | str, **options: Any) -> Self:
        """A fresh, empty database; *path* is only its name in messages."""
        database = cls(Path(path), **options)
        database._ensure_schema()
        return database

    def _ensure_schema(self) -> None:
        global _made
        if _made is None:
            super()._ensure_schema()
            _made = self._hold().connection.serialize()
            return
        # what is deserialized may not outgrow a gigabyte, its copy may
        with closing(driver.connect(":memory:")) as original:
            original.deserialize(_made)
            original.backup(self._hold().connection)

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
