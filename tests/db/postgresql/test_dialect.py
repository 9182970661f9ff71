"""What PostgreSQL is asked: few statements however many jobs, by indexes however long the table is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from clx.db.jobs import NewJob, Queue, Success
from clx.db.leases import renew
from clx.db.postgresql.database import BY_INDEX
from clx.db.postgresql.dialect import DIALECT
from clx.db.postgresql.parameters import bound

_ENDED = "UPDATE jobs SET state = 'succeeded', ready = 1, run = 1, finished_at = 1 WHERE id <= 100000"
_CLAIM = {"worker": 1, "lease": 1000, "until": 10**13, "now": 1, "pool": "", "type": "t", "n": 64, "promote": 1}
_BOTTOM = "{0,0,0,0,0}"


@pytest.fixture
def queue(postgresql: str) -> Iterator[Queue]:
    """An empty queue."""
    with Queue.open(postgresql) as queue:
        yield queue


def _kinds(queue: Queue) -> list[str]:
    """The statements that follow, without those that are due at a time, whatever else is done.

    These are: the telling of others, and the look for where the waiting jobs begin.
    """
    statements: list[str] = []

    def note(text: str) -> None:
        if "pg_notify" not in text and "pg_current_snapshot" not in text:
            statements.append(text.split()[0].rstrip(";"))

    queue.database.connection().set_trace_callback(note)
    return statements


@pytest.mark.parametrize("n", [1, 7, 300])
def test_many_reports_and_the_next_claim_take_six_statements_and_four_round_trips(
    queue: Queue, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.enqueue_many([NewJob("t", {"n": each}) for each in range(2 * n)])
    held = queue.claim(["t"], n)
    together: list[int] = []
    connection = type(queue.database.connection())
    once = connection.together
    monkeypatch.setattr(connection, "together", lambda self, them: together.append(len(them)) or once(self, them))  # type: ignore[func-returns-value]
    kinds = _kinds(queue)

    settled = queue.settle(
        [Success(job.id, job.run, job.payload) for job in held], ["t"], n, worker=held[0].worker_id, harmless=True
    )

    assert (len(settled.claimed), settled.lost) == (n, [])
    assert kinds == ["BEGIN", "WITH", "SELECT", "SELECT", "UPDATE", "COMMIT"]
    assert together == [4]
    assert [job.payload["n"] for job in settled.claimed] == list(range(n, 2 * n))
    assert queue.get(held[-1].id).result == held[-1].payload  # type: ignore[union-attr]


def _plan(queue: Queue, statement: str, params: dict[str, Any]) -> dict[str, Any]:
    """What was done for a statement, which is undone then."""
    text, values = bound(statement, params)
    connection = queue.database.connection()
    connection.control(f"BEGIN{BY_INDEX}")
    try:
        rows = connection.raw.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}", values).fetchone()[0]
    finally:
        connection.control("ROLLBACK")
    [found] = json.loads(rows) if isinstance(rows, str) else rows
    return dict(found["Plan"])


def _pages(plan: dict[str, Any]) -> int:
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def test_a_claim_reads_by_its_index_and_little_in_a_long_table(queue: Queue) -> None:
    # its statistics are what the next test is about
    queue.database.write("fill", lambda tx: tx.execute("ALTER TABLE jobs SET (autovacuum_enabled = false)"))
    queue.enqueue_many([NewJob("t") for _ in range(1000)])
    short = _pages(_plan(queue, DIALECT.claim_company, {**_CLAIM, "marks": _BOTTOM}))
    queue.cancel([row["id"] for row in queue.sql("SELECT id FROM jobs")])
    queue.enqueue_many([NewJob("t") for _ in range(200_000)])
    queue.database.write("fill", lambda tx: tx.execute(_ENDED))

    marks = _BOTTOM
    while "100001" not in marks:  # which takes two looks, with a pause
        marks = queue.database.frontiers.marks("", "t")  # type: ignore[attr-defined]
        queue.database.find_marks("", ["t"])
    plan = _plan(queue, DIALECT.claim_company, {**_CLAIM, "marks": marks})

    told = json.dumps(plan)
    assert '"Index Name": "jobs_claim"' in told
    assert "Seq Scan" not in told.replace('"Relation Name": "paused"', "")
    once = re.findall(r'"Index Name": "(\w+)"', told)
    assert set(once) <= {"jobs_again", "jobs_claim", "jobs_delayed", "jobs_pkey", "paused_pkey"}
    assert _pages(plan) <= 1.5 * short, f"entries of the index are passed whose jobs have ended: {told}"


@pytest.mark.parametrize("ended", [100, 1000, 3000])
def test_a_claim_is_short_when_many_jobs_come_after_statistics_of_none(queue: Queue, ended: int) -> None:
    queue.enqueue_many([NewJob("t") for _ in range(1000)])
    short = _pages(_plan(queue, DIALECT.claim_company, {**_CLAIM, "marks": _BOTTOM}))
    queue.enqueue_many([NewJob("t") for _ in range(ended)])
    queue.cancel([row["id"] for row in queue.sql("SELECT id FROM jobs")])
    queue.enqueue_many([NewJob("t") for _ in range(ended // 50)])
    queue.database.vacuum()
    queue.enqueue_many([NewJob("t") for _ in range(30_000)])
    assert _pages(_plan(queue, DIALECT.claim_company, {**_CLAIM, "marks": _BOTTOM})) <= 1.5 * short


@pytest.mark.parametrize("analyzed_at", [(), (20_000,), (40_000,)])
def test_a_claim_does_not_pass_the_jobs_of_other_ranks(queue: Queue, analyzed_at: tuple[int, ...]) -> None:
    queue.enqueue_many([NewJob("t") for _ in range(1000)])
    short = _pages(_plan(queue, DIALECT.claim_company, {**_CLAIM, "marks": _BOTTOM}))
    for so_many in (20_000, 40_000):
        queue.enqueue_many([NewJob("t") for _ in range(20_000)])
        if so_many in analyzed_at:
            queue.database.vacuum()
        plan = _plan(queue, DIALECT.claim_company, {**_CLAIM, "marks": _BOTTOM})
        assert _pages(plan) <= 1.5 * short


@pytest.mark.parametrize("analyzed", [False, True])
def test_reports_find_their_jobs_by_id_and_are_linear(queue: Queue, analyzed: bool) -> None:
    queue.enqueue_many([NewJob("t") for _ in range(3000)])
    held = sorted((job.id, job.run) for job in queue.claim(["t"], 1000))
    if analyzed:
        queue.database.vacuum()
    params = {**DIALECT.succeeding([(*each, "null", None) for each in held]), "now": 1, "worker": 1}

    plan = json.dumps(_plan(queue, DIALECT.succeed_many, params))

    assert '"Index Name": "jobs_pkey"' in plan
    assert "jobs_running" not in plan
    assert "Seq Scan" not in plan
    assert '"Node Type": "CTE Scan", "Parent Relationship": "Inner"' not in plan


def test_heartbeats_leave_the_indexes_alone(queue: Queue) -> None:
    queue.enqueue_many([NewJob("t") for _ in range(20)])
    held = queue.claim(["t"], 20)
    queue.database.vacuum()
    counts = (
        "SELECT pg_stat_get_xact_tuples_updated(c.oid), pg_stat_get_xact_tuples_hot_updated(c.oid) "
        "FROM pg_class c WHERE c.oid = CAST('jobs' AS regclass)"
    )

    def body(tx: Any) -> tuple[int, int]:
        before = tx.execute(counts).fetchone()
        for job in held:
            assert renew(tx, job.id, job.run, 60_000) == (job.worker_id, False)
        after = tx.execute(counts).fetchone()
        return after[0] - before[0], after[1] - before[1]

    found = [queue.database.write("heartbeat", body) for _ in range(5)]

    assert [updated for updated, _ in found] == [20] * 5
    assert sum(hot for _, hot in found) >= 80  # else a page was full, once


def test_no_index_has_what_a_heartbeat_changes(queue: Queue) -> None:
    indexes = queue.sql("SELECT indexdef FROM pg_indexes WHERE schemaname = 'clx' AND tablename IN ('jobs', 'workers')")
    assert len(indexes) > 9
    assert [row for row in indexes if re.search(r"lease|progress|heartbeat_at", row["indexdef"])] == []


def test_heartbeats_do_not_wait_for_the_disk_and_reports_do(queue: Queue) -> None:
    setting = "SELECT current_setting('synchronous_commit')"
    for name, expected in (("heartbeat", "off"), ("beat", "off"), ("settle", "on"), ("enqueue", "on")):
        assert queue.database.write(name, lambda tx: tx.execute(setting).fetchone()[0]) == expected
