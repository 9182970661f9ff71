"""Rules 4 and 5: leases, rescue, causes, parking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.clock import at

from clx.db import worker_side
from clx.db.jobs import NewJob, Queue
from clx.db.workers import WorkerTable, register_this_process


def test_a_lease_is_over_at_its_last_moment_and_not_before(queue: Queue) -> None:
    at(queue, 0).enqueue(NewJob("t"))
    job = at(queue, 0).claim(["t"], lease=100)[0]

    assert at(queue, 99).rescue() == []
    assert at(queue, 100).rescue() == [job.id]
    assert at(queue, 100).rescue() == []


def test_a_lease_that_is_renewed_after_the_look_is_left_alone(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look takes no lock: its worker may be the first to get that."""
    at(queue, 0).enqueue(NewJob("t"))
    job = at(queue, 0).claim(["t"], lease=100)[0]
    write = queue.database.write

    def after_a_heartbeat(name: str, body: Callable[[Any], Any]) -> Any:
        if name == "rescue":
            at(queue, 99).heartbeat(job.id, job.run)
        return write(name, body)

    monkeypatch.setattr(queue.database, "write", after_a_heartbeat)

    assert at(queue, 100).rescue() == []
    assert queue.stats() == {"t": {"running": 1}}


def test_a_heartbeat_keeps_a_job_for_hours(queue: Queue) -> None:
    at(queue, 0).enqueue(NewJob("t"))
    job = at(queue, 0).claim(["t"], lease=100)[0]
    for now in range(50, 10_000, 50):
        assert at(queue, now).rescue() == []
        at(queue, now).heartbeat(job.id, job.run, lease=100)


def test_a_rescue_names_the_cause_and_counts_the_run(queue: Queue) -> None:
    at(queue, 0).enqueue(NewJob("t"))
    job = at(queue, 0).claim(["t"], lease=100)[0]

    cause = {"kind": "signal", "signal": 9}
    assert at(queue, 5).rescue_worker(job.worker_id or 0, cause, stderr="last words") == [job.id]

    (run,) = queue.runs(job.id)
    assert (run["outcome"], run["cause"], run["stderr"], run["run"]) == ("rescued", cause, "last words", 1)
    found = queue.get(job.id)
    assert found is not None
    assert (found.state, found.kills, found.worker_id, found.lease_until) == ("queued", 1, None, None)


def _lose(queue: Queue, cause: str, now: int) -> None:
    """The only worker claims a job and is lost with it."""
    (job,) = at(queue, now).claim(["t"], lease=100)
    if cause == "silent":
        assert at(queue, now + 500).rescue() == [job.id]
    else:
        assert at(queue, now + 500).rescue_worker(job.worker_id or 0, {"kind": cause}) == [job.id]


@pytest.mark.parametrize(
    ("causes", "message", "kills"),
    [
        (["gone", "gone", "gone"], "killed its worker 3 times", 3),
        (["silent", "silent", "silent"], "its worker was silent for a lease, 3 times", 0),
        (["silent", "gone", "silent"], "killed its worker; its worker was silent for a lease, 2 times", 1),
        (["gone"], "killed its worker", 1),
        (["silent"], "its worker was silent for a lease", 0),
    ],
)
def test_a_job_whose_workers_are_lost_is_parked(queue: Queue, causes: list[str], message: str, kills: int) -> None:
    """Silence is no kill: it is counted as a run and told as what it was."""
    at(queue, 0).enqueue(NewJob("t", max_runs=len(causes)))
    for now, cause in enumerate(causes):
        _lose(queue, cause, 1000 * now)

    job = queue.search(state="failed")[0]
    assert job.error is not None
    assert job.error["message"] == message
    assert job.error["cause"] == {"kind": causes[-1]}
    assert (job.kills, job.rescues) == (kills, len(causes))
    assert [run["outcome"] for run in queue.runs(job.id)] == ["rescued"] * len(causes)


@pytest.mark.parametrize("cause", ["gone", "silent"])
def test_jobs_held_beside_others_when_their_worker_is_lost_are_innocent(queue: Queue, cause: str) -> None:
    at(queue, 0).enqueue_many([NewJob("t", max_runs=1) for _ in range(3)])
    held = at(queue, 0).claim(["t"], 3, lease=100)

    if cause == "silent":
        at(queue, 500).rescue()
    else:
        at(queue, 500).rescue_worker(held[0].worker_id or 0, {"kind": cause})

    found = queue.search()
    assert [(job.state, job.run - job.released, job.kills, job.rescues) for job in found] == [("queued", 0, 0, 1)] * 3
    assert {run["outcome"] for job in held for run in queue.runs(job.id)} == {"released"}
    again = at(queue, 600).settle((), ["t"], 3, worker=held[0].worker_id, harmless=True).claimed
    assert len(again) == 1  # alone: if it is the culprit, that is known the next time


def test_a_worker_that_goes_on_finding_work_takes_what_silent_ones_hold(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rescue must not wait for the end of a backlog that never ends."""
    monkeypatch.setattr(worker_side, "_RESCUE_EVERY", 0.0)
    urgent = at(queue, 0).enqueue(NewJob("t", priority=5))
    at(queue, 0).claim(["t"], lease=100)
    at(queue, 0).enqueue_many([NewJob("t") for _ in range(5)])

    assert urgent in [at(queue, 200).claim(["t"])[0].id for _ in range(3)]


def test_after_the_first_kill_at_once_after_the_second_last(queue: Queue) -> None:
    killer = at(queue, 0).enqueue(NewJob("t", max_runs=5, priority=5))
    others = at(queue, 0).enqueue_many([NewJob("t", priority=1) for _ in range(2)])
    for now in (0, 1000):
        assert at(queue, now).claim(["t"], lease=100)[0].id == killer
        at(queue, now + 500).rescue()

    claimed = [at(queue, 2000).claim(["t"])[0].id for _ in range(3)]  # one by one: the order is the table's
    assert claimed == [*others, killer]


def test_among_those_that_are_claimed_last_the_usual_order_holds(queue: Queue) -> None:
    often = at(queue, 0).enqueue(NewJob("t", max_runs=9, priority=5))
    for now in (0, 1000, 2000, 3000):
        assert at(queue, now).claim(["t"], lease=100)[0].id == often
        at(queue, now + 500).rescue()
    twice = at(queue, 4000).enqueue(NewJob("t", max_runs=9, priority=1))
    for now in (4000, 5000):
        assert at(queue, now).claim(["t"], lease=100)[0].id == twice
        at(queue, now + 500).rescue()

    assert [at(queue, 6000).claim(["t"])[0].id for _ in range(2)] == [often, twice]


def test_a_worker_ended_on_purpose_gives_its_jobs_back_uncounted(queue: Queue) -> None:
    at(queue, 0).enqueue_many([NewJob("t"), NewJob("t")])
    jobs = at(queue, 0).claim(["t"], 2)

    assert at(queue, 5).release_worker(jobs[0].worker_id or 0) == [job.id for job in jobs]
    assert [job.released for job in at(queue, 6).claim(["t"], 2)] == [1, 1]


def test_only_the_dead_workers_jobs_are_taken(queue: Queue) -> None:
    at(queue, 0).enqueue_many([NewJob("t"), NewJob("t")])
    one, two = (register_this_process(queue.database, "t") for _ in range(2))
    first = at(queue, 0).claim(["t"], worker=one)[0]
    second = at(queue, 0).claim(["t"], worker=two)[0]

    assert at(queue, 1).rescue_worker(one, {"kind": "gone"}) == [first.id]
    at(queue, 2).finish(second.id, second.run)


def test_whoever_finds_nothing_that_waits_takes_what_silent_workers_hold(queue: Queue) -> None:
    job_id = at(queue, 0).enqueue(NewJob("t"))
    at(queue, 0).claim(["t"], lease=100)

    assert at(queue, 99).claim(["t"]) == []
    assert [(job.id, job.run, job.rescues) for job in at(queue, 100).claim(["t"])] == [(job_id, 2, 1)]


def test_a_job_put_in_the_place_of_another_starts_afresh(queue: Queue) -> None:
    job_id = at(queue, 0).enqueue(NewJob("t", key="k"))
    for now in (0, 1000):
        at(queue, now).claim(["t"], lease=100)
        at(queue, now + 500).rescue()

    at(queue, 2000).enqueue(NewJob("t", key="k", max_runs=2), on_conflict="replace")

    job = at(queue, 2000).claim(["t"])[0]
    assert (job.id, job.run, job.kills, job.error) == (job_id, 3, 0, None)
    assert at(queue, 2001).fail(job.id, job.run, {"message": "no"}, retry=True, backoff=0) == "queued"
    again = at(queue, 2002).claim(["t"])[0]
    assert at(queue, 2003).fail(again.id, again.run, {"message": "no"}, retry=True) == "failed"


def test_a_rescue_is_no_sign_of_life_of_the_silent_worker(queue: Queue) -> None:
    at(queue, 0).enqueue(NewJob("t"))
    job = at(queue, 0).claim(["t"], lease=100)[0]
    before = WorkerTable(queue.database).get(job.worker_id or 0)
    at(queue, 10**14).rescue()

    after = WorkerTable(queue.database).get(job.worker_id or 0)
    assert before is not None
    assert after is not None
    assert (after.heartbeat_at, after.jobs_failed) == (before.heartbeat_at, 1)


def test_a_claim_after_a_fruitful_one_finds_what_silent_workers_hold(queue: Queue) -> None:
    first, second = at(queue, 0).enqueue_many([NewJob("t"), NewJob("t")])
    at(queue, 0).claim(["t"], lease=100)
    assert at(queue, 0).claim(["t"], lease=10_000)[0].id == second

    assert [job.id for job in at(queue, 500).claim(["t"])] == [first]


def _looks(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """What each look for silent workers took, from now on."""
    looks: list[list[int]] = []
    rescue = queue.rescue

    def noted(**how: int | None) -> list[int]:
        looks.append(rescue(**how))
        return looks[-1]

    monkeypatch.setattr(queue, "rescue", noted)
    return looks


def test_claims_that_find_work_look_for_silent_workers_now_and_again_only(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look costs more than a claim."""
    monkeypatch.setattr(worker_side, "_RESCUE_EVERY", 3600.0)
    ids = at(queue, 0).enqueue_many([NewJob("t") for _ in range(5)])
    looks = _looks(queue, monkeypatch)

    claimed = [at(queue, now).claim(["t"], lease=100)[0].id for now in (0, 1, 500, 501)]

    assert claimed == ids[:4]
    assert looks == [[]]


def test_claims_that_find_nothing_look_for_silent_workers_once_each(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_side, "_RESCUE_EVERY", 0.0)
    looks = _looks(queue, monkeypatch)

    assert [at(queue, now).claim(["t"]) for now in (0, 1)] == [[], []]
    assert looks == [[], []]
