"""What transitions are told of their transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clx.db.clock import now_ms
from clx.db.sqlite.driver import driver
from clx.db.transaction import Transaction, transact


def _tried_twice(_name: str, body: Callable[[Any], int]) -> int:
    """As ``Database.write`` does where the first attempt is undone."""
    connection = driver.connect(":memory:")
    try:
        body(connection)
        return body(connection)
    finally:
        connection.close()


def test_only_those_are_woken_whom_the_attempt_that_was_committed_names() -> None:
    attempts: list[Transaction] = []

    def body(tx: Transaction) -> int:
        attempts.append(tx)
        tx.bells.add(f"bell {len(attempts)}")
        return int(tx.execute("SELECT 7").fetchone()[0])

    assert transact(_tried_twice, "enqueue", body, None) == (7, {"bell 2"})


def test_its_time_is_taken_in_it() -> None:
    before = now_ms()
    value, _ = transact(_tried_twice, "enqueue", lambda tx: tx.now, None)
    assert before <= value <= now_ms()
    assert transact(_tried_twice, "enqueue", lambda tx: tx.now, 5) == (5, set())
