"""Limits: so many at a time, so many within a time, whoever claims, and whatever becomes of who holds one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from tests.support.clock import at

from clx.db.check import check
from clx.db.jobs import Job, NewJob, Queue
from clx.errors import QueueError

_NOW = 10**12
_HOUR = 3_600_000


def _put(queue: Queue, count: int, limit: str | None = "api", **options: object) -> list[int]:
    return at(queue, _NOW).enqueue_many([NewJob("t", limit=limit, **options) for _ in range(count)])  # type: ignore[arg-type]


def _ids(jobs: list[Job]) -> list[int]:
    return [job.id for job in jobs]


def test_no_more_than_the_limit_run_at_a_time(queue: Queue) -> None:
    queue.set_limit("api", concurrency=2)
    ids = _put(queue, 5)

    taken = at(queue, _NOW).claim(["t"], 10, lease=_HOUR)

    assert _ids(taken) == ids[:2]
    assert at(queue, _NOW).claim(["t"], 10) == []
    assert [(each.running, each.held) for each in queue.limits()] == [(2, 3)]
    assert check(queue.database) == []
    assert [job.run for job in queue.get_many(ids)] == [1, 1, 0, 0, 0]  # what was put back has not begun


@pytest.mark.parametrize("end", ["finish", "fail", "retry", "release", "cancel", "rescue"])
def test_the_end_of_a_run_lets_the_first_one_go(queue: Queue, end: str) -> None:
    queue.set_limit("api", concurrency=1)
    ids = _put(queue, 3)
    (job,) = at(queue, _NOW).claim(["t"], lease=1_000)
    assert at(queue, _NOW).claim(["t"]) == []
    then = at(queue, _NOW + 500)

    match end:
        case "finish":
            then.finish(job.id, job.run)
        case "fail":
            then.fail(job.id, job.run, {"message": "no"})
        case "retry":
            then.fail(job.id, job.run, {"message": "no"}, retry=True, backoff=60_000)
        case "release":
            then.release(job.id, job.run, delay=60_000)
        case "cancel":
            then.cancel([job.id])
            then.end_cancelled(job.id, job.run)
        case "rescue":
            assert queue._worker is not None
            then.rescue_worker(queue._worker, {"kind": "gone"})
            assert _ids(then.claim(["t"], 5)) == ids[:1]  # it goes first, as ever
            return

    assert _ids(then.claim(["t"], 5)) == [ids[1]]
    assert then.claim(["t"], 5) == []


def test_the_first_is_the_first_in_claim_order(queue: Queue) -> None:
    queue.set_limit("api", concurrency=1)
    _put(queue, 3)
    (job,) = at(queue, _NOW).claim(["t"], lease=_HOUR)
    (urgent,) = _put(queue, 1, priority=5)
    assert at(queue, _NOW).claim(["t"]) == []

    at(queue, _NOW).finish(job.id, job.run)

    assert _ids(at(queue, _NOW).claim(["t"])) == [urgent]


def test_what_waits_behind_many_that_are_held_is_claimed(queue: Queue) -> None:
    queue.set_limit("api", concurrency=1)
    _put(queue, 700)
    (free,) = _put(queue, 1, limit=None)

    taken = [job.id for _ in range(3) for job in at(queue, _NOW).claim(["t"], lease=_HOUR)]

    assert free in taken
    assert len(taken) == 2


def test_so_many_begin_within_a_time(queue: Queue) -> None:
    queue.set_limit("api", rate=2, per=timedelta(seconds=10))
    ids = _put(queue, 5)

    first = at(queue, _NOW).claim(["t"], 10, lease=_HOUR)
    for job in first:
        at(queue, _NOW + 1).finish(job.id, job.run)

    assert _ids(first) == ids[:2]
    assert at(queue, _NOW + 9_999).claim(["t"], 10) == []
    assert _ids(at(queue, _NOW + 10_000).claim(["t"], 10, lease=_HOUR)) == ids[2:4]
    assert at(queue, _NOW + 19_999).claim(["t"], 10) == []
    assert _ids(at(queue, _NOW + 20_000).claim(["t"], 10, lease=_HOUR)) == ids[4:]
    assert queue.next_due() is None


def test_who_sleeps_wakes_when_the_next_window_begins(queue: Queue) -> None:
    queue.set_limit("api", rate=1, per=10_000)
    _put(queue, 3)
    at(queue, _NOW).claim(["t"])
    at(queue, _NOW + 5).claim(["t"])

    assert queue.next_due() == _NOW + 10_000


def test_a_clock_that_was_set_back_stops_no_rate(queue: Queue) -> None:
    queue.set_limit("api", rate=1, per=1_000)
    _put(queue, 2)
    at(queue, _NOW + 86_400_000).claim(["t"], lease=_HOUR)

    assert at(queue, _NOW).claim(["t"])


def test_both_at_once(queue: Queue) -> None:
    queue.set_limit("api", concurrency=1, rate=2, per=10_000)
    ids = _put(queue, 4)
    (job,) = at(queue, _NOW).claim(["t"], 4, lease=_HOUR)

    at(queue, _NOW).finish(job.id, job.run)
    (job,) = at(queue, _NOW).claim(["t"], 4, lease=_HOUR)
    at(queue, _NOW).finish(job.id, job.run)

    assert at(queue, _NOW).claim(["t"], 4) == []
    assert _ids(at(queue, _NOW + 10_000).claim(["t"], 4, lease=_HOUR)) == [ids[2]]
    assert check(queue.database) == []


def test_a_wider_limit_lets_go_what_it_held(queue: Queue) -> None:
    queue.set_limit("api", concurrency=1)
    _put(queue, 5)
    at(queue, _NOW).claim(["t"], 5, lease=_HOUR)

    at(queue, _NOW).set_limit("api", concurrency=3)

    assert len(at(queue, _NOW).claim(["t"], 5, lease=_HOUR)) == 2
    at(queue, _NOW).set_limit("api")
    assert len(at(queue, _NOW).claim(["t"], 5)) == 2
    assert queue.limits() == []


def test_a_sweep_lets_go_what_nobody_has(queue: Queue) -> None:
    """The one that was let go is cancelled before anybody begins it: its place is not lost."""
    queue.set_limit("api", concurrency=1)
    ids = _put(queue, 3)
    (job,) = at(queue, _NOW).claim(["t"], 3, lease=_HOUR)
    at(queue, _NOW).finish(job.id, job.run)
    queue.cancel([ids[1]])
    assert queue.is_held(ids[2])

    at(queue, _NOW + 1).rescue()

    assert _ids(at(queue, _NOW + 1).claim(["t"])) == [ids[2]]


def test_a_held_job_can_be_cancelled_tried_again_and_replaced(queue: Queue) -> None:
    queue.set_limit("api", concurrency=1)
    _put(queue, 1)
    (held,) = _put(queue, 1, key="k")
    (job,) = at(queue, _NOW).claim(["t"], 2, lease=_HOUR)
    assert queue.is_held(held)

    assert queue.enqueue(NewJob("t", key="k", limit="api"), on_conflict="replace") == held
    assert not queue.is_held(held)
    assert at(queue, _NOW).claim(["t"]) == []
    assert queue.cancel([held]) == [held]
    assert queue.retry([held]) == [held]
    queue.finish(job.id, job.run)
    assert _ids(at(queue, _NOW).claim(["t"])) == [held]


def test_a_limit_that_is_not_set_is_refused(queue: Queue) -> None:
    with pytest.raises(QueueError, match="There is no limit 'apo'") as caught:
        queue.enqueue(NewJob("t", limit="apo"))
    assert "set_limit" in caught.value.next_step


@pytest.mark.parametrize(
    "options",
    [{"concurrency": 0}, {"concurrency": 1.5}, {"rate": 1}, {"per": 1}, {"rate": 1, "per": 0}, {"rate": "2", "per": 1}],
)
def test_limits_that_mean_nothing_are_refused(queue: Queue, options: dict[str, object]) -> None:
    with pytest.raises(QueueError):
        queue.set_limit("api", **options)  # type: ignore[arg-type]


def test_whoever_claims_at_once_the_limit_holds(open_queue: Callable[[], Queue]) -> None:
    """Four that claim, do and report at once never have more than two, and all is done in the end."""
    queue = open_queue()
    queue.set_limit("api", concurrency=2)
    ids = queue.enqueue_many([NewJob("t", limit="api") for _ in range(60)])
    lock, now, most = threading.Lock(), 0, 0

    def work(mine: Queue) -> None:
        nonlocal now, most
        while mine.has_live(["t"]):
            for job in mine.claim(["t"], 3):
                with lock:
                    now += 1
                    most = max(most, now)
                with lock:
                    now -= 1
                mine.finish(job.id, job.run)

    threads = [threading.Thread(target=work, args=(open_queue(),)) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert most <= 2
    assert {job.state for job in queue.get_many(ids)} == {"succeeded"}
    assert check(queue.database) == []
