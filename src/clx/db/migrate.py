"""Bringing an older file up to this version's schema, with Alembic."""

from __future__ import annotations

from pathlib import Path

from clx.db.crashpoints import crash_point
from clx.db.driver import driver, translate
from clx.errors import DatabaseError

_SCRIPTS = Path(__file__).with_name("migrations")


def upgrade(path: Path, found: str) -> None:
    """Run every migration newer than *found*, each in a BEGIN IMMEDIATE transaction.

    Raises:
        DatabaseError: the file was made by a newer CLX, or a migration failed.
    """
    import sqlalchemy
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    try:
        ScriptDirectory.from_config(config).get_revision(found)
    except CommandError as error:
        raise DatabaseError(
            f"{path} was made by a newer version of CLX (schema {found}).", "Upgrade CLX: pip install -U clx"
        ) from error
    engine = sqlalchemy.create_engine(f"sqlite:///{path}", module=driver, poolclass=sqlalchemy.pool.NullPool)

    @sqlalchemy.event.listens_for(engine, "connect")
    def _plain(connection: object, _record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]

    @sqlalchemy.event.listens_for(engine, "begin")
    def _immediate(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    sqlalchemy.event.listen(engine, "commit", lambda _connection: crash_point("migrate.before_commit"))
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        crash_point("migrate.after_commit")
    except sqlalchemy.exc.DBAPIError as error:
        raise translate(error.orig, path) from error
    finally:
        engine.dispose()
