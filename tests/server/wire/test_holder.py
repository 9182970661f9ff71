"""What clients have withdrawn is held by its lease alone: servers come and go, nobody takes its holder for dead."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.clock import SetClock

from clx import Queue
from clx.db.identity import BY_LEASE
from clx.db.workers import WorkerTable
from clx.db.works.withdrawing import Asked
from clx.server.sweeping import Sweep
from clx.server.wire.holder import TYPE, Holder
from clx.settings.schema import JobsSettings
from clx.workers.liveness import mark_lost


def take(queue: Queue, holder: Holder) -> str:
    found = holder.with_id(lambda worker: queue.works.withdraw(Asked(("p",)), worker=worker))
    assert found is not None
    return str(found["id"])


def status(queue: Queue, work_id: str) -> tuple[str, int]:
    found = queue.works.get(work_id)
    assert found is not None
    return found.document["status"], found.document["attempt"]


def test_servers_may_end_and_a_holder_may_be_silent_for_ever(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as first:
        first.works.deposit([{"pipeline": "p", "timeout": 7200}])
        work_id = take(first, Holder(first))
    with Queue.open(tmp_path / "jobs.db") as second:
        second.database.clock = SetClock(second.database.clock.now() + 3_600_000)
        sweep = Sweep(second)
        for _ in range(3):
            sweep.look()
            assert mark_lost(second.database, JobsSettings()) == []
        assert status(second, work_id) == ("running", 1)


def test_several_servers_have_one_holder(queue: Queue) -> None:
    queue.works.deposit([{"pipeline": "p"}, {"pipeline": "p"}])
    for _ in range(2):
        take(queue, Holder(queue))
    (row,) = WorkerTable(queue.database).list()
    assert (row.type, row.identity) == (TYPE, BY_LEASE)


def test_one_that_was_struck_off_gets_a_successor(queue: Queue) -> None:
    queue.works.deposit([{"pipeline": "p"}, {"pipeline": "p"}])
    holder = Holder(queue)
    take(queue, holder)
    (row,) = WorkerTable(queue.database).list()
    WorkerTable(queue.database).end(row.id, "by hand")
    take(queue, holder)


@pytest.mark.parametrize("others", [0, 3])
def test_a_lease_that_is_over_counts_as_an_attempt_whoever_else_is_held(tmp_path: Path, others: int) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        holder = Holder(queue)
        queue.works.deposit([{"pipeline": "p", "timeout": 60, "retries": 2, "priority": 5}])
        queue.works.deposit([{"pipeline": "p", "timeout": 7200, "priority": 1}] * others)
        for attempt in (1, 2):
            work_id = take(queue, holder)
            for _ in range(others if attempt == 1 else 0):
                take(queue, holder)
            assert status(queue, work_id) == ("running", attempt)
            queue.database.clock = SetClock(queue.database.clock.now() + 61_000)
            queue.rescue()
        assert status(queue, work_id) == ("failure", 2)
