"""What SQLite understands that others do not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from clx.db.dialect import Dialect
from clx.db.models import encode
from clx.db.transaction import Transaction
from clx.errors import QueueError

_LARGE = 2**63
"""Numbers from it on are no whole numbers to SQLite."""


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

    def json_path(self, steps: Sequence[str]) -> str:
        """As SQLite writes it; there is no way to write a quotation mark."""
        if any('"' in step for step in steps):
            raise QueueError("A field with a quotation mark in its name cannot be searched.", "Search for its words.")
        return "$" + "".join(f'."{step}"' for step in steps)

    def number(self, value: Any) -> Any:
        """A float of a number that is too large: such a one is read as that in a document, too."""
        if not _is_large(value):
            return value
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf

    def json_value(self, value: Any) -> Any:
        """Plain values as they are; a number that no column holds as the document writes it, twice."""
        if _is_large(value):
            return f"[{value},{value}]"
        return encode(value) if isinstance(value, list | tuple | dict) else value

    def json_exists(self, document: str, path: str) -> str:
        """By its type."""
        return f"(CASE WHEN json_valid({document}) THEN json_type({document}, :{path}) IS NOT NULL ELSE 0 END)"

    def json_holds(self, document: str, path: str, name: str, value: Any) -> str:
        """A row for a plain value, or one for each of a list."""
        if isinstance(value, list | tuple | dict):
            is_so = (
                f"json_type({document}, :{path}) IN ('array', 'object') AND json_extract({document}, :{path}) = :{name}"
            )
            return f"(CASE WHEN json_valid({document}) THEN {is_so} ELSE 0 END)"
        if value is None:
            is_so = f"coalesce(json_type({document}, :{path}), 'null') = 'null'"
            return f"(CASE WHEN json_valid({document}) THEN {is_so} ELSE 0 END)"
        if isinstance(value, bool):
            return self._part(document, path, f"part.type = '{str(value).lower()}'")
        if _is_large(value):  # read as a float it would be others, too
            told = f"json_extract({document}, part.fullkey, part.fullkey)"  # of several paths: as they are written
            return self._part(document, path, f"part.type = 'integer' AND {told} = :{name}")
        kinds = "'text'" if isinstance(value, str) else "'integer', 'real'"
        return self._part(document, path, f"part.type IN ({kinds}) AND part.value = :{name}")

    def json_compares(self, document: str, path: str, operator: str, name: str, *, is_text: bool) -> str:
        """Likewise."""
        kinds = "'text'" if is_text else "'integer', 'real'"
        return self._part(document, path, f"part.type IN ({kinds}) AND part.value {operator} :{name}")

    def _part(self, document: str, path: str, condition: str) -> str:
        rows = f"SELECT 1 FROM json_each({document}, :{path}) AS part WHERE {condition}"
        is_so = f"json_type({document}, :{path}) <> 'object' AND EXISTS ({rows})"
        return f"(CASE WHEN json_valid({document}) THEN coalesce({is_so}, 0) ELSE 0 END)"


def _is_large(value: Any) -> bool:
    return isinstance(value, int) and not -_LARGE < value < _LARGE


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
