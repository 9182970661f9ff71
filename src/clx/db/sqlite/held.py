"""A connection that one thread holds; closed by other threads only between statements, and by a forked child never."""

from __future__ import annotations

import os
import threading
from typing import Any

from clx.db.sqlite import guard
from clx.db.sqlite.guard import File
from clx.db.sqlite.intact import Place

_OPEN: dict[Any, File | None] = {}
"""Every open connection and the number of its file. Kept here, so that a forked child frees, and by that closes, none
of its parent's: closing one would undo what the parent is at, and wait for ever for a lock one of its threads held."""
_inherited: set[File] = set()
"""Files that the process this one was forked from had open: here SQLite believes to hold their locks already."""


def _keep_in_child() -> None:
    guard.forget()
    if _OPEN:
        import ctypes

        _inherited.update(file for file in _OPEN.values() if file is not None)
        for connection in _OPEN:  # not even at exit: never freed
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_in_child)


def is_inherited(file: File | None) -> bool:
    """Whether the process this one was forked from had that file open when it forked."""
    return file in _inherited


class Held:
    """A thread's connection, closed when the thread ends or the database is closed.

    Attributes:
        connection: the driver's.
        lock: held during every statement, so that nobody closes it meanwhile.
        closed: whether it is of no more use.
        file: which file it is on; None for one in memory.
        place: where its files are; None for one in memory.
        changes: rows it had changed when the size of the log was last looked at.
    """

    def __init__(self, connection: Any, file: File | None) -> None:
        self.connection = connection
        self.lock = threading.RLock()
        self.closed = False
        self.file = file
        self.place: Place | None = None
        self.changes = 0
        self._pid = os.getpid()
        _OPEN[connection] = file
        self._watched = [] if file is None else [file]
        for each in self._watched:
            guard.watch(each)

    def watch(self, file: File | None) -> None:
        """Its locks are held on that file too: the shared memory of a write-ahead log."""
        if file is not None:
            self._watched.append(file)
            guard.watch(file)

    def close(self) -> None:
        """Close it, when nobody is in the middle of a statement; a parent's is left alone."""
        if os.getpid() != self._pid:
            return
        with self.lock:
            was_open, self.closed = not self.closed, True
            self.connection.close()
        _OPEN.pop(self.connection, None)
        for each in self._watched if was_open else ():
            guard.unwatch(each)

    def __del__(self) -> None:
        self.close()
