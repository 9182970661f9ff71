"""Files that are no job table, or must not be used as one: seen before anything is written to them or beside them."""

from __future__ import annotations

import shlex
import stat
from pathlib import Path

from clx.db.apart import require_regular
from clx.db.sqlite.driver import CORRUPT, driver, error_name, translate
from clx.errors import DatabaseCorruptError, DatabaseError

TABLES = (
    "SELECT count(*), coalesce(sum(name IN ('alembic_version', 'jobs', 'runs', 'workers', 'batches')), 0) "
    "FROM sqlite_master WHERE type = 'table'"
)
"""How many tables a file has, and how many of them are a job table's."""
OWN_TABLES = 5
"""So many of those has a job table, of whichever version."""


def refuse_other_files(path: Path, *, readonly: bool) -> None:
    """See that a file that is there is a job table, or empty.

    Args:
        path: the file.
        readonly: whether nothing is going to be written anyway; then what it holds is not looked at.

    Raises:
        DatabaseCorruptError: it is neither.
        DatabaseError: it has several names.
    """
    require_regular(path)
    try:
        found = path.stat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(found.st_mode):
        raise DatabaseCorruptError(f"{path} is not a regular file.", "Name another file with --db-path.")
    # the log lies beside each name: two programs by two names overwrite each other (sqlite.org/howtocorrupt.html, 2.5)
    if found.st_nlink > 1:
        raise DatabaseError(
            f"{path} has {found.st_nlink} names (hard links); who comes by another does not see what this one writes.",
            f"Remove the others: find / -xdev -samefile {shlex.quote(str(path))}",
        )
    if not readonly:
        _refuse_other_tables(path)


def of_something_else(path: Path) -> DatabaseCorruptError:
    """The error for a database that has other tables."""
    return DatabaseCorruptError(f"{path} is a database of something else.", "Name another file with --db-path.")


def _refuse_other_tables(path: Path) -> None:
    connection = None
    try:
        connection = driver.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=0)
        tables, ours = connection.execute(TABLES).fetchone()
    except driver.Error as error:
        if error_name(error) in CORRUPT:
            raise translate(error, path) from error
        return  # in use, or not readable this way: opening it in earnest will tell
    finally:
        if connection is not None:
            connection.close()
    if tables and ours < OWN_TABLES:
        raise of_something_else(path)
