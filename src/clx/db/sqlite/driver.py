"""The SQLite library of this process, and what its errors mean.

It is the standard library's, for everybody: a second one in the same process (a wheel with a newer SQLite, say) does
not know what the first has locked, and closing its look at the file drops those locks (sqlite.org/howtocorrupt.html,
2.2.1). Pandas, SQLAlchemy, Django and Datasette come by the standard one.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
from pathlib import Path
from typing import Any

from clx.commands import on_database
from clx.db.sqlite.filesystem import locked_by
from clx.errors import (
    DatabaseBusyError,
    DatabaseCorruptError,
    DatabaseError,
    DatabaseFullError,
    DatabaseWriteError,
    NotStorableError,
    OddRowError,
    UsageError,
)
from clx.platforms import system
from clx.regular import cure

driver: Any = sqlite3
"""The DBAPI module of this process."""


def can_lose_a_reset(version: tuple[int, int, int]) -> bool:
    """Whether that SQLite has the WAL-reset race: a checkpoint beside a writer that begins the log anew may lose pages.

    Source: sqlite.org/wal.html, "the WAL-reset bug": 3.7.0 to 3.51.2 but for two releases it was mended in.
    """
    return version < (3, 51, 3) and not (3, 50, 7) <= version < (3, 51, 0) and not (3, 44, 6) <= version < (3, 45, 0)


GUARDS_RESETS = can_lose_a_reset(sqlite3.sqlite_version_info)
"""Whether checkpoints must keep writers out (:mod:`clx.db.sqlite.checkpoint`)."""

BUSY = frozenset({"SQLITE_BUSY", "SQLITE_BUSY_SNAPSHOT", "SQLITE_BUSY_RECOVERY", "SQLITE_LOCKED"})
LONGEST_PATH = 504
"""Bytes of the longest path that SQLite opens: 512 with the ``-journal`` that it puts behind it (its ``os_unix.c``)."""
CORRUPT = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB"})


_OPENED_AT_ONCE = 4
"""Files that a connection may open together: the database, its log, their shared memory, the directory."""
_ROOM = 1 << 16
"""Bytes that the index of a log needs at least to grow, and some."""
_FREE = (
    "Free some space and run again. Where there is enough, a quota is used up, or the ids are "
    "(SELECT max(id) FROM jobs: 9223372036854775807 is the last)."
)
UNBOUND = (OverflowError, UnicodeEncodeError, driver.InterfaceError, driver.ProgrammingError)
"""What the driver raises for a value that it cannot hand to SQLite."""


def not_taken(error: BaseException) -> NotStorableError:
    """Our error for a value that SQLite cannot store."""
    told = "a number is too large" if isinstance(error, OverflowError) else error
    return NotStorableError(
        f"The table does not take such a value: {told}.", "Give whole numbers below 2^63 and plain text."
    )


def error_name(error: BaseException) -> str:
    """SQLite's own name of *error*, e.g. ``SQLITE_BUSY``; empty when it did not come from SQLite."""
    return getattr(error, "sqlite_errorname", "") or ""


def read_any_text(error: BaseException, connection: Any) -> bool:
    """Where *error* says that a text is no UTF-8, have *connection* read such texts too; false for other errors.

    Only other programs write such rows. Python's own reader of UTF-8 is much faster, so it is given up only then.
    """
    # raised by the module itself, not by SQLite: it has no name
    if connection.text_factory is not str or not str(error).startswith("Could not decode to UTF-8"):
        return False
    connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
    return True


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


def _is_full(folder: Path) -> bool:
    """Whether there is no room left beside a database; false where that cannot be told."""
    try:
        return shutil.disk_usage(folder).free < _ROOM
    except OSError:
        return False


def translate(error: Any, path: Path, *, reading: bool = False) -> DatabaseError:
    """Our error for a driver's, told apart by SQLite's error name and never by message text.

    Args:
        reading: whether it was only going to be read.
    """
    name = error_name(error)
    if name in BUSY:
        return DatabaseBusyError(
            f"The database stayed locked: {describe(path)}; {locked_by(path)}.",
            "Wait for that process or end it (`clx workers list` names workers), or raise database.busy_timeout.",
        )
    # the index of the log cannot grow: for that SQLite has a name, but none for why
    if name == "SQLITE_FULL" or (name == "SQLITE_IOERR_SHMSIZE" and _is_full(path.parent)):
        return DatabaseFullError(f"No space left for the database: {describe(path)}.", _FREE)
    if name == "SQLITE_IOERR_WRITE":  # SQLite knows ENOSPC alone by name
        return DatabaseWriteError(
            f"The database cannot be written to ({name}: a quota, a limit on the size of files, or the disk): "
            f"{describe(path)}.",
            "See `quota`, `ulimit -f` and `dmesg`, make room, and run again.",
        )
    if name in CORRUPT:
        return DatabaseCorruptError(
            f"Not a usable CLX database ({name}): {describe(path)}.",
            "Nothing was touched. If it is not CLX's, name another with --db-path. If it is, move it away (it only "
            "holds what a build can make again) or restore a backup.",
        )
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_IOERR")) and (used_up := _used_up(path.parent)) is not None:
        # waited for like a full disk: others of this program may close theirs
        return DatabaseFullError(f"The database cannot be opened: {used_up.strerror}: {path}.", cure(used_up, ""))
    if name == "SQLITE_PERM" or name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
        return _closed_to_us(path, reading=reading)
    if name.startswith("SQLITE_CONSTRAINT"):
        return OddRowError(
            f"A row of the database is not as CLX writes it, and cannot be changed ({error}): {path}.",
            f"See which: {on_database('clx db check', path)}",
        )
    return DatabaseError(f"The database failed ({name or type(error).__name__}: {error}): {describe(path)}.")


def _used_up(folder: Path) -> OSError | None:
    """The error of opening as many files as a connection may; None where they can be opened.

    A directory is opened, never the database: closing a handle of that would drop SQLite's locks.
    """
    opened: list[int] = []
    try:
        for _ in range(_OPENED_AT_ONCE):
            opened.append(system.open_folder(folder))
    except OSError as error:
        return error if error.errno in {errno.EMFILE, errno.ENFILE} else None
    finally:
        for each in opened:
            os.close(each)
    return None


def _closed_to_us(path: Path, *, reading: bool) -> DatabaseError:
    length = len(os.fsencode(os.path.realpath(path)))
    if length > LONGEST_PATH:
        return DatabaseError(
            f"The path of the database is too long: {length} bytes; SQLite takes {LONGEST_PATH}. It is {path}.",
            "Name a database with a shorter path: --db-path, or database.path.",
        )
    if not reading:
        needed = (path.parent, *(path.with_name(f"{path.name}{end}") for end in ("", "-wal", "-shm")))
        closed = [str(each) for each in needed if os.access(each, os.F_OK) and not os.access(each, os.W_OK)]
        return DatabaseError(
            f"The database cannot be opened for writing: {describe(path)}.",
            f"Make {' and '.join(closed) or 'the directory'} writable, or name another file with --db-path.",
        )
    return DatabaseError(
        f"The database cannot be read: {describe(path)}.",
        "See that it is a file you may read; with a write-ahead log its directory must be writable too, even to read.",
    )
