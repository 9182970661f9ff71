"""Bringing an older file up to this version's schema, with Alembic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from clx.db.crashpoints import crash_point
from clx.db.sqlite.driver import driver, translate
from clx.errors import DatabaseError

if TYPE_CHECKING:
    from clx.db.postgresql.database import PostgresDatabase

_SCRIPTS = Path(__file__).with_name("migrations")


def upgrade(path: Path, found: str) -> None:
    """Run every migration newer than *found* in one BEGIN IMMEDIATE transaction; safe beside running builds.

    Raises:
        DatabaseError: the file was made by a newer CLX, or a migration failed.
    """
    _require_known(found, str(path))
    bind = engine(path)
    try:
        with bind.begin() as connection:
            command.upgrade(config(connection), "head")
        crash_point("migrate", "after_commit")
    except sqlalchemy.exc.DBAPIError as error:
        raise translate(error.orig, path) from error
    finally:
        bind.dispose()


def upgrade_server(database: PostgresDatabase, found: str) -> None:
    """The same for a database of a server: one process at a time, in one transaction.

    Raises:
        DatabaseError: the tables were made by a newer CLX, or a migration failed.
    """
    from clx.db.postgresql.tables import IN_TURN, plain_connection, revision_of

    _require_known(found, database.name)
    bind = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: plain_connection(database), poolclass=sqlalchemy.pool.NullPool
    )
    try:
        with bind.begin() as connection:
            connection.exec_driver_sql(IN_TURN)
            if revision_of(connection.connection.driver_connection) == found:
                command.upgrade(config(connection), "head")
            crash_point("migrate", "before_commit")
        crash_point("migrate", "after_commit")
    except sqlalchemy.exc.DBAPIError as error:
        raise database.translated(error.orig) from error
    finally:
        bind.dispose()


def _require_known(found: str, name: str) -> None:
    """See that *found*, the schema of the database *name*, is one that migrations lead from.

    Raises:
        DatabaseError: a newer CLX made it.
    """
    try:
        ScriptDirectory.from_config(config(None)).get_revision(found)
    except CommandError as error:
        raise DatabaseError(
            f"{name} was made by a newer version of CLX (schema {found}).",
            "Upgrade CLX the way it was installed, in a clone: git pull && pip install .",
        ) from error


def config(connection: sqlalchemy.Connection | None) -> Config:
    """What Alembic wants to know: where the migrations lie, and the connection to run them on."""
    found = Config()
    found.set_main_option("script_location", str(_SCRIPTS))
    found.attributes["connection"] = connection
    return found


def engine(path: Path) -> sqlalchemy.Engine:
    """SQLAlchemy on the driver of this process, with transactions that begin IMMEDIATE."""
    found = sqlalchemy.create_engine(f"sqlite:///{path}", module=driver, poolclass=sqlalchemy.pool.NullPool)

    @sqlalchemy.event.listens_for(found, "connect")
    def _plain(connection: object, _record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]

    @sqlalchemy.event.listens_for(found, "begin")
    def _immediate(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    sqlalchemy.event.listen(found, "commit", lambda _connection: crash_point("migrate", "before_commit"))
    return found
