"""Where a database lies: as it was named or, once containers use it, in a directory of its own.

A container mounts one directory, and a job in it can write whatever lies there. So what this machine executes, ends
processes by or believes (settings, the state of services, locks, logs, notes) lies in the state directory, and the
database with what its jobs need (artifacts, their directories, bells) in ``shared`` below it. Only that is mounted.
A link leads from the name that the database was given to its place.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Any

from clx.commands import on_database
from clx.errors import DatabaseBusyError, DatabaseCorruptError, DatabaseError

SHARED = "shared"
"""The directory, in the state directory, that containers mount."""
_MOVED = ("artifacts",)
"""What goes with a database that moves there; all else of its jobs is of the moment."""


def state_directory(database: Path) -> Path:
    """The directory that holds everything beside the database: settings, logs, job directories.

    It is ``.clx`` in the database's directory, or that directory itself when it is called ``.clx``. For a database
    that containers use it is the directory above :data:`SHARED`.
    """
    folder = database.parent
    if folder.name == SHARED and folder.parent.name == ".clx":
        return folder.parent
    return folder if folder.name == ".clx" else folder / ".clx"


def is_apart(database: Path) -> bool:
    """Whether the database lies where containers may mount its directory."""
    return database.parent == state_directory(database) / SHARED


def shared_directory(database: Path) -> Path:
    """The directory with what the jobs of a database share: artifacts and bells; the state directory, or in it."""
    return database.parent if is_apart(database) else state_directory(database)


def apart(database: Path) -> Path:
    """Where the database that is called *database* lies once containers use it."""
    return database if is_apart(database) else state_directory(database) / SHARED / database.name


def identity(database: Path | str) -> str:
    """One name for a database, by whatever path it is named and whether or not it has been moved, or removed."""
    return str(apart(Path(os.path.realpath(database))))


def name_of(place: Path) -> Path:
    """The name by which a database that lies apart is known: that of the link which leads to it, else its own."""
    if not is_apart(place):
        return place
    state = state_directory(place)
    names = (state / place.name, state.parent / place.name)
    return next((name for name in names if _leads_to(name, place)), place)


def located(database: Path) -> Path:
    """Where the database that is called *database* lies now, or would be made.

    Raises:
        DatabaseError: there are two of them.
    """
    place = apart(database)
    if place == database or not os.path.lexists(place):
        return place if _leads_to(database, place) else database
    try:
        own = None if _leads_to(database, place) else os.lstat(database)
    except OSError:
        own = None
    if own is not None and own.st_size:
        raise DatabaseError(
            f"There are two databases of one name: {database}, and {place}, which containers use.",
            f"Move away the one that is not wanted; to go back to a backup, put it in the place of {place}.",
        )
    return place


def _leads_to(link: Path, place: Path) -> bool:
    try:
        return link != place and os.path.join(link.parent, os.readlink(link)) == str(place)  # noqa: PTH115, PTH118
    except (OSError, ValueError):
        return False


def leads_apart(link: Path) -> bool:
    """Whether a link in a state directory is the one that :func:`link` makes."""
    return _leads_to(link, link.parent / SHARED / link.name)


def require_regular(database: Path) -> None:
    """See that what lies where containers may write is a file, and no link by which a job names another.

    Raises:
        DatabaseCorruptError: it is something else.
    """
    if not is_apart(database):
        return
    for path in (database, *(database.with_name(database.name + end) for end in ("-wal", "-shm", "-journal"))):
        try:
            mode = os.lstat(path).st_mode
        except OSError:
            continue
        if not stat.S_ISREG(mode):
            raise DatabaseCorruptError(
                f"{path} is not a regular file: no CLX has made it.", "Remove it: a job in a container may have."
            )


def link(database: Path) -> None:
    """Let the name *database* lead to where the database lies apart, where nothing has that name."""
    place = apart(database)
    if place != database and place.exists() and not os.path.lexists(database):
        with contextlib.suppress(OSError):  # a courtesy to other programs: CLX finds it without
            database.symlink_to(place.relative_to(database.parent))


def move_apart(database: Path) -> Path:
    """Move the database that is called *database* to where containers may mount it; returns that place.

    Nothing is made where there is no database yet.

    Raises:
        DatabaseBusyError: somebody uses it.
        DatabaseError: it cannot be moved.
    """
    place = located(database)
    if is_apart(place):
        return place
    if not database.exists():
        return apart(database)
    from clx.db.sqlite.driver import BUSY, driver, error_name, translate

    target = apart(database)
    connection = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        connection = driver.connect(f"{database.as_uri()}?mode=rw", uri=True, timeout=1.0, isolation_level=None)
        _move(connection, database, target)
    except OSError as error:
        raise DatabaseError(
            f"The database cannot be moved to {target}: {error.filename}: {error.strerror}.",
            "Containers need it there. Make its directory writable, or name another with --db-path.",
        ) from error
    except driver.Error as error:
        raise _in_use(database, target) if error_name(error) in BUSY else translate(error, database) from error
    finally:
        if connection is not None:
            connection.close()
    return target


def _move(connection: Any, database: Path, target: Path) -> None:
    """Rename the file while nobody else has it open, which leaving the write-ahead log makes sure of."""
    from clx.db.sqlite.filesystem import users

    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    connection.execute("PRAGMA journal_mode = delete")
    connection.execute("BEGIN EXCLUSIVE")
    if users(database):  # that have read nothing yet, or do without a log
        raise _in_use(database, target)
    for name in _MOVED:
        ours, theirs = state_directory(database) / name, target.parent / name
        if ours.is_dir() and not theirs.exists():
            ours.rename(theirs)
    database.rename(target)
    connection.execute("ROLLBACK")
    if mode == "wal":
        from clx.db.sqlite.driver import driver

        moved = driver.connect(f"{target.as_uri()}?mode=rw", uri=True, timeout=1.0, isolation_level=None)
        try:
            moved.execute("PRAGMA journal_mode = wal")
        finally:
            moved.close()


def _in_use(database: Path, target: Path) -> DatabaseError:
    from clx.db.sqlite.filesystem import holders

    return DatabaseBusyError(
        f"{database} is used by {holders(database)}. Before containers use it for the first time it is moved to "
        f"{target}, where they see nothing but the database.",
        f"Stop who uses it ({on_database('clx stop-services', database)}), then type the command again.",
    )
