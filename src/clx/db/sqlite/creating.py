"""Making the tables of a new file."""

from __future__ import annotations

from pathlib import Path

from clx.db.database import Database
from clx.db.sqlite.foreign import of_something_else
from clx.db.transaction import Transaction

_SCHEMA = Path(__file__).with_name("schema.sql")


def create(database: Database) -> None:
    """Make the tables, unless somebody else has just made them.

    Raises:
        DatabaseCorruptError: there are other ones.
    """
    statements = [part for part in _SCHEMA.read_text(encoding="utf-8").split(";\n") if part.strip()]

    def body(tx: Transaction) -> None:
        exists = tx.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
        if exists:
            return
        if tx.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            raise of_something_else(database.path)
        for statement in statements:
            tx.execute(statement)

    database.write("create", body)
