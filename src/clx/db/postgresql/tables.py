"""The tables of a fresh database, made once, whoever comes first; those of another version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from clx.db.crashpoints import crash_point
from clx.db.postgresql.connect import SCHEMA
from clx.db.postgresql.driver import driver
from clx.errors import DatabaseCorruptError, DatabaseError

if TYPE_CHECKING:
    from clx.db.postgresql.database import PostgresDatabase

REVISION = "0014"
"""The schema this code works with; ``schema.py`` and the newest migration name the same."""
_TABLES_LOCK = 0x636C78_00
"""The advisory lock of whoever makes or changes tables."""
IN_TURN = f"SET LOCAL lock_timeout = '60s'; SELECT pg_advisory_xact_lock({_TABLES_LOCK}); SET LOCAL lock_timeout = '5s'"
"""Waits for another process that is at it; then for no table long: meanwhile everybody else would wait for that too."""
_HAS_VERSION = (
    "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    f"WHERE n.nspname = '{SCHEMA}' AND c.relname = 'alembic_version'"
)
_SQL = Path(__file__).with_name("schema.sql")


def revision_of(connection: Any) -> str | None:
    """The schema of the tables; None where there are none."""
    # not by to_regclass: what that believes may be older than the lock under which this is asked
    if connection.execute(_HAS_VERSION).fetchone() is None:
        return None
    row = connection.execute(f"SELECT version_num FROM {SCHEMA}.alembic_version").fetchone()
    return None if row is None else str(row[0])


def plain_connection(database: PostgresDatabase) -> Any:
    """A connection of the driver as other libraries expect it."""
    raw = database.connect()
    raw.autocommit = False
    raw.cursor_factory = driver.Cursor
    return raw


def ensure_tables(database: PostgresDatabase) -> None:
    """See that the tables are there, and of this version: made where there are none, brought up where they are older.

    Raises:
        DatabaseError: they are of a newer version, or may not be made.
    """
    found = database.revision()
    if found == REVISION:
        return
    if database.readonly:
        raise DatabaseError(
            f"{database.address} holds no job table of this version of CLX.",
            "Make or upgrade it: clx db migrate",
        )
    try:
        if found is None:
            database.patiently(database.patience, lambda: _create(database))
        else:
            from clx.db.migrate import upgrade_server

            upgrade_server(database, found)
    except driver.Error as error:
        raise database.translated(error) from error


def _create(database: PostgresDatabase) -> None:
    connection = database.connection().raw
    with connection.transaction():
        connection.execute(IN_TURN)
        if revision_of(connection) is not None:  # somebody else was first
            return
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        others = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm') AND "
            f"relnamespace = CAST('{SCHEMA}' AS regnamespace) LIMIT 1"
        ).fetchone()
        if others is not None:
            raise DatabaseCorruptError(
                f"{database.address} has a schema {SCHEMA} of something else (with {others[0]}).",
                "Name another database; CLX keeps its tables in a schema of that name.",
            )
        connection.execute(_SQL.read_text(encoding="utf-8"))
        crash_point("create", "before_commit")
    crash_point("create", "after_commit")
