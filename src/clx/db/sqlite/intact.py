"""Whether the files that a connection writes to are still those of their names; what goes to others is lost.

Asked after every transaction that somebody relies on, so it costs next to nothing: as long as nothing was made,
removed or renamed in their directory, which one look at an open descriptor of it tells, all is as it was.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from clx.db.sqlite.guard import File, close_folder, file_number, keep_folder
from clx.platforms import system

_SURE_FOR = 0.1
"""Seconds after which the files are looked at all the same: a directory above may have been moved."""
_TICK = 50_000_000
"""Nanoseconds in which two changes may bear the same time (a tick of the kernel's clock, and some)."""


class Folder:
    """The directory of a database, held open; -1 where the platform opens none."""

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = system.open_folder(path)
        except OSError:
            self._descriptor = -1
            return
        keep_folder(self._descriptor)

    def changed_at(self) -> int:
        """When something was last made, removed or renamed in it, in nanoseconds; 0 where nobody can tell."""
        if self._descriptor < 0:
            return 0
        try:
            found = os.fstat(self._descriptor)
        except OSError:  # another thread has just closed the database
            return 0
        return max(found.st_mtime_ns, found.st_ctime_ns)

    def close(self) -> None:
        """Let it go."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            close_folder(descriptor)


class Place:
    """The files of one connection.

    Args:
        path: the database.
        file: which file that was when it was opened.
        logs: whether it has a write-ahead log: one that is not there then was removed.
    """

    def __init__(self, path: Path, file: File | None, *, logs: bool) -> None:
        self._path = str(path)
        self._names = (f"{path}-wal", f"{path}-shm")
        self._file = file
        self._logs = logs
        self._log_files: tuple[File | None, ...] | None = None
        self._unchanged_since = 0
        self._looked_at = 0.0

    def is_kept(self, folder: Folder) -> bool:
        """Whether the database, and its write-ahead log once there was one, are still in place."""
        changed, now = folder.changed_at(), time.monotonic()
        if changed == self._unchanged_since and changed and now - self._looked_at < _SURE_FOR:
            return True
        logs = tuple(file_number(name) for name in self._names)
        # while a connection is open nobody who goes by the rules removes its log or makes another
        if file_number(self._path) != self._file:
            return False
        if self._logs and (None in logs or logs != (self._log_files or logs)):
            return False
        self._log_files = logs
        self._looked_at = now
        self._unchanged_since = changed if time.time_ns() - changed > _TICK else 0
        return True
