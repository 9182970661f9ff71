"""The schema has one truth, and the state machine lives in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import CheckConstraint, Integer

from clx.db import schema
from clx.db.sqlite import database
from clx.db.sqlite.driver import driver

_SQL = (Path(database.__file__).parent / "schema.sql").read_text(encoding="utf-8")


def test_the_generated_file_is_what_the_metadata_says() -> None:
    assert schema.ddl() == _SQL, "run: python -m clx.db.schema"


def test_code_and_schema_name_the_same_revision() -> None:
    assert schema.REVISION == database.REVISION


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = driver.connect(":memory:")
    connection.executescript(_SQL)
    connection.execute("INSERT INTO jobs (type, payload, created_at) VALUES ('t', '{}', 0)")
    yield connection
    connection.close()


@pytest.mark.parametrize(
    "change",
    [
        "state = 'running'",
        "state = 'running', lease_until = 5, lease = 5, worker_id = 1",
        "state = 'running', lease_until = 5, run = 1, lease = 5",
        "lease_until = 5",
        "state = 'succeeded'",
        "state = 'failed', finished_at = 5",
        "finished_at = 5",
        "state = 'lost'",
        "priority = 0",
        "released = 1",
        "max_runs = 0",
        "waits_for = 1",
        "waits_for = -1, ready = 0",
    ],
)
def test_impossible_rows_are_refused(connection: sqlite3.Connection, change: str) -> None:
    with pytest.raises(driver.IntegrityError, match="CHECK"):
        connection.execute(f"UPDATE jobs SET {change}")


def test_two_live_jobs_cannot_have_one_key(connection: sqlite3.Connection) -> None:
    insert = "INSERT INTO jobs (type, payload, created_at, key, state, finished_at) VALUES ('t', '{}', 0, 'k', ?, ?)"
    connection.execute(insert, ("succeeded", 5))
    connection.execute(insert, ("queued", None))
    with pytest.raises(driver.IntegrityError, match="UNIQUE"):
        connection.execute(insert, ("queued", None))


def test_a_run_is_recorded_once(connection: sqlite3.Connection) -> None:
    insert = "INSERT INTO runs (job_id, run, worker_id, started_at, ended_at, outcome) VALUES (1, 1, 1, 0, 0, ?)"
    connection.execute(insert, ("succeeded",))
    with pytest.raises(driver.IntegrityError, match="UNIQUE"):
        connection.execute(insert, ("failed",))


def test_what_is_odd_is_read_from_every_column() -> None:
    """Kinds, NULL, defaults, keys and rules, as the tables are drawn; what goes by a name names a column."""
    from clx.db import odd_rows

    drawn = {table.name: table for table in schema.metadata.sorted_tables}
    assert set(odd_rows.tables()) == set(drawn)
    for name, facts in odd_rows.tables().items():
        table = drawn[name]
        kinds = [(column.name, isinstance(column.type, Integer), not column.nullable) for column in table.columns]
        assert [(each.name, each.is_number, each.required) for each in facts.columns.values()] == kinds
        assert facts.key == tuple(column.name for column in table.primary_key.columns)
        rules = {str(rule.name) for rule in table.constraints if isinstance(rule, CheckConstraint)}
        assert set(facts.checks) == rules
    names = {column.name for table in drawn.values() for column in table.columns}
    assert names >= {*odd_rows._LOWEST, *odd_rows._HIGHEST, *odd_rows._JSON, *odd_rows._OBJECTS}
