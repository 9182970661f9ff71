"""What workers report: rules 2 (fence), 3 (one outcome), 7 (cancelling), retries, backoff."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.clock import at

from clx.db.check import check
from clx.db.jobs import Failure, Job, NewJob, Queue, Success
from clx.db.sqlite.database import SqliteDatabase
from clx.db.workers import WorkerTable
from clx.errors import LostRunError


def _claim(queue: Queue, now: int = 10) -> Job:
    return at(queue, now).claim(["t"], lease=100)[0]


def _state(queue: Queue, job_id: int) -> str:
    job = queue.get(job_id)
    assert job is not None
    return job.state


def test_finish_records_result_and_run(queue: Queue) -> None:
    at(queue, 1).enqueue(NewJob("t"))
    job = _claim(queue)

    at(queue, 25).finish(job.id, job.run, {"answer": 42}, peak_memory=1000)

    found = queue.get(job.id)
    assert found is not None
    assert (found.state, found.result, found.finished_at, found.lease_until) == (
        "succeeded", {"answer": 42}, 25, None,
    )  # fmt: skip
    (run,) = queue.runs(job.id)
    assert (run["outcome"], run["started_at"], run["ended_at"], run["peak_memory"]) == ("succeeded", 10, 25, 1000)


_REPORTS: dict[str, Callable[[Queue, int, int], Any]] = {
    "finish": lambda queue, job_id, run: queue.finish(job_id, run),
    "fail": lambda queue, job_id, run: queue.fail(job_id, run, {"message": "no"}),
    "release": lambda queue, job_id, run: queue.release(job_id, run),
    "end_cancelled": lambda queue, job_id, run: queue.end_cancelled(job_id, run),
    "heartbeat": lambda queue, job_id, run: queue.heartbeat(job_id, run),
    "progress": lambda queue, job_id, run: queue.heartbeat(job_id, run, progress={"done": 1}),
}


@pytest.mark.parametrize("report", _REPORTS)
@pytest.mark.parametrize("meanwhile", ["rescued", "running elsewhere", "finished elsewhere", "cancelled", "never ran"])
def test_a_worker_that_was_given_up_on_changes_nothing_and_is_told(queue: Queue, report: str, meanwhile: str) -> None:
    job_id = at(queue, 1).enqueue(NewJob("t"))
    run = 1
    if meanwhile != "never ran":
        job = _claim(queue)
        at(queue, 1000).rescue_worker(job.worker_id or 0, {"kind": "gone"})
        if meanwhile in {"running elsewhere", "finished elsewhere"}:
            again = _claim(queue, 1001)
            if meanwhile == "finished elsewhere":
                at(queue, 1002).finish(again.id, again.run, "theirs")
        elif meanwhile == "cancelled":
            at(queue, 1001).cancel([job.id])
    before, runs = queue.get(job_id), queue.runs(job_id)

    with pytest.raises(LostRunError):
        _REPORTS[report](queue, job_id, run)

    assert (queue.get(job_id), queue.runs(job_id)) == (before, runs)


def test_a_late_success_of_a_worker_that_was_only_silent_counts(queue: Queue) -> None:
    job_id = at(queue, 1).enqueue(NewJob("t", key="k"))
    need = at(queue, 1).enqueue(NewJob("u", needs=[job_id]))
    job = _claim(queue)
    assert at(queue, 100_000).rescue() == [job_id]

    at(queue, 100_001).finish(job.id, job.run, "late")

    found = queue.get(job_id)
    assert found is not None
    assert (found.state, found.result, found.error) == ("succeeded", "late", None)
    assert [(run["run"], run["outcome"], run["cause"]) for run in queue.runs(job_id)] == [(1, "succeeded", None)]
    assert queue.results(["k"]) == {"k": "late"}
    assert [each.id for each in at(queue, 100_002).claim(["u"])] == [need]
    assert at(queue, 100_002).claim(["t"]) == []


def test_a_late_success_counts_after_the_last_run_too(queue: Queue) -> None:
    job_id = at(queue, 1).enqueue(NewJob("t", max_runs=1))
    job = _claim(queue)
    at(queue, 100_000).rescue()
    found = queue.get(job_id)
    assert found is not None
    assert found.state == "failed"

    at(queue, 100_001).finish(job.id, job.run, "late")

    found = queue.get(job_id)
    assert found is not None
    assert (found.state, found.result) == ("succeeded", "late")


def test_a_late_success_does_not_count_once_somebody_has_begun_anew(queue: Queue) -> None:
    at(queue, 1).enqueue(NewJob("t"))
    first = _claim(queue)
    at(queue, 100_000).rescue()
    again = _claim(queue, 100_001)

    with pytest.raises(LostRunError):
        at(queue, 100_002).finish(first.id, first.run, "late")

    at(queue, 100_003).finish(again.id, again.run, "right")
    assert queue.search()[0].result == "right"


def _ended_by(queue: Queue, worker_id: int | None) -> tuple[int, int]:
    """How many jobs a worker ended well and badly."""
    row = WorkerTable(queue.database).get(worker_id or 0)
    assert row is not None
    return row.jobs_succeeded, row.jobs_failed


@pytest.mark.parametrize(("held", "failed"), [(1, 1), (2, 0)])
def test_a_late_success_counts_once_for_its_worker_and_no_failure_is_left(queue: Queue, held: int, failed: int) -> None:
    """Those that were held beside others had not been counted as failed."""
    at(queue, 1).enqueue_many([NewJob("t")] * held)
    job, *others = at(queue, 10).claim(["t"], held, lease=100)
    assert len(at(queue, 100_000).rescue()) == held
    assert _ended_by(queue, job.worker_id) == (0, failed)

    at(queue, 100_001).finish(job.id, job.run, "late")

    assert _ended_by(queue, job.worker_id) == (1, 0)
    assert [_state(queue, job.id), *(_state(queue, other.id) for other in others)] == ["succeeded", "queued"][:held]
    assert check(queue.database) == []


@pytest.mark.parametrize("meanwhile", ["silent again", "killed", "cancelled"])
def test_a_late_success_does_not_count_after_what_else_happened_to_its_job(queue: Queue, meanwhile: str) -> None:
    """A newer run was lost too, the newest was lost in another way, or nobody wants the job any more."""
    at(queue, 1).enqueue(NewJob("t"))
    late = _claim(queue)
    at(queue, 100_000).rescue()
    if meanwhile == "cancelled":
        at(queue, 100_001).cancel([late.id])
    else:
        again = _claim(queue, 100_001)
        if meanwhile == "silent again":
            at(queue, 200_000).rescue()
        else:
            at(queue, 100_002).rescue_worker(again.worker_id or 0, {"kind": "gone"})
            late = again
    before, runs = queue.get(late.id), queue.runs(late.id)

    with pytest.raises(LostRunError):
        at(queue, 300_000).finish(late.id, late.run, "late")

    assert (queue.get(late.id), queue.runs(late.id)) == (before, runs)


def test_progress_never_shortens_a_lease(queue: Queue) -> None:
    at(queue, 1).enqueue(NewJob("t"))
    job = at(queue, 1).claim(["t"], lease=600_000)[0]

    at(queue, 100).heartbeat(job.id, job.run, progress={"done": 1})

    found = queue.get(job.id)
    assert found is not None
    assert (found.lease_until, found.progress) == (600_100, {"done": 1})


def test_what_ends_after_it_was_asked_to_is_cancelled_in_its_last_run_too(queue: Queue) -> None:
    at(queue, 1).enqueue(NewJob("t", max_runs=1))
    job = _claim(queue)
    at(queue, 20).cancel([job.id])

    assert at(queue, 30).fail(job.id, job.run, {"message": "I was told to end"}) == "cancelled"


def test_one_whose_turn_has_not_come_waits(queue: Queue) -> None:
    at(queue, 1).enqueue(NewJob("t"))
    job = _claim(queue, 10)

    at(queue, 10).release(job.id, job.run, delay=500)

    assert at(queue, 509).claim(["t"]) == []
    again = _claim(queue, 510)
    assert (again.run, again.released) == (2, 1)


def test_a_failure_without_retry_is_final(queue: Queue) -> None:
    at(queue, 1).enqueue(NewJob("t"))
    job = _claim(queue)

    assert at(queue, 20).fail(job.id, job.run, {"message": "broken"}, stderr="line") == "failed"

    found = queue.get(job.id)
    assert found is not None
    assert (found.state, found.error, found.finished_at) == ("failed", {"message": "broken"}, 20)
    assert queue.runs(job.id)[0]["stderr"] == "line"


def test_a_retry_waits_for_its_backoff_and_ends_with_max_runs(queue: Queue) -> None:
    at(queue, 1).enqueue(NewJob("t", max_runs=2))
    job = _claim(queue)

    assert at(queue, 20).fail(job.id, job.run, {"message": "1"}, retry=True, backoff=50) == "queued"
    assert at(queue, 69).claim(["t"]) == []
    again = _claim(queue, 70)
    assert again.run == 2
    assert at(queue, 80).fail(again.id, again.run, {"message": "2"}, retry=True, backoff=50) == "failed"
    assert [run["error"]["message"] for run in queue.runs(job.id)] == ["1", "2"]


def test_backoff_doubles_with_jitter_when_nobody_says_how_long(queue: Queue) -> None:
    at(queue, 0).enqueue(NewJob("t", max_runs=5))
    now, waits = 0, []
    for _ in range(4):
        job = _claim(queue, now)
        at(queue, now).fail(job.id, job.run, {"message": "again"}, retry=True)
        found = queue.get(job.id)
        assert found is not None
        waits.append(found.not_before - now)
        now = found.not_before

    for wait, mean in zip(waits, (500, 1000, 2000, 4000), strict=True):
        assert 0.5 * mean <= wait <= 1.5 * mean


def test_backoff_ends_at_five_minutes_and_keeps_its_jitter(queue: Queue) -> None:
    """However often it failed, a job is not put off for days, and many do not come back in the same moment."""
    at(queue, 0).enqueue(NewJob("t", max_runs=100))
    now, waits = 0, []
    for _ in range(60):
        job = _claim(queue, now)
        at(queue, now).fail(job.id, job.run, {"message": "again"}, retry=True)
        found = queue.get(job.id)
        assert found is not None
        waits.append(found.not_before - now)
        now = found.not_before

    late = waits[15:]
    assert max(late) == 300_000
    assert min(late) >= 150_000
    assert len(set(late)) > 1


def test_released_runs_do_not_count(queue: Queue) -> None:
    at(queue, 1).enqueue(NewJob("t", max_runs=1))
    for _ in range(5):
        job = _claim(queue)
        at(queue, 11).release(job.id, job.run)

    job = _claim(queue)

    assert (job.run, job.released) == (6, 5)
    assert at(queue, 12).fail(job.id, job.run, {"message": "no"}, retry=True) == "failed"
    assert [run["outcome"] for run in queue.runs(job.id)] == ["released"] * 5 + ["failed"]


def test_progress_is_kept_while_the_job_runs(queue: Queue) -> None:
    at(queue, 1).enqueue(NewJob("t"))
    job = _claim(queue)

    assert at(queue, 50).heartbeat(job.id, job.run, lease=100, progress={"done": 3}) == "go on"
    assert at(queue, 60).heartbeat(job.id, job.run, lease=100) == "go on"

    found = queue.get(job.id)
    assert found is not None
    assert (found.progress, found.lease_until) == ({"done": 3}, 160)


_BACK: dict[str, Callable[[Queue, Job], Any]] = {
    "failed": lambda queue, job: at(queue, 60).fail(job.id, job.run, {"message": "no"}, retry=True, backoff=0),
    "released": lambda queue, job: at(queue, 60).release(job.id, job.run),
    "silent": lambda queue, job: at(queue, 1000).rescue(),
    "retried": lambda queue, job: (at(queue, 60).fail(job.id, job.run, {"message": "no"}), queue.retry([job.id])),
}


@pytest.mark.parametrize("back", _BACK)
def test_a_job_that_waits_again_has_made_no_progress(queue: Queue, back: str) -> None:
    """What the run before told is none of the next one's."""
    at(queue, 1).enqueue(NewJob("t"))
    job = _claim(queue)
    at(queue, 50).heartbeat(job.id, job.run, lease=100, progress={"done": 3})

    _BACK[back](queue, job)

    found = queue.get(job.id)
    assert found is not None
    assert (found.state, found.progress) == ("queued", None)
    again = queue.claim(["t"])[0]
    assert (again.run, again.progress) == (2, None)


def test_a_cancelled_job_that_is_retried_is_wanted(queue: Queue) -> None:
    at(queue, 1).enqueue(NewJob("t"))
    job = _claim(queue)
    at(queue, 20).cancel([job.id])
    at(queue, 21).end_cancelled(job.id, job.run)

    assert at(queue, 30).retry([job.id]) == [job.id]

    again = _claim(queue, 40)
    assert at(queue, 50).heartbeat(again.id, again.run, lease=100) == "go on"


def test_a_heartbeat_says_that_the_worker_lives(queue: Queue) -> None:
    at(queue, 1).enqueue(NewJob("t"))
    job = _claim(queue)
    table = WorkerTable(queue.database)
    later = table.list()[0].heartbeat_at + 5000

    at(queue, later).heartbeat(job.id, job.run)

    assert table.list()[0].heartbeat_at == later


def test_a_beat_tells_how_much_room_is_left_where_the_worker_is(queue: Queue) -> None:
    at(queue, 1).enqueue(NewJob("t"))
    _claim(queue)
    table = WorkerTable(queue.database)
    (worker,) = table.list()
    assert worker.free_disk is not None
    assert worker.free_disk > 0

    table.beat(worker.id, elsewhere=True)
    assert table.list()[0].free_disk is None


def test_a_queued_job_is_cancelled_at_once(queue: Queue) -> None:
    job_id = at(queue, 1).enqueue(NewJob("t", key="k"))

    assert at(queue, 2).cancel([job_id, 999]) == [job_id]
    assert (_state(queue, job_id), at(queue, 3).claim(["t"]), queue.cancel([job_id])) == ("cancelled", [], [])


def test_a_running_job_is_told_through_its_heartbeat(queue: Queue) -> None:
    at(queue, 1).enqueue(NewJob("t"))
    job = _claim(queue)

    assert at(queue, 20).cancel([job.id]) == []
    assert _state(queue, job.id) == "running"
    assert at(queue, 30).heartbeat(job.id, job.run) == "cancel"
    at(queue, 40).end_cancelled(job.id, job.run)
    assert (_state(queue, job.id), queue.runs(job.id)[0]["outcome"]) == ("cancelled", "cancelled")


@pytest.mark.parametrize("end", ["release", "fail", "rescue"])
def test_a_job_that_is_to_be_cancelled_is_not_queued_again(queue: Queue, end: str) -> None:
    at(queue, 1).enqueue(NewJob("t"))
    job = _claim(queue)
    at(queue, 20).cancel([job.id])

    if end == "release":
        at(queue, 30).release(job.id, job.run)
    elif end == "fail":
        assert at(queue, 30).fail(job.id, job.run, {"message": "no"}, retry=True) == "cancelled"
    else:
        assert at(queue, 5000).rescue() == [job.id]

    assert _state(queue, job.id) == "cancelled"


def test_a_job_may_still_succeed_after_somebody_asked_for_its_end(queue: Queue) -> None:
    at(queue, 1).enqueue(NewJob("t"))
    job = _claim(queue)
    at(queue, 20).cancel([job.id])
    at(queue, 21).finish(job.id, job.run, "in time")

    assert _state(queue, job.id) == "succeeded"


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_retrying_gives_all_runs_back(queue: Queue, end: str) -> None:
    job_id = at(queue, 1).enqueue(NewJob("t", max_runs=2, key="k"))
    if end == "failed":
        job = _claim(queue)
        queue.fail(job.id, job.run, {"message": "no"})
    else:
        queue.cancel([job_id])

    assert queue.retry([job_id, 77]) == [job_id]

    for expected in ("queued", "failed"):
        job = _claim(queue)
        assert queue.fail(job.id, job.run, {"message": "no"}, retry=True, backoff=0) == expected


@pytest.mark.parametrize("kills", [1, 3])
def test_what_killed_its_workers_is_as_new_when_it_is_retried(queue: Queue, kills: int) -> None:
    """Claimed in its usual place, beside others, and not held to be a killer after one kill more."""
    killer = at(queue, 1).enqueue(NewJob("t", max_runs=kills, priority=5))
    for _ in range(kills):
        job = _claim(queue)
        at(queue, 20).rescue_worker(job.worker_id or 0, {"kind": "signal", "signal": 9})
    assert _state(queue, killer) == "failed"
    other = at(queue, 21).enqueue(NewJob("t"))

    assert at(queue, 30).retry([killer]) == [killer]

    claimed = at(queue, 40).settle((), ["t"], 10, harmless=True).claimed
    # one of a single run is held alone by right
    assert [(job.id, job.kills) for job in claimed] == [(killer, 0), (other, 0)][: 1 if kills == 1 else 2]


def test_the_result_of_a_keyed_job_is_kept_for_whoever_asks_the_same(queue: Queue) -> None:
    queue.enqueue(NewJob("t", key="k"))
    job = _claim(queue)
    queue.finish(job.id, job.run, [1, 2])

    assert queue.results(["k", "other"]) == {"k": [1, 2]}


@pytest.mark.slow
def test_retrying_many_jobs_takes_as_long_for_each_as_retrying_few(queue: Queue) -> None:
    """Everybody else waits meanwhile: it is one transaction."""

    def processor_seconds(jobs: int) -> float:
        ids = queue.enqueue_many([NewJob("t")] * jobs)
        queue.cancel(ids)
        began = time.thread_time()
        assert queue.retry(ids) == ids
        return time.thread_time() - began

    few = min(processor_seconds(500) for _ in range(3))
    # 32 times as many jobs; each looked up among all: 400 times. Each takes a server so long that fewer must do
    many, times = (16_000, 150) if isinstance(queue.database, SqliteDatabase) else (2000, 10)
    assert processor_seconds(many) < times * few


def test_who_cancels_is_told_what_is_cancelled_and_what_is_asked_to_end(queue: Queue) -> None:
    running, waiting, over = queue.enqueue_many([NewJob("t", priority=5), NewJob("t"), NewJob("u")])
    queue.claim(["t"])
    queue.cancel([over])

    cancelled = queue.cancel([running, waiting, over, 99])

    assert cancelled == [waiting]
    assert cancelled.asked == [running]


def test_many_reports_at_once_do_what_each_does_by_itself(queue: Queue) -> None:
    """Keys leave results, needs are let go, a batch calls back, and what is not the worker's own any more is lost."""
    ids = queue.enqueue_many([NewJob("t", key="k" if n == 1 else None) for n in range(6)])
    batch, (first, second) = queue.enqueue_batch([NewJob("t"), NewJob("t")], NewJob("after"))
    both = queue.enqueue(NewJob("u", needs=[ids[0], first]))
    one = queue.enqueue(NewJob("u", needs=[ids[2], ids[5]]))
    jobs = {job.id: job for job in queue.claim(["t"], 8)}
    behind = queue.enqueue(NewJob("t", key="k"), on_conflict="after")
    queue.finish(ids[3], 1)

    reports: list[Success | Failure] = [Success(id_, 1, {"n": id_}, peak_memory=7) for id_ in (*ids[:4], first, second)]
    again = Success(ids[0], 1, "a second time")
    strange = Success(ids[4], 9, "of another run")
    failed = Failure(ids[5], 1, {"message": "no"})
    settled = queue.settle([*reports, again, strange, failed], worker=jobs[first].worker_id)

    assert settled.lost == [reports[3], again, strange]
    states = {job.id: job.state for job in queue.get_many([*jobs, both, one, behind])}
    assert states == {
        **dict.fromkeys([*ids[:4], first, second], "succeeded"),
        ids[4]: "running", ids[5]: "failed", both: "queued", one: "failed", behind: "queued",
    }  # fmt: skip
    assert queue.results(["k"]) == {"k": {"n": ids[1]}}
    assert [job.result for job in queue.get_many([ids[0], first])] == [{"n": ids[0]}, {"n": first}]
    assert [run["peak_memory"] for run in queue.runs(first)] == [7]
    assert [job.id for job in queue.claim(["u"], 9)] == [both]
    assert [job.id for job in queue.claim(["t"], 9)] == [behind]
    (called,) = queue.claim(["after"], 9)
    assert called.payload["batch"] == {"id": batch, "succeeded": 2, "failed": 0, "cancelled": 0}
    worker = WorkerTable(queue.database).get(jobs[first].worker_id or 0)
    assert worker is not None
    assert (worker.jobs_succeeded, worker.jobs_failed) == (6, 1)
