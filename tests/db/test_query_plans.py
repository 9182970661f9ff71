"""Rule 8: the statements of the hot path stay on their indexes, however long the table is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clx.db import statements as sql
from clx.db.jobs import NewJob, Queue

_PLANS = {
    "claim one": (sql.CLAIM_ONE, "INDEX jobs_claim (pool=? AND type=?)"),
    "claim many": (sql.CLAIM_MANY, "INDEX jobs_claim (pool=? AND type=?)"),
    "claim harmless": (sql.CLAIM_HARMLESS, "INDEX jobs_claim (pool=? AND type=?)"),
    "claimable": (sql.CLAIMABLE, "INDEX jobs_claim (pool=? AND type=?)"),
    "due": (sql.DUE, "INDEX jobs_delayed (not_before<?)"),
    "promote": (sql.PROMOTE, "INDEX jobs_delayed (not_before<?)"),
    "live by key": (sql.LIVE_BY_KEY, "INDEX jobs_live_key (pool=? AND type=? AND key=?)"),
    "overdue": (sql.OVERDUE, "INDEX jobs_running"),
    "held by": (sql.HELD_BY, "INDEX jobs_running (worker_id=?)"),
    "unlock": (sql.UNLOCK, "INDEX dependencies_needs (needs_id=?)"),
    "let go": (sql.LET_GO, "INDEX jobs_behind (after_id=?)"),
    "behind": (sql.BEHIND, "INDEX jobs_behind (after_id=?)"),
    "next of several types": (sql.NEXT, "INDEX jobs_claim (pool=? AND type=?)"),
    "next harmless": (sql.NEXT_HARMLESS, "INDEX jobs_claim (pool=? AND type=?)"),
    "failed dependents": (sql.FAIL_DEPENDENTS, "INDEX dependencies_needs (needs_id=?)"),
    "matters": (sql.MATTERS, "INDEX dependencies_needs (needs_id=?)"),
    "may claim": (sql.MAY_CLAIM, "INDEX jobs_delayed (not_before<?)"),
    "count down": (sql.COUNT_DOWN, "INDEX batch_jobs_job (job_id=?)"),
}


@pytest.fixture(scope="module")
def long_queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    """20,000 queued jobs, 20,000 that have ended."""
    with Queue.open(tmp_path_factory.mktemp("plans") / "jobs.db") as queue:
        queue.enqueue_many([NewJob("t", {"n": n}) for n in range(40_000)])
        ended = "UPDATE jobs SET state = 'succeeded', finished_at = 1, run = 1 WHERE id % 2 = 0"
        recorded = (
            "INSERT INTO runs (job_id, run, worker_id, started_at, ended_at, outcome) "
            "SELECT id, 1, 1, 0, 1, 'succeeded' FROM jobs WHERE state = 'succeeded'"
        )
        queue.database.write("fill", lambda connection: [connection.execute(each) for each in (ended, recorded)])
        yield queue


@pytest.mark.parametrize("name", _PLANS)
@pytest.mark.parametrize("analyzed", [False, True])
def test_a_statement_stays_on_its_index(long_queue: Queue, name: str, analyzed: bool) -> None:
    statement, index = _PLANS[name]
    if analyzed:
        long_queue.database.connection().execute("ANALYZE")
    plan = [row[3] for row in long_queue.database.read(f"EXPLAIN QUERY PLAN {statement}", _values(statement))]

    assert any(index in step for step in plan), plan
    assert not [step for step in plan if step.startswith("SCAN ") and "INDEX" not in step and "CONSTANT" not in step], (
        plan
    )
    assert "USE TEMP B-TREE FOR ORDER BY" not in plan


def _values(statement: str) -> dict[str, int] | tuple[int, ...]:
    named = ("worker", "lease", "now", "pool", "type", "n", "id", "run", "slack")
    return dict.fromkeys(named, 1) if ":" in statement else (1,) * statement.count("?")


def test_a_claim_does_the_same_work_in_a_long_table(long_queue: Queue, tmp_path: Path) -> None:
    """Counted in steps of SQLite's machine, which do not depend on how busy this computer is."""
    with Queue.open(tmp_path / "short.db") as short:
        short.enqueue_many([NewJob("t") for _ in range(100)])
        few, many = (_steps_of_a_claim(queue) for queue in (short, long_queue))

    assert many <= 1.3 * few


def _steps_of_a_claim(queue: Queue) -> int:
    queue.claim(["t"])
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection = queue.database.connection()
    connection.set_progress_handler(step, 1)
    try:
        assert queue.claim(["t"])
    finally:
        connection.set_progress_handler(None, 1)
    return steps


def test_an_idle_worker_never_takes_the_write_lock(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue, Queue.open(tmp_path / "jobs.db", busy_timeout=0.01) as idle:
        idle.claim(["t"])
        queue.database.connection().execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        assert [idle.claim(["t"]), idle.rescue()] == [[], []]
        assert time.monotonic() - started < 5
        queue.database.connection().execute("ROLLBACK")
