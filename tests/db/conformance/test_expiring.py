"""Jobs that wait for a while first, and jobs that are not wanted any more after a while."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.clock import at

from clx.db.check import check
from clx.db.jobs import NewJob, Queue
from clx.errors import JobCancelledError, QueueError

_NOW = 10**12


def _expired(queue: Queue, job_id: int) -> bool:
    job = queue.get(job_id)
    assert job is not None
    assert (job.state == "cancelled") == (job.finished_at is not None)
    return job.state == "cancelled" and (job.error or {}).get("cause") == {"kind": "expired"}


def test_a_delay_counts_from_the_moment_it_goes_in_by_the_clock_of_the_table(queue: Queue) -> None:
    job = NewJob("t", delay=timedelta(seconds=5))

    job_id = at(queue, _NOW).enqueue(job)

    assert at(queue, _NOW + 4_999).claim(["t"]) == []
    assert [job.id for job in at(queue, _NOW + 5_000).claim(["t"])] == [job_id]


def test_a_delay_in_milliseconds_and_the_later_of_both_moments_counts(queue: Queue) -> None:
    at(queue, _NOW).enqueue(NewJob("t", delay=100, not_before=_NOW + 500))

    assert at(queue, _NOW + 499).claim(["t"]) == []
    assert at(queue, _NOW + 500).claim(["t"])


def test_what_has_not_begun_in_time_is_cancelled_by_whoever_claims(queue: Queue) -> None:
    late, other = at(queue, _NOW).enqueue_many([NewJob("t", expires=timedelta(seconds=1)), NewJob("t")])

    (job,) = at(queue, _NOW + 1_000).claim(["t"], 2)

    assert job.id == other
    assert _expired(queue, late)
    assert queue.runs(late) == []
    assert check(queue.database) == []
    with pytest.raises(JobCancelledError) as caught:
        queue.result(late)
    assert caught.value.cause == {"kind": "expired"}


@pytest.mark.parametrize("n", [1, 10])
def test_one_that_is_claimed_in_time_may_take_as_long_as_it_likes(queue: Queue, n: int) -> None:
    job_id = at(queue, _NOW).enqueue(NewJob("t", expires=_NOW + 1_000))

    (job,) = at(queue, _NOW + 999).claim(["t"], n, lease=10_000)
    at(queue, _NOW + 5_000).rescue()
    at(queue, _NOW + 5_000).fail(job.id, job.run, {"message": "no"}, retry=True, backoff=0)

    assert job.expires_at == _NOW + 1_000
    at(queue, _NOW + 6_000).rescue()
    assert [job.id for job in at(queue, _NOW + 6_000).claim(["t"])] == [job_id]  # it has begun once


def test_one_that_is_handed_back_before_it_was_tried_still_expires(queue: Queue) -> None:
    job_id = at(queue, _NOW).enqueue(NewJob("t", expires=_NOW + 1_000))
    (job,) = at(queue, _NOW).claim(["t"])
    at(queue, _NOW).release(job.id, job.run)

    assert at(queue, _NOW + 1_000).claim(["t"]) == []

    assert _expired(queue, job_id)
    assert check(queue.database) == []


def test_nobody_has_to_claim_it_a_sweep_is_enough(queue: Queue) -> None:
    """Also one that waits for others, or that nobody does; what needs it is cancelled with it, once."""
    first = at(queue, _NOW).enqueue(NewJob("nobody", expires=datetime.fromtimestamp(_NOW / 1000 + 1, UTC)))
    second = at(queue, _NOW).enqueue(NewJob("t", needs=[first], expires=timedelta(seconds=1)))
    third = at(queue, _NOW).enqueue(NewJob("t", needs=[second]))
    batch, (fourth,) = at(queue, _NOW).enqueue_batch([NewJob("t", needs=[third])], NewJob("done"))

    at(queue, _NOW + 1_000).rescue()
    at(queue, _NOW + 2_000).rescue()

    assert _expired(queue, first)
    assert [job.state for job in queue.get_many([second, third, fourth])] == ["cancelled"] * 3
    (callback,) = queue.claim(["done"], 5)
    assert callback.payload["batch"] == {"id": batch, "succeeded": 0, "failed": 0, "cancelled": 1}
    assert check(queue.database) == []


def test_who_tries_it_again_by_hand_wants_it_after_all(queue: Queue) -> None:
    job_id = at(queue, _NOW).enqueue(NewJob("t", expires=_NOW + 1_000))
    at(queue, _NOW + 1_000).rescue()

    assert at(queue, _NOW + 2_000).retry([job_id]) == [job_id]

    at(queue, _NOW + 2_000).rescue()
    assert [job.id for job in at(queue, _NOW + 2_000).claim(["t"])] == [job_id]


def test_very_many_expire_in_slices(queue: Queue) -> None:
    ids = at(queue, _NOW).enqueue_many([NewJob("t", expires=_NOW + 1) for _ in range(1_100)])

    at(queue, _NOW + 2).rescue()

    assert {job.state for job in queue.get_many(ids)} == {"cancelled"}


def test_of_two_moments_the_earlier_counts(queue: Queue) -> None:
    job = NewJob("t", expires=timedelta(seconds=1))

    early = at(queue, _NOW).enqueue(replace(job, expires=_NOW + 500))
    late = at(queue, _NOW).enqueue(replace(job, expires=_NOW + 5_000))

    assert [each.expires_at for each in queue.get_many([early, late])] == [_NOW + 500, _NOW + 1_000]


def test_a_callback_counts_both_from_when_it_is_queued(queue: Queue) -> None:
    callback = NewJob("done", delay=timedelta(seconds=5), expires=timedelta(seconds=7))
    at(queue, _NOW).enqueue_batch([NewJob("t")], callback)
    (job,) = at(queue, _NOW).claim(["t"])

    at(queue, _NOW + 1_000).finish(job.id, job.run)

    (waiting,) = queue.search(type="done")
    assert (waiting.not_before, waiting.expires_at) == (_NOW + 6_000, _NOW + 8_000)


@pytest.mark.parametrize(
    "options",
    [
        {"delay": -1},
        {"delay": timedelta(seconds=-1)},
        {"delay": datetime.now(UTC)},
        {"expires": datetime(2030, 1, 1)},  # noqa: DTZ001
        {"expires": timedelta(0)},
        {"expires": "tomorrow"},
        {"expires_in": 0},
    ],
)
def test_times_that_cannot_be_meant_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(QueueError):
        NewJob("t", **options)  # type: ignore[arg-type]


def test_seconds_are_told_from_milliseconds(queue: Queue) -> None:
    with pytest.raises(QueueError, match="these are seconds"):
        queue.enqueue(NewJob("t", expires=1_700_000_000))
