"""Works are audited and moved on by the server, after a time in which clients may do so; or only by these."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest
from tests.support.clock import SetClock
from tests.support.workflow import OF_2

from clx import Queue
from clx.db.works.searching import Search
from clx.db.works.withdrawing import Asked
from clx.server.sweeping import RESTED, Sweep


def fail(queue: Queue) -> None:
    held = queue.works.withdraw(Asked(("sample",)))
    assert held is not None
    assert queue.works.update([{**held, "status": "failure"}], again=False) == [True]


def seen(queue: Queue) -> tuple[str, bool, bool]:
    (found,) = queue.works.find(Search()).works
    return found.document["status"], found.in_bucket, found.in_results


@pytest.mark.parametrize("maintains", [True, False])
def test_what_failed_is_tried_again_and_what_has_ended_moves_on(queue: Queue, maintains: bool) -> None:
    queue.works.deposit([OF_2])
    usual = queue.database.clock
    for after in (("queued", True, False), ("failure", False, True)):
        fail(queue)
        Sweep(queue, maintains=maintains).look()
        assert seen(queue) == ("failure", True, False)
        queue.database.clock = SetClock(usual.now() + round(RESTED * 1000) + 1000)
        Sweep(queue, maintains=maintains).look()
        queue.database.clock = usual
        if not maintains:
            assert seen(queue) == ("failure", True, False)
            assert queue.works.audit("failed") == int(after[0] == "queued")
        else:
            assert seen(queue) == after


def test_a_look_at_many_that_wait_reads_none_of_them_and_keeps_nobody_from_writing(queue: Queue) -> None:
    queue.works.deposit([{**OF_2, "creation": n, "pipeline": f"p-{n % 3}"} for n in range(300)])
    queue.database.connection().execute("ANALYZE")
    sql = queue.database.sql
    for asked in (sql.movable_works, sql.failed_works, sql.overdue_works):
        named = {"n": 10, "before": 0, "now": 0} if asked is sql.overdue_works else {"n": 10, "before": 0}
        plan = [row[3] for row in queue.database.read(f"EXPLAIN QUERY PLAN {asked}", named)]
        assert any("works_bucket (pipeline=? AND status=?)" in step for step in plan), "\n".join(plan)
        assert not [step for step in plan if step.startswith(("SCAN w", "SCAN j"))], plan
    with contextlib.closing(sqlite3.connect(queue.database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert queue.works.move_on(rested=RESTED) == queue.works.audit("failed", rested=RESTED) == 0
    assert queue.works.buckets() == ["p-0", "p-1", "p-2"]


def test_works_are_maintained_on_a_server(postgresql: str) -> None:
    with Queue.open(postgresql) as queue:
        queue.works.deposit([{**OF_2, "pipeline": name} for name in ("a", "b", "c")])
        for name, status in (("a", "success"), ("b", "failure")):
            held = queue.works.withdraw(Asked((name,)))
            assert held is not None
            assert queue.works.update([{**held, "status": status}], again=False) == [True]
        assert (queue.works.move_on(), queue.works.audit("failed"), queue.works.audit("expired")) == (1, 1, 0)
        assert queue.works.buckets() == ["b", "c"]
        assert queue.works.status() == {"queued": 2, "running": 0, "success": 0, "failure": 0, "cancelled": 0}
