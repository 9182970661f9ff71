"""A connection that one thread holds; closed by other threads only between statements, and by a forked child never."""

from __future__ import annotations

import os
import threading
from typing import Any

from clx.db.sqlite import guard, marks
from clx.db.sqlite.guard import File
from clx.db.sqlite.intact import Place
from clx.platforms import system

_OPEN: dict[Any, File | None] = {}
"""Every open connection and the number of its file. Kept here, so that a forked child frees, and by that closes, none
of its parent's: closing one would undo what the parent is at, and wait for ever for a lock one of its threads held."""
_inherited: set[File] = set()
"""Files that the process this one was forked from had open: here SQLite believes to hold their locks already."""


def _keep_in_child() -> None:
    guard.forget()
    marks.forget()
    if _OPEN:
        import ctypes

        _inherited.update(file for file in _OPEN.values() if file is not None)
        for connection in _OPEN:  # not even at exit: never freed
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


system.in_forked_children(_keep_in_child)


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
        patience: milliseconds that it waits for others once its thread is not in haste any more; None: it waits.
    """

    def __init__(self, connection: Any, file: File | None) -> None:
        self.connection = connection
        self.lock = threading.RLock()
        self.closed = False
        self.file = file
        self.place: Place | None = None
        self.changes = 0
        self.patience: int | None = None
        self._marks: list[marks.Mark | None] = []
        self._marked: list[File] = []
        self._pid = os.getpid()
        _OPEN[connection] = file
        self._watched = [] if file is None else [file]
        for each in self._watched:
            guard.watch(each)

    def watch(self, shared_memory: File | None) -> None:
        """Its locks are held on the *shared_memory* of a write-ahead log too."""
        if shared_memory is not None:
            self._watched.append(shared_memory)
            guard.watch(shared_memory)

    def mark(self, *, logs: bool) -> None:
        """From here on it is known whether its locks hold; where it *logs*, it has some until it is closed."""
        if logs:
            self._marked = list(self._watched)
            self._marks = [marks.mark(file) for file in self._marked]
        elif self.file is not None:
            self._marks = [marks.of_writer(self.file)]

    def has_its_locks(self) -> bool:
        """Whether what SQLite locked for the transaction that it is in is still locked; true where nobody can tell."""
        for mark in self._marks:
            if mark is not None and not mark.is_held():
                return self._has_a_log_now()
        return True

    def _has_a_log_now(self) -> bool:
        """Whether somebody gave the file a write-ahead log since it was opened: then its locks are other ones."""
        return not self._marked and self.connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"

    def close(self) -> None:
        """Close it, when nobody is in the middle of a statement; a parent's is left alone."""
        if os.getpid() != self._pid:
            return
        with self.lock:
            was_open, self.closed = not self.closed, True
            while self._marked:  # first: the last connection drops all locks itself
                marks.unmark(self._marked.pop())
            self.connection.close()
        _OPEN.pop(self.connection, None)
        for each in self._watched if was_open else ():
            guard.unwatch(each)

    def __del__(self) -> None:
        self.close()
