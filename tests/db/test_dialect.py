"""What only SQLite understands stands in one room; all other statements are for every database."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import clx.db
from clx.db.dialect import Dialect, among
from clx.db.sqlite.dialect import DIALECT

_ROOM = Path(clx.db.__file__).parent
_OF_SQLITE = re.compile(
    r"\bINSERT OR\b|\bUPDATE OR\b|\bjson_each\b|\bINDEXED BY\b|\bsqlite_master\b|\btypeof\(|\blast_insert_rowid\b"
    r"|\.lastrowid\b|\bPRAGMA\b|\browid\b|\?\d|\bAND \+\w"
)
_OF_POSTGRESQL = re.compile(
    r"\bFOR (UPDATE|SHARE)\b|\bSKIP LOCKED\b|\bpg_\w+\(|\bunnest\(|\bANY \(|[\w)]::\w|\bgreatest\(|\bLATERAL\b"
)
_LOOKING_AT_FILES = {"apart.py", "bench.py", "check.py"}
"""Modules that tell about files of SQLite, and about nothing else."""


def test_only_one_room_uses_what_only_sqlite_understands() -> None:
    found = {
        f"{path.name}: {line.strip()}"
        for path in (*_ROOM.glob("*.py"), *(_ROOM / "works").glob("*.py"), _ROOM.parent / "course" / "build_state.py")
        if path.name not in _LOOKING_AT_FILES
        for line in path.read_text(encoding="utf-8").splitlines()
        if _OF_SQLITE.search(line.split("#")[0])
    }
    assert found == set()


def test_only_one_room_uses_what_only_postgresql_understands() -> None:
    found = {
        f"{path.name}: {line.strip()}"
        for path in (
            *_ROOM.glob("*.py"),
            *(_ROOM / "schedules").glob("*.py"),
            *(_ROOM / "works").glob("*.py"),
            _ROOM.parent / "course" / "build_state.py",
        )
        for line in path.read_text(encoding="utf-8").splitlines()
        if _OF_POSTGRESQL.search(line.split("#")[0])
    }
    assert found == set()
    for text in (
        "LIMIT 1 FOR UPDATE SKIP LOCKED",
        "SELECT pg_notify(",
        "id = ANY (ARRAY(",
        "now()::bigint",
        "greatest(a, b)",
    ):
        assert _OF_POSTGRESQL.search(text)


def test_the_rule_finds_what_it_is_to_find() -> None:
    for text in (
        "INSERT OR IGNORE INTO t",
        "IN (SELECT value FROM json_each(:ids))",
        "INDEXED BY x",
        "VALUES (?1,?2)",
        "AND +course = ?",
    ):
        assert _OF_SQLITE.search(text)


def test_another_database_differs_in_few_words() -> None:
    class Other(Dialect):
        locking = " FOR UPDATE SKIP LOCKED"

        def ids(self, name: str) -> str:
            return f"SELECT unnest(:{name})"

        texts = ids

        def by_index(self, name: str) -> str:
            return ""

        def unindexed(self, column: str) -> str:
            return column

        def json_path(self, steps: Sequence[str]) -> str:
            return ""

        def json_value(self, value: Any) -> Any:
            return value

        def json_exists(self, document: str, path: str) -> str:
            return ""

        def json_holds(self, document: str, path: str, name: str, value: Any) -> str:
            return ""

        def json_compares(self, document: str, path: str, operator: str, name: str, *, is_text: bool) -> str:
            return ""

    other = Other()
    assert "LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING" in other.claim_one
    assert "SELECT unnest(:ids)" in other.by_ids
    assert "INDEXED" in DIALECT.queued_at_most
    assert "INDEXED" not in other.queued_at_most


def test_states_are_literals_because_of_partial_indexes() -> None:
    assert among(["running", "queued"]) == "state IN ('queued', 'running')"
