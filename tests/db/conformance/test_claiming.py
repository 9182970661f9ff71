"""Claiming: rule 8 (order), pools, types, leases, and what a claim does to the worker's row."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support.clock import at

from clx.db import statements as sql
from clx.db import worker_side
from clx.db.jobs import Job, NewJob, Queue, Success
from clx.db.workers import WorkerTable
from clx.errors import LostWorkerError


def _names(queue: Queue, n: int = 1) -> list[str]:
    return [job.payload["name"] for job in at(queue, 100).claim(["t"], n)]


def test_claim_order_is_priority_then_deadline_then_id(queue: Queue) -> None:
    for name, priority, deadline in [
        ("third", 3, None), ("fourth", 3, None), ("last", 1, 5), ("second", 3, 900), ("first", 5, None),
    ]:  # fmt: skip
        at(queue, 1).enqueue(NewJob("t", {"name": name}, priority=priority, deadline=deadline))

    assert [_names(queue)[0] for _ in range(5)] == ["first", "second", "third", "fourth", "last"]


def test_a_batch_of_claims_comes_in_claim_order_too(queue: Queue) -> None:
    at(queue, 1).enqueue_many([NewJob("t", {"name": str(n)}, priority=1 + n % 5) for n in range(20)])

    names = _names(queue, 12)

    assert names == [str(n) for p in (4, 3, 2) for n in range(20) if n % 5 == p]


def test_workers_take_only_their_types_and_their_pool(queue: Queue) -> None:
    queue.enqueue(NewJob("t", pool="batch:1"))
    queue.enqueue(NewJob("u"))

    assert queue.claim(["t"]) == []
    assert [job.type for job in queue.claim(["t", "u"], 5)] == ["u"]
    assert [job.type for job in queue.claim(["t"], pool="batch:1")] == ["t"]


def test_the_claim_order_is_that_over_all_types(queue: Queue) -> None:
    queue.enqueue_many(
        [
            NewJob("bulk", {"n": 5}, priority=1),
            NewJob("mail", {"n": 1}, priority=5),
            NewJob("bulk", {"n": 3}),
            NewJob("mail", {"n": 4}),
            NewJob("bulk", {"n": 2}, priority=4),
        ]
    )

    first = [queue.claim(["bulk", "mail", "bulk"])[0].payload["n"] for _ in range(2)]
    rest = [job.payload["n"] for job in queue.claim(["bulk", "mail"], 9)]
    assert first + rest == [1, 2, 3, 4, 5]


def test_the_claim_order_is_that_over_very_many_types(queue: Queue) -> None:
    """More than one statement looks at."""
    types = [f"type-{n}" for n in range(70)]
    ids = queue.enqueue_many([NewJob(each, priority=1 + n % 5) for n, each in enumerate(types)])
    at_once = queue.settle((), types, 3, worker=queue.worker_for(types), harmless=True).claimed
    rest = [queue.claim(types)[0] for _ in range(3)] + queue.claim(types, 100)

    assert [job.id for job in (*at_once, *rest)] == sorted(ids, key=lambda id_: (-((id_ - ids[0]) % 5), id_))
    assert not queue.may_claim(types)
    queue.enqueue(NewJob("type-69"))
    assert queue.may_claim(types)


def test_steady_work_of_one_type_starves_no_urgent_work_of_another(queue: Queue) -> None:
    queue.enqueue_many([NewJob("bulk", priority=1) for _ in range(50)])
    queue.claim(["bulk", "mail"])
    urgent = queue.enqueue(NewJob("mail", priority=5))

    assert queue.claim(["bulk", "mail"])[0].id == urgent


def test_each_claim_starts_a_new_run_under_a_lease(queue: Queue) -> None:
    at(queue, 1).enqueue(NewJob("t"))

    job = at(queue, 10).claim(["t"], lease=500)[0]

    assert (job.run, job.state, job.started_at, job.lease_until) == (1, "running", 10, 510)
    assert at(queue, 10).claim(["t"]) == []


def test_a_worker_is_busy_while_it_holds_a_job(queue: Queue) -> None:
    queue.enqueue_many([NewJob("t"), NewJob("t")])
    first, second = queue.claim(["t"], 2)
    table = WorkerTable(queue.database)

    def look() -> tuple[str, int | None, int, int]:
        row = table.list()[0]
        return row.state, row.job_id, row.jobs_succeeded, row.jobs_failed

    assert look() == ("busy", first.id, 0, 0)
    queue.finish(first.id, first.run)
    assert look() == ("busy", second.id, 1, 0)
    queue.fail(second.id, second.run, {"message": "no"})
    assert look() == ("idle", None, 1, 1)


def test_a_worker_that_was_struck_off_gets_nothing(queue: Queue) -> None:
    queue.enqueue_many([NewJob("t"), NewJob("t")])
    job = queue.claim(["t"])[0]
    WorkerTable(queue.database).end(job.worker_id or 0, "taken for dead", dead=True)

    with pytest.raises(LostWorkerError):
        queue.claim(["t"])
    assert queue.stats() == {"t": {"queued": 1, "running": 1}}


def test_a_worker_ends_once(queue: Queue) -> None:
    """Who sweeps and who ends in order may meet; the first one's reason stays."""
    queue.enqueue(NewJob("t"))
    worker = queue.claim(["t"])[0].worker_id or 0
    table = WorkerTable(queue.database)

    assert at(table, 10).end(worker, "stopped") is True
    assert at(table, 20).end(worker, "its process is gone", dead=True) is False

    row = table.get(worker)
    assert row is not None
    assert (row.state, row.reason, row.ended_at) == ("stopped", "stopped", 10)


def test_settling_reports_and_claims_in_one_transaction(queue: Queue) -> None:
    queue.enqueue_many([NewJob("t", {"n": n}) for n in range(3)])
    first = queue.claim(["t"])[0]

    settled = queue.settle([Success(first.id, first.run, "done")], ["t"], 5)

    assert [job.payload["n"] for job in settled.claimed] == [1, 2]
    assert settled.lost == []
    found = queue.get(first.id)
    assert found is not None
    assert found.result == "done"


def test_settling_names_reports_that_were_lost_and_takes_the_others(queue: Queue) -> None:
    at(queue, 1).enqueue_many([NewJob("t"), NewJob("t")])
    first, second = at(queue, 1).claim(["t"], 2, lease=10)
    at(queue, 2).finish(first.id, first.run)
    at(queue, 100).rescue()

    lost = Success(second.id, second.run, "too late")
    job = at(queue, 101).claim(["t"], lease=10)[0]
    settled = at(queue, 102).settle([lost, Success(job.id, job.run, "in time")])

    assert settled.lost == [lost]
    found = queue.get(second.id)
    assert found is not None
    assert (found.result, found.run) == ("in time", 2)


def test_jobs_that_could_harm_their_neighbours_are_held_alone(queue: Queue) -> None:
    queue.enqueue(NewJob("t", {"name": "once"}, max_runs=1, priority=4))
    queue.enqueue_many([NewJob("t", {"name": str(n)}) for n in range(4)])
    queue.enqueue(NewJob("t", {"name": "killer"}, priority=5))
    killer = queue.claim(["t"])[0]
    queue.rescue_worker(killer.worker_id or 0, {"kind": "signal", "signal": 9})

    def take() -> list[str]:
        return [job.payload["name"] for job in queue.settle((), ["t"], 10, harmless=True).claimed]

    assert take() == ["killer"]
    assert take() == ["once"]
    assert take() == ["0", "1", "2", "3"]


_DEATHS: dict[str, Callable[[Queue, Job], list[int]]] = {
    "killed": lambda queue, job: queue.rescue_worker(job.worker_id or 0, {"kind": "signal", "signal": 9}),
    "silent": lambda queue, job: at(queue, 10**14).rescue(),
}


@pytest.mark.parametrize("death", _DEATHS)
def test_a_job_taken_from_a_worker_is_held_beside_no_other_wherever_it_stands(queue: Queue, death: str) -> None:
    taken = queue.enqueue(NewJob("t", {"name": "taken"}, priority=4))
    _DEATHS[death](queue, queue.claim(["t"])[0])
    queue.enqueue(NewJob("t", {"name": "first"}, priority=5))
    queue.enqueue(NewJob("t", {"name": "second"}, priority=3))

    def take() -> list[str]:
        return [job.payload["name"] for job in queue.settle((), ["t"], 10, harmless=True).claimed]

    assert [take(), take()] == [["first", "second"], ["taken"]]
    assert queue.runs(taken)[0]["outcome"] == "rescued"


def test_a_job_that_could_harm_its_neighbours_is_left_for_a_claim_of_its_own(queue: Queue) -> None:
    names = {"first": 5, "once": 4, "second": 3}
    for name, priority in names.items():
        queue.enqueue(NewJob("t", {"name": name}, priority=priority, max_runs=1 if name == "once" else 3))

    def take() -> list[str]:
        return [job.payload["name"] for job in queue.settle((), ["t"], 10, harmless=True).claimed]

    assert [take(), take()] == [["first", "second"], ["once"]]


def _traced(queue: Queue) -> list[str]:
    """Every statement from now on, but for a look at what lies behind all that is queued: that is due by the time."""
    statements: list[str] = []
    queue.database.find_marks = lambda *_, **__: None  # type: ignore[method-assign]
    queue.database.connection().set_trace_callback(statements.append)
    return statements


@pytest.mark.parametrize("n", [1, 99])
def test_a_claim_among_many_does_nothing_but_claim(queue: Queue, n: int) -> None:
    """It looks for nothing before it takes the lock, lets nobody in where nobody is due, and asks once."""
    at(queue, 0).enqueue_many([NewJob("t") for _ in range(9)])
    for now in (1, 2):  # whether there is a job, and whether anybody is silent, has been looked at
        at(queue, now).claim(["t"])
    statements = _traced(queue)

    assert len(at(queue, 3).claim(["t"], n)) == min(n, 7)

    assert [statement.split()[0] for statement in statements] == ["BEGIN", "SELECT", "UPDATE", "COMMIT"]


def test_delayed_jobs_are_let_in_by_slices_with_pauses_while_others_can_be_claimed(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "PROMOTED", 2)
    monkeypatch.setattr(worker_side, "_FLOOD_PAUSE", 3600.0)
    at(queue, 0).enqueue_many([NewJob("t") for _ in range(3)])
    at(queue, 0).enqueue_many([NewJob("t", not_before=1000) for _ in range(5)])

    still_outside = []
    while at(queue, 2000).claim(["t"]):
        still_outside += queue.sql("SELECT count(*) AS n FROM jobs WHERE ready = 0")

    # two with the first claim, and no more before all five that could be claimed had been
    assert [row["n"] for row in still_outside] == [3, 3, 3, 3, 3, 1, 1, 0]
    statements = _traced(queue)
    assert at(queue, 2000).settle((), ["t"], 1).claimed == []
    assert [statement.split()[0] for statement in statements] == ["BEGIN", "SELECT", "UPDATE", "COMMIT"]


def test_a_claim_lets_in_one_slice_of_delayed_jobs_of_other_types(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "PROMOTED", 2)
    at(queue, 0).enqueue_many([NewJob("u", not_before=1000) for _ in range(5)])

    assert at(queue, 2000).claim(["t"]) == []

    assert queue.sql("SELECT count(*) AS n FROM jobs WHERE ready = 0") == [{"n": 3}]


def test_delayed_jobs_that_are_few_are_let_in_at_once(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each at its moment, before others of less priority; no pause follows."""
    monkeypatch.setattr(worker_side, "_FLOOD_PAUSE", 3600.0)
    at(queue, 0).enqueue_many([NewJob("t", {"name": "plain"}, priority=1) for _ in range(3)])
    for moment in (100, 200):
        at(queue, 0).enqueue(NewJob("t", {"name": str(moment)}, priority=5, not_before=moment))

    names = [at(queue, now).claim(["t"])[0].payload["name"] for now in (99, 100, 199, 200)]

    assert names == ["plain", "100", "plain", "200"]
