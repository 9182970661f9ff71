"""What PostgreSQL wants to be told otherwise: locks on rows, which SQLite's single writer does without."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec

from clx.db.dialect import Dialect
from clx.db.odd_rows import tables
from clx.db.transaction import Transaction

NEEDS_LOCK = 0x636C78_01
"""The advisory lock of those who give a job that is there other needs: a circle has more rows than each locks."""
_INSERT = re.compile(r"INSERT INTO (\w+) \(([^)]*)\) VALUES \([?, ]*\)")
_AT_ONCE = 5000
"""Rows that one statement enters."""


class PostgresDialect(Dialect):
    """Statements as PostgreSQL wants them."""

    locking = " FOR UPDATE SKIP LOCKED"
    alone = " FOR UPDATE"
    unchanged = " FOR SHARE"
    in_turn = f"SELECT pg_advisory_xact_lock({NEEDS_LOCK})"
    hold_wanted = (
        "SELECT j.id FROM batch_jobs b JOIN jobs j ON j.id = b.job_id "
        "WHERE b.batch_id = :id AND j.state IN ('queued', 'running') ORDER BY j.id FOR UPDATE OF j"
    )

    def __init__(self) -> None:
        super().__init__()
        # it takes what a recursion has found once only
        self.needed_by = (
            f"WITH RECURSIVE needed (id) AS ({self.ids('needs')} UNION SELECT near.id FROM needed, LATERAL ("
            "SELECT d.needs_id AS id FROM dependencies d WHERE d.job_id = needed.id UNION ALL "
            "SELECT j.after_id FROM jobs j WHERE j.id = needed.id AND j.after_id IS NOT NULL) AS near) "
            "SELECT 1 FROM needed WHERE id = :id"
        )

    def ids(self, name: str) -> str:
        """The numbers of a list."""
        return f"SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(:{name} AS json)) AS list (value)"

    def texts(self, name: str) -> str:
        """The texts of a list."""
        return f"SELECT value FROM json_array_elements_text(CAST(:{name} AS json)) AS list (value)"

    def by_index(self, name: str) -> str:  # noqa: ARG002
        """It finds the index by itself."""
        return ""

    def unindexed(self, column: str) -> str:
        """It knows how many rows a condition leaves."""
        return column

    def chosen(self, query: str) -> str:
        """As an array: a plan may ask a query after IN several times, and each time it would lock other rows."""
        return f"= ANY (ARRAY({query}))"

    def changing(self, table: str, change: str, where: str) -> str:
        """Rows are locked in the order of their ids, so that no two transactions wait for each other."""
        rows = f"SELECT id FROM {table} WHERE {where} ORDER BY id{self.alone}"
        return f"UPDATE {table} SET {change} WHERE id {self.chosen(rows)}"


DIALECT = PostgresDialect()


@cache
def _returning(statement: str) -> str:
    return f"{statement} RETURNING id"


@cache
def _many(statement: str) -> tuple[str, list[str]]:
    """*statement*, which enters one row, for the rows of a JSON array; and the names of the columns."""
    found = _INSERT.fullmatch(statement)
    assert found is not None, statement
    table, names = found[1], found[2].split(", ")
    columns = tables()[table].columns
    kinds = ", ".join(f"{name} {'bigint' if columns[name].is_number else 'text'}" for name in names)
    listed = ", ".join(names)
    query = (
        f"INSERT INTO {table} ({listed}) SELECT {listed} FROM ROWS FROM (json_to_recordset(CAST(:rows AS json)) "
        f"AS ({kinds})) WITH ORDINALITY AS entered ({listed}, ordinality) ORDER BY ordinality RETURNING id"
    )
    return query, names


class PostgresTransaction(Transaction):
    """A transaction of PostgreSQL."""

    __slots__ = ()
    sql = DIALECT

    def insert(self, statement: str, values: Sequence[Any]) -> int:
        """Enter one row; returns its id."""
        return int(self.execute(_returning(statement), values).fetchone()[0])

    def insert_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> list[int]:
        """Enter rows; returns their ids."""
        query, names = _many(statement)
        found: list[int] = []
        for first in range(0, len(rows), _AT_ONCE):
            part = [dict(zip(names, row, strict=True)) for row in rows[first : first + _AT_ONCE]]
            text = msgspec.json.encode(part).decode()
            found += [row[0] for row in self.execute(query, {"rows": text}).fetchall()]
        return found
