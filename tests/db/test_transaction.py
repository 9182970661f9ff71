"""What transitions are told of their transaction."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from tests.support.clock import SetClock

from clx.db.clock import now_ms
from clx.db.database import Database
from clx.db.jobs import Queue
from clx.db.postgresql.database import PostgresDatabase
from clx.db.sqlite.driver import driver
from clx.db.transaction import Transaction


@pytest.fixture
def database(kept: Queue) -> Database:
    return kept.database


def _passing(database: Database) -> Exception:
    """What a transaction is tried again after."""
    if isinstance(database, PostgresDatabase):
        return psycopg.errors.DeadlockDetected()
    error: Any = driver.OperationalError("database is locked")
    error.sqlite_errorname = "SQLITE_BUSY"
    return error  # type: ignore[no-any-return]


def test_only_those_are_woken_whom_the_attempt_that_was_committed_names(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[str] = []
    monkeypatch.setattr(database.doorbell, "ring", lambda *names: rung.extend(names))
    attempts: list[Transaction] = []

    def body(tx: Transaction) -> int:
        attempts.append(tx)
        tx.bells.add(f"bell {len(attempts)}")
        if len(attempts) == 1:
            raise _passing(database)
        assert not rung
        return int(tx.execute("SELECT 7").fetchone()[0])

    assert database.write("enqueue", body) == 7
    assert rung == ["bell 2"]


def test_nobody_is_woken_for_what_was_undone(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[str] = []
    monkeypatch.setattr(database.doorbell, "ring", lambda *names: rung.extend(names))

    def body(tx: Transaction) -> None:
        tx.bells.add("bell")
        raise KeyError

    with pytest.raises(KeyError):
        database.write("enqueue", body)
    assert not rung


def test_its_time_is_that_of_the_database_when_the_lock_is_ours(database: Database) -> None:
    apart = 2  # ms: how far the measured distance to a server's clock may be off
    before = now_ms()
    assert before - apart <= database.write("enqueue", lambda tx: tx.now) <= now_ms() + apart
    database.clock = SetClock(5)
    assert database.write("enqueue", lambda tx: tx.now) == 5
