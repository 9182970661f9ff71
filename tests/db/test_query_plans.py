"""Rule 8: the statements of the hot path stay on their indexes, however long the table is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.clock import at

from clx.db import statements as sql
from clx.db.calls import statements as calls
from clx.db.jobs import NewJob, Queue
from clx.db.schedules import statements as schedules
from clx.db.sqlite.dialect import DIALECT

_PLANS = {
    "claim one": (DIALECT.claim_one, "INDEX jobs_claim (pool=? AND type=?)"),
    "claim many": (DIALECT.claim_many, "INDEX jobs_claim (pool=? AND type=?)"),
    "claim harmless": (DIALECT.claim_harmless, "INDEX jobs_claim (pool=? AND type=?)"),
    "claimable": (DIALECT.claimable, "INDEX jobs_claim (pool=? AND type=?)"),
    "claimable of several types": (DIALECT.claimable_of(2), "INDEX jobs_claim (pool=? AND type=?)"),
    "due": (sql.DUE, "INDEX jobs_delayed (not_before<?)"),
    "promote": (DIALECT.promote, "INDEX jobs_delayed (not_before<?)"),
    "live by key": (DIALECT.live_by_key, "INDEX jobs_live_key (key=? AND type=? AND pool=?)"),
    "overdue": (sql.OVERDUE, "INDEX jobs_running"),
    "held by": (DIALECT.held_by, "INDEX jobs_running (worker_id=?)"),
    "unlock": (DIALECT.unlock, "INDEX dependencies_needs (needs_id=?)"),
    "let go": (sql.LET_GO, "INDEX jobs_behind (after_id=?)"),
    "behind": (DIALECT.behind_of, "INDEX jobs_behind (after_id=?)"),
    "next of several types": (DIALECT.next_of(2, harmless=False), "INDEX jobs_claim (pool=? AND type=?)"),
    "next harmless": (DIALECT.next_of(2, harmless=True), "INDEX jobs_claim (pool=? AND type=?)"),
    "failed dependents": (DIALECT.fail_dependents, "INDEX dependencies_needs (needs_id=?)"),
    "matters": (sql.MATTERS, "INDEX dependencies_needs (needs_id=?)"),
    "schedules that are due": (schedules.DUE, "INDEX schedules_due (next_at>? AND next_at<?)"),
    "last fire": (schedules.LAST, "PRIMARY KEY (schedule=? AND fire_at<?)"),
    "fires": (schedules.FIRES, "PRIMARY KEY (schedule=?)"),
    "fires between": (schedules.FIRES_BETWEEN, "PRIMARY KEY (schedule=? AND fire_at>? AND fire_at<?)"),
    "may claim": (DIALECT.may_claim, "INDEX jobs_delayed (not_before<?)"),
    "limit": (DIALECT.limit, "SEARCH limits USING PRIMARY KEY (name=?)"),
    "running of a limit": (DIALECT.running_of_limit, "INDEX jobs_running"),
    "expired": (DIALECT.expired, "INDEX jobs_expiring (expires_at<?)"),
    "limits with room": (DIALECT.limits_with_room, "INDEX jobs_limited (limit_name=? AND held=?)"),
    "let held go": (DIALECT.let_held_go, "INDEX jobs_limited (limit_name=? AND held=?)"),
    "held until": (DIALECT.held_until, "INDEX jobs_limited (limit_name=? AND held=?)"),
    "hold ahead": (DIALECT.hold_ahead, "INDEX jobs_claim (pool=? AND type=?)"),
    "take a key": (sql.RECENT, "SEARCH recent_keys USING PRIMARY KEY"),
    "recorded calls": (DIALECT.recorded, "SEARCH c USING PRIMARY KEY (parent_id=? AND name=?)"),
    "live by keys": (DIALECT.live_by_keys, "INDEX jobs_live_key (key=?)"),
    "kept results": (DIALECT.kept_results, "SEARCH results USING PRIMARY KEY (key=?)"),
    "called": (DIALECT.called, "SEARCH c USING PRIMARY KEY (parent_id=?)"),
    "cancel unwanted": (DIALECT.cancel_unwanted, "SEARCH jobs USING INTEGER PRIMARY KEY (rowid=?)"),
    "ask unwanted": (DIALECT.ask_unwanted, "SEARCH jobs USING INTEGER PRIMARY KEY (rowid=?)"),
    "who else called": (DIALECT.cancel_unwanted, "SEARCH c USING COVERING INDEX calls_job (job_id=?)"),
    "who waits among": (DIALECT.matter_among, "INDEX jobs_behind (after_id=?)"),
    "triggers": (DIALECT.triggers, "INDEX routines_after (after_id=?)"),
    "calls of": (calls.OF, "SEARCH c USING PRIMARY KEY (parent_id=?)"),
    "callers": (calls.PARENTS, "INDEX calls_job (job_id=?)"),
    "failures of a caller": (calls.FORGET_FAILURES, "USING PRIMARY KEY (parent_id=?)"),
    "count down": (DIALECT.count_down, "INDEX batch_jobs_job (job_id=?)"),
    "counts of what has ended": (DIALECT.counts, "USING INDEX jobs_ended"),
    "counts of what runs": (DIALECT.counts, "USING INDEX jobs_running"),
    "counts of what waits": (DIALECT.waiting, "USING INDEX jobs_claim"),
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
    scans = [step for step in plan if step.startswith("SCAN ") and "INDEX" not in step and "CONSTANT" not in step]
    assert set(scans) <= {"SCAN paused", "SCAN limits", "SCAN ahead", "SCAN parts", "SCAN first"}, (
        plan
    )  # of a few rows, however long the table is
    assert "USE TEMP B-TREE FOR ORDER BY" not in plan


def _values(statement: str) -> dict[str, Any] | tuple[int, ...]:
    named = (
        "worker",
        "lease",
        "now",
        "until",
        "pool",
        "type",
        "type0",
        "type1",
        "n",
        "id",
        "run",
        "slack",
        "name",
        "key",
        "parent",
        "error",
    )
    lists = dict.fromkeys(("names", "keys", "ids", "types"), "[1]")
    return {**dict.fromkeys(named, 1), **lists} if ":" in statement else (1,) * statement.count("?")


def test_a_claim_over_several_types_looks_once(tmp_path: Path) -> None:
    """However many there are, and however many more jobs there would be room for."""
    types = [f"t{n}" for n in range(12)]
    statements: list[str] = []
    with Queue.open(tmp_path / "jobs.db") as queue:
        worker = queue.worker_for(types)
        queue.enqueue(NewJob("t3", max_runs=3))
        queue.database.connection().set_trace_callback(statements.append)
        assert len(queue.settle((), types, 8, worker=worker, harmless=True).claimed) == 1
        queue.database.connection().set_trace_callback(None)

    assert len([each for each in statements if "ORDER BY claim_rank" in each]) == 1, statements


def test_a_claim_does_the_same_work_in_a_long_table(long_queue: Queue, tmp_path: Path) -> None:
    """Counted in steps of SQLite's machine, which do not depend on how busy this computer is."""
    with Queue.open(tmp_path / "short.db") as short:
        short.enqueue_many([NewJob("t") for _ in range(100)])
        few, many = (_steps_of_a_claim(queue) for queue in (short, long_queue))

    assert many <= 1.3 * few


def _steps_of_a_claim(queue: Queue) -> int:
    queue.claim(["t"])
    return _steps(queue, lambda: queue.claim(["t"]))


def _steps(queue: Queue, body: Callable[[], object]) -> int:
    """What SQLite's machine does for something that finds something."""
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection = queue.database.connection()
    connection.set_progress_handler(step, 1)
    try:
        assert body()
    finally:
        connection.set_progress_handler(None, 1)
    return steps


@pytest.fixture(scope="module")
def old_queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    """20,000 jobs that have succeeded, and behind them a few of each other kind."""
    with Queue.open(tmp_path_factory.mktemp("old") / "jobs.db") as queue:
        [failing, cancelled, running, *_] = queue.enqueue_many([NewJob("t", key=f"old{n}") for n in range(20_003)])
        at(queue, 1).claim(["t"], 2)
        queue.fail(failing, 1, {"message": "no"})
        queue.release(cancelled, 1)
        queue.cancel([cancelled])
        at(queue, 1).claim(["t"])
        ended = "UPDATE jobs SET state = 'succeeded', finished_at = 1, run = 1 WHERE id > 3"
        queue.database.write("fill", lambda connection: connection.execute(ended))
        waiting = queue.enqueue(NewJob("t", key="new", not_before=1 << 50))
        queue.enqueue_many([NewJob("t"), NewJob("t", needs=[waiting])])
        assert [job.state for job in queue.get_many([failing, cancelled, running])] == [
            "failed",
            "cancelled",
            "running",
        ]
        yield queue


_SEARCHES: dict[str, dict[str, Any]] = {
    "queued": {"state": "queued"},
    "running": {"state": "running"},
    "live": {"state": ["queued", "running"]},
    "failed": {"state": "failed"},
    "cancelled": {"state": "cancelled"},
    "all but succeeded": {"state": ["queued", "running", "failed", "cancelled"]},
    "key of one that ended": {"key": "old7"},
    "key of a live one": {"key": "new"},
    "key and state": {"key": "old7", "state": "succeeded"},
    "key, pool and states": {"key": "new", "pool": "", "state": ["queued", "running"]},
    "type and state": {"type": "t", "state": "queued"},
}


@pytest.mark.parametrize("name", _SEARCHES)
@pytest.mark.parametrize("analyzed", [False, True])
def test_a_search_reads_what_it_finds_and_not_the_table(old_queue: Queue, name: str, analyzed: bool) -> None:
    if analyzed:
        old_queue.database.connection().execute("ANALYZE")
    assert _steps(old_queue, lambda: old_queue.search(**_SEARCHES[name])) < 2000


def test_a_search_among_many_that_wait_sorts_none_of_them(long_queue: Queue) -> None:
    assert _steps(long_queue, lambda: long_queue.search(state="queued", limit=10)) < 200_000


def test_an_idle_worker_never_takes_the_write_lock(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue, Queue.open(tmp_path / "jobs.db", busy_timeout=0.01) as idle:
        idle.claim(["t"])
        queue.database.connection().execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        assert [idle.claim(["t"]), idle.rescue()] == [[], []]
        assert time.monotonic() - started < 5
        queue.database.connection().execute("ROLLBACK")
