"""Enqueueing: rule 1, keys, delays, payloads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from clx.db.jobs import NewJob, Queue
from clx.errors import JobExistsError, LostBatchError, QueueError, UnknownJobError


def test_a_job_is_in_the_table_when_enqueue_returned(open_queue: Callable[[], Queue]) -> None:
    job_id = open_queue().enqueue(NewJob("t", {"text": 'ä"\n', "list": [1, None, 2.5]}, priority=4, timeout=7), now=5)

    job = open_queue().get(job_id)

    assert job is not None
    assert (job.state, job.payload, job.priority, job.timeout, job.created_at, job.run) == (
        "queued", {"text": 'ä"\n', "list": [1, None, 2.5]}, 4, 7, 5, 0,
    )  # fmt: skip


def test_many_jobs_go_in_together_or_not_at_all(queue: Queue) -> None:
    with pytest.raises(UnknownJobError):
        queue.enqueue_many([NewJob("t"), NewJob("t", needs=[99])])

    assert queue.stats() == {}


@pytest.mark.parametrize("keyed", [False, True])
def test_ids_come_back_in_the_order_of_the_jobs(queue: Queue, keyed: bool) -> None:
    queue.enqueue(NewJob("t"))
    ids = queue.enqueue_many([NewJob("t", {"n": n}, key=str(n) if keyed else None) for n in range(7)])

    assert [job.payload["n"] for job in queue.get_many(ids)] == list(range(7))
    assert ids == sorted(ids)


def test_no_jobs_are_no_trouble(queue: Queue) -> None:
    assert queue.enqueue_many([]) == []


def test_a_key_belongs_to_one_live_job_of_a_pool(queue: Queue) -> None:
    first = queue.enqueue(NewJob("t", key="k"))

    assert queue.enqueue(NewJob("t", key="k")) == first
    assert queue.enqueue(NewJob("t", key="k", pool="other")) != first
    with pytest.raises(JobExistsError, match=rf"Job {first} .* is queued"):
        queue.enqueue(NewJob("t", key="k"), on_conflict="raise")


def test_a_key_is_free_again_when_its_job_has_ended(queue: Queue) -> None:
    first = queue.enqueue(NewJob("t", key="k"))
    job = queue.claim(["t"])[0]
    queue.finish(job.id, job.run)

    assert queue.enqueue(NewJob("t", key="k"), on_conflict="raise") != first


def test_replacing_a_queued_job_keeps_its_id(queue: Queue) -> None:
    other = queue.enqueue(NewJob("t"))
    first = queue.enqueue(NewJob("t", {"n": 1}, key="k", needs=[other]))

    assert queue.enqueue(NewJob("t", {"n": 2}, key="k", priority=5), on_conflict="replace") == first

    job = queue.claim(["t"])[0]
    assert (job.id, job.payload, queue.needs(first)) == (first, {"n": 2}, [])


def test_a_running_job_is_not_replaced(queue: Queue) -> None:
    queue.enqueue(NewJob("t", {"n": 1}, key="k"))
    job = queue.claim(["t"])[0]

    with pytest.raises(JobExistsError, match="running"):
        queue.enqueue(NewJob("t", {"n": 2}, key="k"), on_conflict="replace")
    queue.finish(job.id, job.run)

    found = queue.get(job.id)
    assert found is not None
    assert found.payload == {"n": 1}


def test_asking_again_for_a_job_that_is_being_cancelled_keeps_it(queue: Queue) -> None:
    job_id = queue.enqueue(NewJob("t", key="k"))
    job = queue.claim(["t"])[0]
    queue.cancel([job_id])

    assert queue.enqueue(NewJob("t", key="k")) == job_id
    assert queue.heartbeat(job.id, job.run) == "go on"


def test_a_delayed_job_waits_for_its_time(queue: Queue) -> None:
    queue.enqueue(NewJob("t", not_before=2000), now=1000)

    assert queue.claim(["t"], now=1999) == []
    assert len(queue.claim(["t"], now=2000)) == 1


def test_an_ended_batch_takes_no_more_jobs(queue: Queue) -> None:
    batch, _ = queue.enqueue_batch([], NewJob("done"))

    with pytest.raises(LostBatchError):
        queue.enqueue_many([NewJob("t")], batch=batch)
    assert "t" not in queue.stats()


@pytest.mark.parametrize("wrong", [{"priority": 0}, {"priority": 6}, {"max_runs": 0}, {"type": ""}, {"timeout": 0}])
def test_values_the_table_does_not_take_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(QueueError):
        NewJob(**{"type": "t", **wrong})
