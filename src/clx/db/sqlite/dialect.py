"""What SQLite understands that others do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clx.db.dialect import Dialect
from clx.db.transaction import Transaction


class SqliteDialect(Dialect):
    """Statements as SQLite wants them."""

    def ids(self, name: str) -> str:
        """The numbers of a list."""
        return f"SELECT value FROM json_each(:{name})"

    texts = ids

    def by_index(self, name: str) -> str:
        """The index by name."""
        return f"INDEXED BY {name}"

    def unindexed(self, column: str) -> str:
        """With a sign, which changes no text."""
        return f"+{column}"


DIALECT = SqliteDialect()


class SqliteTransaction(Transaction):
    """A transaction of SQLite."""

    __slots__ = ()
    sql = DIALECT

    def insert(self, statement: str, values: Sequence[Any]) -> int:
        """Enter one row; returns its id."""
        return int(self.execute(statement, values).lastrowid)

    def enter_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Enter rows."""
        self.executemany(statement, rows)

    def insert_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> list[int]:
        """Enter rows; returns their ids."""
        self.executemany(statement, rows)
        # AUTOINCREMENT numbers rise by one within a transaction, and nobody else writes meanwhile
        last = int(self.execute("SELECT last_insert_rowid()").fetchone()[0])
        return list(range(last - len(rows) + 1, last + 1))
