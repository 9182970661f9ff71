"""A type of jobs that nobody claims for a while."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from clx.db.jobs import NewJob, Queue
from clx.db.wait import Bells
from clx.errors import QueueError


def test_nobody_claims_what_is_paused_and_what_runs_goes_on(queue: Queue) -> None:
    first, second = queue.enqueue_many([NewJob("mail"), NewJob("mail")])
    (job,) = queue.claim(["mail"])

    assert queue.pause("mail")

    assert not queue.may_claim(["mail"])
    assert queue.claim(["mail"], 5) == []
    assert queue.heartbeat(job.id, job.run) == "go on"
    queue.finish(job.id, job.run)
    assert queue.settle([], ["mail"], 5).claimed == []
    assert queue.resume("mail")
    assert [job.id for job in queue.claim(["mail"], 5)] == [second]
    assert first == job.id


def test_other_types_and_other_pools_are_not(queue: Queue) -> None:
    ids = queue.enqueue_many([NewJob("mail"), NewJob("bulk"), NewJob("mail", pool="eu")])

    queue.pause("mail")

    assert [job.id for job in queue.claim(["mail", "bulk"], 5)] == [ids[1]]
    assert [job.id for job in queue.claim(["mail"], 5, pool="eu")] == [ids[2]]
    assert [(each.type, each.pool) for each in queue.paused()] == [("mail", "")]


def test_twice_is_told(queue: Queue) -> None:
    assert queue.pause("mail")
    assert not queue.pause("mail")
    assert queue.resume("mail")
    assert not queue.resume("mail")
    assert queue.paused() == []


def test_who_waits_is_woken_when_it_goes_on(open_queue: Callable[[], Queue]) -> None:
    queue = open_queue()
    queue.enqueue(NewJob("mail"))
    queue.pause("mail")
    with Bells(queue.database, ["mail"]) as bells:
        bells.silence()
        open_queue().resume("mail")
        bells.wait(60)

    assert queue.may_claim(["mail"])


@pytest.mark.parametrize(("type_", "pool"), [("", ""), (None, ""), ("mail", None)])
def test_what_no_job_can_be_is_refused(queue: Queue, type_: str, pool: str) -> None:
    with pytest.raises(QueueError):
        queue.pause(type_, pool)
    with pytest.raises(QueueError):
        queue.resume(type_, pool)


def test_a_place_of_a_limit_goes_to_a_type_that_is_not_paused(queue: Queue) -> None:
    """At once, however many of the paused one are held back before it."""
    queue.set_limit("api", concurrency=1)
    mails = queue.enqueue_many([NewJob("mail", limit="api", priority=5) for _ in range(5)])
    bulk = queue.enqueue(NewJob("bulk", limit="api"))
    (job,) = queue.claim(["mail"])
    assert queue.claim(["mail"]) == queue.claim(["bulk"]) == []

    queue.pause("mail")
    queue.finish(job.id, job.run)

    (taken,) = queue.claim(["bulk"])
    assert taken.id == bulk
    queue.finish(taken.id, taken.run)
    queue.resume("mail")
    assert [each.id for each in queue.claim(["mail"])] == mails[1:2]
