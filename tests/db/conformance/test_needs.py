"""A job becomes claimable when the jobs it needs have succeeded; their failure fails it with the cause."""

from __future__ import annotations

import pytest

from clx.db.jobs import Job, NewJob, Queue
from clx.errors import QueueError, UnknownJobError


def _run(queue: Queue) -> Job:
    return queue.claim(["t"], now=100)[0]


def test_a_job_waits_until_everything_it_needs_has_succeeded(queue: Queue) -> None:
    first, second = queue.enqueue_many([NewJob("t"), NewJob("t")], now=1)
    last = queue.enqueue(NewJob("u", needs=[first, second, first]), now=1)
    assert queue.needs(last) == [first, second]

    for remaining in (2, 1):
        found = queue.get(last)
        assert found is not None
        assert (found.waits_for, queue.claim(["u"], now=100)) == (remaining, [])
        job = _run(queue)
        queue.finish(job.id, job.run, now=101)

    assert [job.id for job in queue.claim(["u"], now=102)] == [last]


def test_needs_that_have_succeeded_already_are_no_hindrance(queue: Queue) -> None:
    queue.enqueue(NewJob("t"), now=1)
    job = _run(queue)
    queue.finish(job.id, job.run)

    last = queue.enqueue(NewJob("u", needs=[job.id]))

    assert [job.id for job in queue.claim(["u"])] == [last]


def test_a_job_that_needs_others_still_waits_for_its_time(queue: Queue) -> None:
    first = queue.enqueue(NewJob("t"), now=1)
    queue.enqueue(NewJob("u", needs=[first], not_before=500), now=1)
    job = _run(queue)
    queue.finish(job.id, job.run, now=101)

    assert queue.claim(["u"], now=499) == []
    assert len(queue.claim(["u"], now=500)) == 1


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_the_failure_of_a_need_ends_everything_that_waits_for_it(queue: Queue, state: str) -> None:
    first = queue.enqueue(NewJob("t"), now=1)
    second = queue.enqueue(NewJob("u", needs=[first]), now=1)
    third = queue.enqueue(NewJob("u", needs=[second]), now=1)
    if state == "failed":
        job = _run(queue)
        queue.fail(job.id, job.run, {"message": "no"}, now=101)
    else:
        queue.cancel([first], now=101)

    for job_id, need in ((second, first), (third, second)):
        found = queue.get(job_id)
        assert found is not None
        assert found.state == state
        assert found.error is not None
        assert found.error["cause"] == {"kind": "need", "job": need, "state": state}


def test_a_failure_that_is_retried_ends_nothing_yet(queue: Queue) -> None:
    first = queue.enqueue(NewJob("t"), now=1)
    queue.enqueue(NewJob("u", needs=[first]), now=1)
    job = _run(queue)
    queue.fail(job.id, job.run, {"message": "no"}, retry=True, backoff=0, now=101)
    assert queue.stats()["u"] == {"queued": 1}

    again = _run(queue)
    queue.finish(again.id, again.run, now=102)

    assert len(queue.claim(["u"], now=103)) == 1


def test_a_job_killed_for_good_fails_those_that_wait_for_it(queue: Queue) -> None:
    first = queue.enqueue(NewJob("t", max_runs=1), now=1)
    second = queue.enqueue(NewJob("u", needs=[first]), now=1)
    job = _run(queue)
    queue.rescue_worker(job.worker_id or 0, {"kind": "exit", "code": 1}, now=101)

    found = queue.get(second)
    assert found is not None
    assert found.state == "failed"


def test_needing_a_job_that_failed_fails_at_once(queue: Queue) -> None:
    first = queue.enqueue(NewJob("t"), now=1)
    queue.cancel([first])

    found = queue.get(queue.enqueue(NewJob("u", needs=[first])))

    assert found is not None
    assert found.state == "cancelled"


def test_needing_a_job_that_is_not_there_is_refused(queue: Queue) -> None:
    with pytest.raises(UnknownJobError, match="no job 17"):
        queue.enqueue(NewJob("t", needs=[17]))


def test_retrying_a_job_waits_for_its_needs_again(queue: Queue) -> None:
    first = queue.enqueue(NewJob("t"), now=1)
    second = queue.enqueue(NewJob("u", needs=[first]), now=1)
    queue.cancel([first], now=2)

    queue.retry([second], now=3)
    found = queue.get(second)
    assert found is not None
    assert found.state == "cancelled"  # its need is still cancelled

    queue.retry([first, second], now=4)
    assert queue.claim(["u"], now=5) == []
    job = _run(queue)
    queue.finish(job.id, job.run, now=101)
    assert [job.id for job in queue.claim(["u"], now=102)] == [second]


def test_a_long_chain_falls_in_one_transaction(queue: Queue) -> None:
    ids = [queue.enqueue(NewJob("t"), now=1)]
    jobs = [NewJob("u", needs=[ids[0] + n]) for n in range(3000)]
    queue.enqueue_many(jobs, now=1)

    queue.cancel(ids, now=2)

    assert queue.stats() == {"t": {"cancelled": 1}, "u": {"cancelled": 3000}}


def test_a_job_cannot_come_to_wait_for_itself(queue: Queue) -> None:
    first = queue.enqueue(NewJob("t", key="first"))
    middle = queue.enqueue(NewJob("t", needs=[first]))
    last = queue.enqueue(NewJob("t", needs=[middle]))

    for needs in ([first], [last], [middle, last]):
        with pytest.raises(QueueError, match=f"Job {first} would wait for itself"):
            queue.enqueue(NewJob("t", key="first", needs=needs), on_conflict="replace")
    assert [job.id for job in queue.claim(["t"])] == [first]


def test_jobs_tried_again_together_wait_for_each_other(queue: Queue) -> None:
    need = queue.enqueue(NewJob("t"))
    dependent = queue.enqueue(NewJob("u", needs=[need]))
    job = _run(queue)
    queue.fail(job.id, job.run, {"message": "no"})

    assert queue.retry([dependent]) == []
    assert queue.get_many([dependent])[0].state == "failed"
    assert queue.retry([dependent, need]) == [dependent, need]
    assert queue.claim(["u"], now=200) == []
    job = _run(queue)
    queue.finish(job.id, job.run)
    assert [job.id for job in queue.claim(["u"])] == [dependent]


def test_retrying_a_chain_below_a_failed_need_counts_each_end_once(queue: Queue) -> None:
    need = queue.enqueue(NewJob("t"))
    middle = queue.enqueue(NewJob("u", needs=[need]))
    last = queue.enqueue(NewJob("u", needs=[middle]))
    batch, _ = queue.enqueue_batch([NewJob("x")], NewJob("after"))
    queue.enqueue_many([NewJob("u", key="m", needs=[need]), NewJob("u", key="l", needs=[middle])], batch=batch)
    job = _run(queue)
    queue.fail(job.id, job.run, {"message": "no"})
    chain = [found.id for found in queue.search(batch=batch, state="failed")]

    assert queue.retry([middle, last, *sorted(chain)]) == []
    assert queue.claim(["after"]) == []
    queue.cancel([found.id for found in queue.search(type="x")])
    assert queue.claim(["after"])[0].payload["batch"] == {"id": batch, "succeeded": 0, "failed": 2, "cancelled": 1}


def test_a_need_is_an_id(queue: Queue) -> None:
    queue.enqueue(NewJob("t"))
    with pytest.raises(QueueError, match="needs"):
        NewJob("t", needs=[1, "1"])  # type: ignore[list-item]


@pytest.mark.parametrize("waits", ["for its need", "behind another"])
def test_what_was_cancelled_while_it_waited_is_left_as_it_is(queue: Queue, waits: str) -> None:
    first = queue.enqueue(NewJob("t", key="k"), now=1)
    job = _run(queue)
    if waits == "for its need":
        second = queue.enqueue(NewJob("u", needs=[first]), now=2)
    else:
        second = queue.enqueue(NewJob("t", key="k"), on_conflict="after", now=2)
    queue.cancel([second], now=3)
    before = queue.get(second)

    queue.finish(job.id, job.run, now=101)

    assert queue.get(second) == before
