"""Batches: owners with leases, jobs that several want, callbacks."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.clock import at

from clx.db.batches import BatchTable
from clx.db.jobs import NewJob, Queue
from clx.errors import LostBatchError, QueueError


def _open(batches: BatchTable, now: int = 0) -> int:
    return at(batches, now).open("build", host="here", pid=1, identity="me", lease=100)


def test_closing_a_batch_cancels_only_what_nobody_else_wants(queue: Queue) -> None:
    batches = BatchTable(queue.database)
    mine, theirs = _open(batches), _open(batches)
    (shared, own) = queue.enqueue_many([NewJob("t", key="shared"), NewJob("t", key="own")], batch=mine)
    assert queue.enqueue_many([NewJob("t", key="shared")], batch=theirs) == [shared]

    assert batches.close(mine) == [own]
    assert queue.stats() == {"t": {"queued": 1, "cancelled": 1}}
    assert batches.close(theirs) == [shared]


def test_a_job_wanted_outside_any_batch_outlives_the_batch(queue: Queue) -> None:
    batches = BatchTable(queue.database)
    batch = _open(batches)
    (job_id,) = queue.enqueue_many([NewJob("t", key="k")], batch=batch)
    queue.enqueue(NewJob("t", key="k"))

    assert batches.close(batch) == []
    assert [job.id for job in queue.claim(["t"])] == [job_id]


def test_what_a_wanted_job_needs_is_wanted_too(queue: Queue) -> None:
    batches = BatchTable(queue.database)
    mine, theirs = _open(batches), _open(batches)
    (need,) = queue.enqueue_many([NewJob("t")], batch=mine)
    (middle,) = queue.enqueue_many([NewJob("t", needs=[need])], batch=mine)
    queue.enqueue_many([NewJob("t", needs=[middle])], batch=theirs)

    assert batches.close(mine) == []
    assert queue.stats() == {"t": {"queued": 3}}


def test_a_running_job_of_a_closed_batch_is_told(queue: Queue) -> None:
    batches = BatchTable(queue.database)
    batch = _open(batches)
    queue.enqueue_many([NewJob("t")], batch=batch)
    job = queue.claim(["t"])[0]

    assert batches.close(batch) == [job.id]
    assert queue.heartbeat(job.id, job.run) == "cancel"


def test_an_owner_that_is_silent_or_gone_loses_its_batch(queue: Queue) -> None:
    batches = BatchTable(queue.database)
    silent, gone, fine = _open(batches), _open(batches, now=300), _open(batches, now=300)
    queue.enqueue_many([NewJob("t")], batch=silent)

    assert at(batches, 200).sweep(lambda _identity: False) == [silent]
    assert batches.renew(silent, lease=100) is False
    assert at(batches, 300).renew(fine, lease=500) is True
    assert at(batches, 450).sweep(lambda _identity: False) == [gone]
    assert queue.stats() == {"t": {"cancelled": 1}}
    assert [batch.id for batch in batches.live()] == [fine]


def test_an_owner_known_to_be_gone_loses_its_batch_at_once(queue: Queue) -> None:
    batches = BatchTable(queue.database)
    batch = _open(batches)

    assert at(batches, 1).sweep(lambda identity: identity == "me") == [batch]


def test_the_callback_is_queued_when_the_last_job_has_ended(queue: Queue) -> None:
    batch, ids = at(queue, 1).enqueue_batch([NewJob("t") for _ in range(3)], NewJob("after", {"mine": 1}))
    first, second, third = at(queue, 2).claim(["t"], 3)
    at(queue, 3).finish(first.id, first.run)
    at(queue, 3).fail(second.id, second.run, {"message": "no"})
    assert at(queue, 4).claim(["after"]) == []

    at(queue, 5).cancel([third.id])
    at(queue, 6).end_cancelled(third.id, third.run)

    (callback,) = at(queue, 7).claim(["after"])
    counts = {"succeeded": 1, "failed": 1, "cancelled": 1}
    assert callback.payload == {"mine": 1, "batch": {"id": batch, **counts}}
    row = BatchTable(queue.database).get(batch)
    assert row is not None
    assert (row.state, row.callback_job, len(ids)) == ("done", callback.id, 3)


def test_an_empty_batch_calls_back_at_once(queue: Queue) -> None:
    batch, ids = queue.enqueue_batch([], NewJob("after"))

    assert ids == []
    assert queue.claim(["after"])[0].payload == {"batch": {"id": batch, "succeeded": 0, "failed": 0, "cancelled": 0}}


def test_a_retried_job_is_waited_for_again(queue: Queue) -> None:
    _, ids = queue.enqueue_batch([NewJob("t"), NewJob("t")], NewJob("after"))
    queue.cancel([ids[0]])
    queue.retry([ids[0]])
    queue.cancel([ids[1]])
    assert queue.claim(["after"]) == []

    queue.cancel([ids[0]])
    assert len(queue.claim(["after"])) == 1


def test_a_failed_need_counts_as_ended_for_the_callback(queue: Queue) -> None:
    first = queue.enqueue(NewJob("t"))
    queue.enqueue_batch([NewJob("u", needs=[first]), NewJob("u", needs=[first])], NewJob("after"))

    queue.cancel([first])

    assert queue.claim(["after"])[0].payload["batch"]["cancelled"] == 2


@pytest.mark.parametrize("end", ["close", "cancel"])
def test_a_closed_batch_calls_nobody(queue: Queue, end: str) -> None:
    batch, ids = queue.enqueue_batch([NewJob("t")], NewJob("after"))
    if end == "close":
        assert BatchTable(queue.database).close(batch) == ids
        assert queue.claim(["after"]) == []
    else:
        queue.cancel(ids)
        assert len(queue.claim(["after"])) == 1


@pytest.mark.parametrize("end", ["called back", "closed", "abandoned"])
def test_a_batch_ends_once(queue: Queue, end: str) -> None:
    """Who ends it after somebody else, a build after its last job or a sweep after the build, changes nothing."""
    batches = BatchTable(queue.database)
    if end == "called back":
        batch, ids = at(queue, 1).enqueue_batch([NewJob("t")], NewJob("after"))
        at(queue, 5).cancel(ids)
    else:
        batch = _open(batches)
        at(batches, 5).close(batch, abandoned=end == "abandoned")
    before = batches.get(batch)
    assert before is not None
    assert (before.state, before.finished_at) == ("abandoned" if end == "abandoned" else "done", 5)

    at(batches, 900).close(batch, abandoned=end != "abandoned")

    assert batches.get(batch) == before


def test_jobs_that_join_a_batch_later_are_waited_for_too(queue: Queue) -> None:
    batch, ids = queue.enqueue_batch([NewJob("t")], NewJob("after"))
    (late,) = queue.enqueue_many([NewJob("u")], batch=batch)

    job = queue.claim(["u"])[0]
    queue.finish(job.id, job.run)
    assert (job.id, queue.claim(["after"])) == (late, [])

    queue.cancel(ids)
    assert queue.claim(["after"])[0].payload["batch"] == {"id": batch, "succeeded": 1, "failed": 0, "cancelled": 1}


def test_a_batch_waits_for_the_jobs_that_come_while_its_last_one_is_replaced(queue: Queue) -> None:
    """The replaced job ends at once, because its new need has failed."""
    failed = queue.enqueue(NewJob("t"))
    queue.cancel([failed])
    batch, ids = queue.enqueue_batch([NewJob("t", key="k")], NewJob("after"))
    hopeless = NewJob("t", key="k", needs=[failed])

    same, late = queue.enqueue_many([hopeless, NewJob("u")], batch=batch, on_conflict="replace")
    assert ([same], queue.claim(["after"])) == (ids, [])

    queue.cancel([late])
    assert queue.claim(["after"])[0].payload["batch"] == {"id": batch, "succeeded": 0, "failed": 0, "cancelled": 2}


def test_a_batch_calls_back_when_its_last_job_is_replaced_by_one_that_cannot_run(queue: Queue) -> None:
    failed = queue.enqueue(NewJob("t"))
    queue.cancel([failed])
    batch, ids = queue.enqueue_batch([NewJob("t", key="k")], NewJob("after"))

    hopeless = NewJob("t", key="k", needs=[failed])
    assert queue.enqueue_many([hopeless], batch=batch, on_conflict="replace") == ids

    assert queue.claim(["after"])[0].payload["batch"] == {"id": batch, "succeeded": 0, "failed": 0, "cancelled": 1}
    with pytest.raises(LostBatchError):
        queue.enqueue_many([NewJob("t")], batch=batch)


def test_a_long_chain_of_which_the_end_is_wanted_is_wanted(queue: Queue) -> None:
    """In one transaction that keeps everybody waiting: looked at link by link, not all of it for each link."""
    batches = BatchTable(queue.database)
    mine, theirs = _open(batches), _open(batches)
    (last,) = queue.enqueue_many([NewJob("t")], batch=mine)
    for _ in range(300):
        (last,) = queue.enqueue_many([NewJob("t", needs=[last])], batch=mine)
    queue.enqueue_many([NewJob("t", needs=[last])], batch=theirs)
    statements: list[str] = []
    queue.database.connection().set_trace_callback(statements.append)

    assert batches.close(mine) == []
    assert len(statements) < 1500


@pytest.mark.parametrize("callback", [None, {"type": "after"}, NewJob("after", key="k"), NewJob("after", needs=[1])])
def test_a_callback_that_could_not_always_be_put_in_is_refused(queue: Queue, callback: Any) -> None:
    """It would be found out only when the last job ends, and nobody could end it."""
    queue.enqueue(NewJob("t"))

    with pytest.raises(QueueError, match="callback"):
        queue.enqueue_batch([NewJob("t")], callback)
    assert queue.stats() == {"t": {"queued": 1}}
