"""A job becomes claimable when the jobs it needs have succeeded; their failure fails it with the cause."""

from __future__ import annotations

import pytest
from tests.support.clock import at

from clx.db.jobs import Job, NewJob, Queue
from clx.errors import QueueError, UnknownJobError


def _run(queue: Queue) -> Job:
    return at(queue, 100).claim(["t"])[0]


def test_a_job_waits_until_everything_it_needs_has_succeeded(queue: Queue) -> None:
    first, second = at(queue, 1).enqueue_many([NewJob("t"), NewJob("t")])
    last = at(queue, 1).enqueue(NewJob("u", needs=[first, second, first]))
    assert queue.needs(last) == [first, second]

    for remaining in (2, 1):
        found = queue.get(last)
        assert found is not None
        assert (found.waits_for, at(queue, 100).claim(["u"])) == (remaining, [])
        job = _run(queue)
        at(queue, 101).finish(job.id, job.run)

    assert [job.id for job in at(queue, 102).claim(["u"])] == [last]


def test_needs_that_have_succeeded_already_are_no_hindrance(queue: Queue) -> None:
    at(queue, 1).enqueue(NewJob("t"))
    job = _run(queue)
    queue.finish(job.id, job.run)

    last = queue.enqueue(NewJob("u", needs=[job.id]))

    assert [job.id for job in queue.claim(["u"])] == [last]


def test_a_job_that_needs_others_still_waits_for_its_time(queue: Queue) -> None:
    first = at(queue, 1).enqueue(NewJob("t"))
    at(queue, 1).enqueue(NewJob("u", needs=[first], not_before=500))
    job = _run(queue)
    at(queue, 101).finish(job.id, job.run)

    assert at(queue, 499).claim(["u"]) == []
    assert len(at(queue, 500).claim(["u"])) == 1


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_the_failure_of_a_need_ends_everything_that_waits_for_it(queue: Queue, state: str) -> None:
    first = at(queue, 1).enqueue(NewJob("t"))
    second = at(queue, 1).enqueue(NewJob("u", needs=[first]))
    third = at(queue, 1).enqueue(NewJob("u", needs=[second]))
    if state == "failed":
        job = _run(queue)
        at(queue, 101).fail(job.id, job.run, {"message": "no"})
    else:
        at(queue, 101).cancel([first])

    for job_id, need in ((second, first), (third, second)):
        found = queue.get(job_id)
        assert found is not None
        assert found.state == state
        assert found.error is not None
        assert found.error["cause"] == {"kind": "need", "job": need, "state": state}


def test_a_failure_that_is_retried_ends_nothing_yet(queue: Queue) -> None:
    first = at(queue, 1).enqueue(NewJob("t"))
    at(queue, 1).enqueue(NewJob("u", needs=[first]))
    job = _run(queue)
    at(queue, 101).fail(job.id, job.run, {"message": "no"}, retry=True, backoff=0)
    assert queue.stats()["u"] == {"queued": 1}

    again = _run(queue)
    at(queue, 102).finish(again.id, again.run)

    assert len(at(queue, 103).claim(["u"])) == 1


def test_a_job_killed_for_good_fails_those_that_wait_for_it(queue: Queue) -> None:
    first = at(queue, 1).enqueue(NewJob("t", max_runs=1))
    second = at(queue, 1).enqueue(NewJob("u", needs=[first]))
    job = _run(queue)
    at(queue, 101).rescue_worker(job.worker_id or 0, {"kind": "exit", "code": 1})

    found = queue.get(second)
    assert found is not None
    assert found.state == "failed"


def test_needing_a_job_that_failed_fails_at_once(queue: Queue) -> None:
    first = at(queue, 1).enqueue(NewJob("t"))
    queue.cancel([first])

    found = queue.get(queue.enqueue(NewJob("u", needs=[first])))

    assert found is not None
    assert found.state == "cancelled"


def test_needing_a_job_that_is_not_there_is_refused(queue: Queue) -> None:
    with pytest.raises(UnknownJobError, match="no job 17"):
        queue.enqueue(NewJob("t", needs=[17]))


def test_retrying_a_job_waits_for_its_needs_again(queue: Queue) -> None:
    first = at(queue, 1).enqueue(NewJob("t"))
    second = at(queue, 1).enqueue(NewJob("u", needs=[first]))
    at(queue, 2).cancel([first])

    at(queue, 3).retry([second])
    found = queue.get(second)
    assert found is not None
    assert found.state == "cancelled"  # its need is still cancelled

    at(queue, 4).retry([first, second])
    assert at(queue, 5).claim(["u"]) == []
    job = _run(queue)
    at(queue, 101).finish(job.id, job.run)
    assert [job.id for job in at(queue, 102).claim(["u"])] == [second]


def test_a_long_chain_falls_in_one_transaction(queue: Queue) -> None:
    ids = [at(queue, 1).enqueue(NewJob("t"))]
    jobs = [NewJob("u", needs=[ids[0] + n]) for n in range(3000)]
    at(queue, 1).enqueue_many(jobs)

    at(queue, 2).cancel(ids)

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
    assert at(queue, 200).claim(["u"]) == []
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
    first = at(queue, 1).enqueue(NewJob("t", key="k"))
    job = _run(queue)
    if waits == "for its need":
        second = at(queue, 2).enqueue(NewJob("u", needs=[first]))
    else:
        second = at(queue, 2).enqueue(NewJob("t", key="k"), on_conflict="after")
    at(queue, 3).cancel([second])
    before = queue.get(second)

    at(queue, 101).finish(job.id, job.run)

    assert queue.get(second) == before
