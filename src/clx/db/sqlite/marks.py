"""Whether this process still has the locks that SQLite took for it.

POSIX drops every lock that a process holds on a file as soon as the process closes any descriptor of it, and nobody
is told (sqlite.org/howtocorrupt.html, 2.2). What Python says before it opens a file can be refused
(:mod:`clx.db.sqlite.guard`); what C code opens, or what was opened before the queue was, cannot. So this process
locks one byte more, far behind the end of each file and one that nobody else asks for: whatever drops SQLite's locks
drops this one too, and one cheap question (0.4 µs) before each COMMIT tells.

Without a write-ahead log SQLite keeps no locks between transactions. Then the byte is the one that SQLite itself has
locked while it writes.
"""

from __future__ import annotations

import os
import secrets
import threading

from clx.db.sqlite.guard import File, open_descriptors
from clx.platforms import system

_FAR = 1 << 61
_RESERVED = 0x40000001
"""The byte of the database file whose lock is for who writes without a write-ahead log (SQLite's ``os.h``)."""
SUPPORTED = system.KNOWS_OWN_LOCKS


class Mark:
    """One byte of one file that this process has locked, for as long as it has locks on that file at all."""

    def __init__(self, file: File, start: int) -> None:
        self._file = file
        self._byte = system.ByteLock(start)
        self._descriptor = _descriptor_of(file)

    @property
    def can_be_set(self) -> bool:
        """Whether there is a descriptor, SQLite's own, to set it by."""
        return self._descriptor >= 0

    def set(self) -> None:
        """Lock the byte.

        Raises:
            OSError: this file system has no such locks.
        """
        self._byte.take(self._descriptor)

    def remove(self) -> None:
        """Let go of it."""
        if _is(self._descriptor, self._file):
            self._byte.drop(self._descriptor)

    def is_held(self) -> bool:
        """Whether it is still locked; true where nobody can tell."""
        try:
            if self._byte.is_as_taken(self._descriptor):
                return True
        except (OSError, ValueError):
            pass
        # it may be one lock with those of the bytes beside it; or the number of the descriptor leads elsewhere by now,
        # because SQLite closes what it needs no more
        self._descriptor = _descriptor_of(self._file)
        return self._descriptor < 0 or self._is_locked()

    def _is_locked(self) -> bool:
        try:
            return self._byte.is_mine(self._descriptor)
        except OSError:
            return False


class _Standing:
    """The mark of one file, and how many connections go by it."""

    def __init__(self) -> None:
        self.mark: Mark | None = None
        self.users = 0


_standing: dict[File, _Standing] = {}
_lock = threading.RLock()  # a connection may be freed in the middle of it


def mark(file: File) -> Mark | None:
    """The mark of a file that a connection holds locks on until it is closed; None where the platform has none.

    Call it once the connection has its locks, and :func:`unmark` before it is closed.
    """
    with _lock:
        standing = _standing.setdefault(file, _Standing())
        standing.users += 1
        if standing.mark is None:
            standing.mark = _made(file, _FAR + secrets.randbelow(_FAR))
        return standing.mark


def unmark(file: File) -> None:
    """One connection less goes by the mark of *file*; with the last one SQLite drops the locks itself."""
    with _lock:
        standing = _standing[file]
        standing.users -= 1
        if standing.users == 0:
            del _standing[file]
            if standing.mark is not None:
                standing.mark.remove()


def of_writer(file: File) -> Mark | None:
    """The byte that SQLite itself has locked while a connection without a write-ahead log writes."""
    probe = _made(file, _FAR + secrets.randbelow(_FAR))
    if probe is None:
        return None
    probe.remove()
    return Mark(file, _RESERVED)


def forget() -> None:
    """In a forked child, which has none of its parent's locks."""
    global _lock
    _lock = threading.RLock()
    _standing.clear()


def _made(file: File, start: int) -> Mark | None:
    """A mark that has been set and was seen to be there."""
    if not SUPPORTED:
        return None
    made = Mark(file, start)
    try:
        if not made.can_be_set:
            return None
        made.set()
    except OSError:
        return None
    return made if made.is_held() else None


def _descriptor_of(file: File) -> int:
    """A descriptor of this process for *file* that may set locks; -1 where there is none, or nobody can tell."""
    for descriptor in open_descriptors():
        try:
            if _is(descriptor, file) and system.may_set_locks(descriptor):
                return descriptor
        except OSError:
            continue
    return -1


def _is(descriptor: int, file: File) -> bool:
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == file
