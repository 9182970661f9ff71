"""A copy of a database that is whole, made while it is used."""

from __future__ import annotations

import os
from pathlib import Path

from clx.db.database import Database
from clx.db.sqlite.driver import driver, error_name, translate
from clx.errors import DatabaseError, UsageError


def backup(database: Database, target: Path) -> int:
    """Copy *database* to the file *target* through SQLite's backup interface; returns its size in bytes.

    The copy appears under its name only when it is complete.

    Raises:
        UsageError: *target* exists, or cannot be written.
        DatabaseError: the database cannot be read.
    """
    if target.exists():
        raise UsageError(f"{target} is there already.", "Name a file that is not there yet.")
    part = target.with_name(f".{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        copy = driver.connect(str(part), isolation_level=None)
        try:
            # in one step: page by page, every commit of others would make it begin anew
            database.connection().backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
        finally:
            copy.close()
        os.replace(part, target)  # noqa: PTH105
    except driver.Error as error:
        part.unlink(missing_ok=True)
        if error_name(error) in {"", "SQLITE_FULL"}:  # older interfaces tell what they met in words only
            raise DatabaseError(
                f"{target} cannot be made: {error}.", "Free some space, or name another file."
            ) from error
        raise translate(error, target) from error
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}.", "Name another file.") from error
    return target.stat().st_size
