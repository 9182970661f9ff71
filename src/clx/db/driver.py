"""Which SQLite library this process uses, and what its errors mean. One library per process.

SQLite before 3.51.3 can lose a WAL reset under contention; the ``pysqlite3`` wheel carries a newer
library than most systems, so it is preferred where it is installed and newer.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from pathlib import Path
from typing import Any

from clx.errors import (
    DatabaseBusyError,
    DatabaseCorruptError,
    DatabaseError,
    DatabaseFullError,
    QueueError,
    UsageError,
)

WAL_RESET_FIXED = (3, 51, 3)
"""First SQLite release without the WAL-reset race."""


def _choose() -> Any:
    try:
        from pysqlite3 import dbapi2
    except ImportError:
        return sqlite3
    return dbapi2 if dbapi2.sqlite_version_info > sqlite3.sqlite_version_info else sqlite3


driver: Any = _choose()
"""The DBAPI module of this process: ``pysqlite3.dbapi2`` or ``sqlite3``."""

BUSY = frozenset({"SQLITE_BUSY", "SQLITE_BUSY_SNAPSHOT", "SQLITE_BUSY_RECOVERY", "SQLITE_LOCKED"})
LONGEST_PATH = 504
"""Bytes of the longest path that SQLite opens: 512 with the ``-journal`` that it puts behind it (its ``os_unix.c``)."""
CORRUPT = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB"})


UNBOUND = (OverflowError, UnicodeEncodeError, driver.InterfaceError, driver.ProgrammingError)
"""What the driver raises for a value that it cannot hand to SQLite."""


def not_taken(error: BaseException) -> QueueError:
    """Our error for a value that SQLite cannot store."""
    return QueueError(
        f"The table does not take such a value: {error}.", "Give whole numbers below 2^63 and plain text."
    )


def error_name(error: BaseException) -> str:
    """SQLite's own name of *error*, e.g. ``SQLITE_BUSY``; empty when it did not come from SQLite."""
    return getattr(error, "sqlite_errorname", "") or ""


def describe(path: Path) -> str:
    """What is known of the file: path, owner, mode, size and the free space beside it (REQ-7.3)."""
    parts = [str(path)]
    try:
        found = path.stat()
    except OSError as error:
        parts.append(error.strerror or "cannot be read")
    else:
        parts.append(f"owner {found.st_uid}:{found.st_gid}, mode {stat.filemode(found.st_mode)}, {found.st_size} bytes")
    folder = path.parent
    if os.path.isdir(folder):  # noqa: PTH112  (Path.is_dir raises where it may not look)
        parts.append(f"{shutil.disk_usage(folder).free // 2**20} MiB free")
        if not os.access(folder, os.W_OK):
            parts.append("its directory is not writable")
    return "; ".join(parts)


def require_reachable(path: Path) -> None:
    """See that a database of that name can be looked for, and be written about.

    Raises:
        UsageError: the name is no text: neither the table nor a state file could say it.
        DatabaseError: a directory on the way may not be entered, or no file can be of that name.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"{path}: the path of the database is not UTF-8, or this locale cannot tell.",
            "Name another with --db-path, or set a UTF-8 locale: LC_ALL=C.UTF-8",
        ) from None
    try:
        path.stat()
    except PermissionError as error:
        raise _closed_to_us(path, reading=True) from error
    except (FileNotFoundError, NotADirectoryError):
        pass  # not there yet, or what making it will tell
    except OSError as error:  # too long, a ring of links
        raise DatabaseError(
            f"The database cannot be read: {describe(path)}.", "Name another file with --db-path."
        ) from error


def translate(error: Any, path: Path, *, reading: bool = False) -> DatabaseError:
    """Our error for a driver's, told apart by SQLite's error name and never by message text.

    Args:
        reading: whether it was only going to be read.
    """
    name = error_name(error)
    if name in BUSY:
        from clx.db.filesystem import locked_by

        return DatabaseBusyError(
            f"The database stayed locked: {describe(path)}; {locked_by(path)}.",
            "Wait for that process or end it (`clx workers list` names workers), or raise database.busy_timeout.",
        )
    if name == "SQLITE_FULL":
        return DatabaseFullError(f"No space left for the database: {describe(path)}.", "Free some space and run again.")
    if name in CORRUPT:
        return DatabaseCorruptError(
            f"Not a usable CLX database ({name}): {describe(path)}.",
            "Nothing was touched. If it is not CLX's, name another with --db-path. If it is, move it away (it only "
            "holds what a build can make again) or restore a backup.",
        )
    if name in {"SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM"} or name.startswith("SQLITE_READONLY"):
        return _closed_to_us(path, reading=reading)
    return DatabaseError(f"The database failed ({name or type(error).__name__}: {error}): {describe(path)}.")


def _closed_to_us(path: Path, *, reading: bool) -> DatabaseError:
    length = len(os.fsencode(os.path.realpath(path)))
    if length > LONGEST_PATH:
        return DatabaseError(
            f"The path of the database is too long: {length} bytes; SQLite takes {LONGEST_PATH}. It is {path}.",
            "Name a database with a shorter path: --db-path, or database.path.",
        )
    if not reading:
        return DatabaseError(
            f"The database cannot be opened for writing: {describe(path)}.",
            "Make the directory writable, or name another file with --db-path.",
        )
    return DatabaseError(
        f"The database cannot be read: {describe(path)}.",
        "See that it is a file you may read; with a write-ahead log its directory must be writable too, even to read.",
    )
