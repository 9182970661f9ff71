"""A connection that one thread holds; closed by other threads only between statements, and by a forked child never."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from clx.db.postgresql.connect import Connection
from clx.errors import DatabaseError
from clx.platforms import system

_OPEN: set[Any] = set()
_inherited: list[Any] = []
"""Connections of the process that this one was forked from: never freed, so that none is closed for its parent."""


def _keep_in_child() -> None:
    _inherited.extend(_OPEN)
    _OPEN.clear()


system.in_forked_children(_keep_in_child)


class Held:
    """A thread's connection, closed when the thread ends or the database is closed.

    Attributes:
        raw: the driver's.
        connection: for statements of the tables.
        backend: the process of the server that serves it.
    """

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.connection = Connection(raw)
        self.backend = int(raw.info.backend_pid)
        self._lock = threading.RLock()
        self._user = 0
        self._pid = os.getpid()
        _OPEN.add(raw)

    @property
    def closed(self) -> bool:
        """Whether it is of no more use."""
        return bool(self.raw.closed or self.raw.broken)

    @contextmanager
    def used(self, where: object) -> Iterator[Connection]:
        """Within it nobody closes the connection.

        Raises:
            DatabaseError: this thread uses it already: a signal handler or a finalizer came in the middle.
        """
        if self._user == threading.get_ident():
            raise DatabaseError(
                f"This thread is in the middle of a transaction of {where}.",
                "Let a signal handler or finalizer leave word, and use the queue afterwards.",
            )
        with self._lock:
            self._user = threading.get_ident()
            try:
                yield self.connection
            finally:
                self._user = 0

    def undo(self) -> None:
        """End a transaction that has not been committed; a connection that is in the middle of something is closed."""
        from clx.db.postgresql.driver import driver

        status = self.raw.info.transaction_status
        known = driver.pq.TransactionStatus
        if status in (known.INTRANS, known.INERROR):
            try:
                self.raw.execute("ROLLBACK")
            except driver.Error:
                self.close()
        elif status != known.IDLE:
            self.close()

    def close(self) -> None:
        """Close it, when nobody is in the middle of a statement; a parent's is left alone."""
        if os.getpid() != self._pid:
            return
        if self._user == threading.get_ident():
            self.raw.close()
        else:
            with self._lock:
                self.raw.close()
        _OPEN.discard(self.raw)

    def __del__(self) -> None:
        self.close()
