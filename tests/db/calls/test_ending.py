"""However a workflow ends, what it has called and nobody else wants is cancelled with it, and so on down the tree."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.db.calls.conftest import TASK, WORKFLOW, Run, begin, call, do, enter, enter_one, job_of, rejoin, state
from tests.support.clock import at

from clx.db.batches import BatchTable
from clx.db.check import check
from clx.db.jobs import Failure, NewJob, Queue, Success
from clx.db.workers import register_this_process

INNER = "workflow:inner"
LEASE = 60_000


def _later(queue: Queue) -> Queue:
    """When the host's lease is over, and that of who does its tasks is not."""
    return at(queue, queue.database.clock.now() + 10 * LEASE)


def _finish(queue: Queue, run: Run) -> None:
    queue.finish(*run, {"value": 1})


def _settle(queue: Queue, run: Run) -> None:
    worker = job_of(queue, run[0]).worker_id
    other = queue.enqueue(NewJob("t"))
    (job,) = queue.claim(["t"], worker=worker)
    assert queue.settle([Success(*run, 1), Success(other, job.run)], worker=worker).lost == []


def _settle_failure(queue: Queue, run: Run) -> None:
    queue.settle([Failure(*run, {"message": "no"})], worker=job_of(queue, run[0]).worker_id)


def _fail(queue: Queue, run: Run) -> None:
    queue.fail(*run, {"message": "no"})


def _cancel_queued(queue: Queue, run: Run) -> None:
    queue.release(*run)
    assert queue.cancel([run[0]]) == [run[0]]


def _end_cancelled(queue: Queue, run: Run) -> None:
    queue.cancel([run[0]])
    queue.end_cancelled(*run)


def _fail_cancelled(queue: Queue, run: Run) -> None:
    queue.settle([Failure(*run, {"message": "told to"}, cancelled=True)], worker=job_of(queue, run[0]).worker_id)


def _cancelled_as_its_host_dies(queue: Queue, run: Run) -> None:
    queue.cancel([run[0]])
    queue.rescue_worker(job_of(queue, run[0]).worker_id or 0, {"kind": "signal", "signal": 9})


def _poison(queue: Queue, run: Run) -> None:
    queue.database.connection().execute("UPDATE jobs SET max_runs = 1 WHERE id = ?", (run[0],))
    queue.rescue_worker(job_of(queue, run[0]).worker_id or 0, {"kind": "signal", "signal": 9})


def _silent(queue: Queue, run: Run) -> None:
    queue.database.connection().execute("UPDATE jobs SET max_runs = 1 WHERE id = ?", (run[0],))
    assert _later(queue).rescue() == [run[0]]


def _late(queue: Queue, run: Run) -> None:
    """It succeeds after all, after it was taken from a host that was only silent."""
    _later(queue).rescue()
    assert job_of(queue, run[0]).state == "queued"
    queue.finish(*run, {"value": 1})


def _expire(queue: Queue, run: Run) -> None:
    queue.release(*run)
    queue.database.connection().execute("UPDATE jobs SET expires_at = 1 WHERE id = ?", (run[0],))
    queue.rescue()


def _expire_as_it_is_claimed(queue: Queue, run: Run) -> None:
    queue.release(*run)
    queue.database.connection().execute("UPDATE jobs SET expires_at = 1 WHERE id = ?", (run[0],))
    assert queue.claim([WORKFLOW]) == []


def _as_a_dependent(queue: Queue, run: Run) -> None:
    """It waits again, and one that it needs fails."""
    needed = queue.enqueue(NewJob("needed"))
    queue.release(*run)
    connection = queue.database.connection()
    connection.execute("INSERT INTO dependencies (job_id, needs_id) VALUES (?, ?)", (run[0], needed))
    connection.execute("UPDATE jobs SET waits_for = 1, ready = 0 WHERE id = ?", (run[0],))
    (job,) = queue.claim(["needed"])
    queue.fail(job.id, job.run, {"message": "no"})


def _with_its_needs_when_retried(queue: Queue, run: Run) -> None:
    needed = queue.enqueue(NewJob("needed"))
    queue.cancel([needed])
    connection = queue.database.connection()
    connection.execute("INSERT INTO dependencies (job_id, needs_id) VALUES (?, ?)", (run[0], needed))
    # as if it had ended without anything following
    connection.execute(
        "UPDATE jobs SET state = 'failed', lease_until = NULL, error = '{}', finished_at = 1 WHERE id = ?", (run[0],)
    )
    assert queue.retry([run[0]]) == []


def _odd(queue: Queue, run: Run) -> None:
    queue.database.connection().execute("UPDATE jobs SET payload = '[' WHERE id = ?", (run[0],))
    assert queue._writer.put_odd_aside() == [run[0]]


def _batch_is_closed(queue: Queue, run: Run) -> None:
    queue.release(*run)
    batches = BatchTable(queue.database)
    batch = batches.open("b", host="h", pid=1, identity="i", lease=10)
    connection = queue.database.connection()
    connection.execute("UPDATE jobs SET unbatched = 0 WHERE id = ?", (run[0],))
    connection.execute("INSERT INTO batch_jobs (batch_id, job_id) VALUES (?, ?)", (batch, run[0]))
    assert batches.close(batch) == [run[0]]


_ENDS: list[Callable[[Queue, Run], None]] = [
    _finish, _settle, _settle_failure, _fail, _cancel_queued, _end_cancelled, _fail_cancelled,
    _cancelled_as_its_host_dies, _poison, _silent, _late, _expire, _expire_as_it_is_claimed, _as_a_dependent,
    _with_its_needs_when_retried, _odd, _batch_is_closed,
]  # fmt: skip


@pytest.mark.parametrize("end", _ENDS)
def test_what_only_it_has_called_is_cancelled(queue: Queue, end: Callable[[Queue, Run], None]) -> None:
    parent = begin(queue)
    running, done, waiting, inner = (
        enter_one(queue, parent, each)
        for each in (call("a"), call("b"), call("c"), call(None, type=INNER, pool="nested"))
    )
    other = register_this_process(queue.database, TASK)
    (held,) = queue.claim([TASK], worker=other, lease=100 * LEASE)
    do(queue, done)
    (inner_job,) = queue.claim([INNER], pool="nested")
    below = enter_one(queue, (inner_job.id, inner_job.run), call("d"))
    queue.release(inner_job.id, inner_job.run)

    end(queue, parent)

    assert not job_of(queue, parent[0]).is_live
    assert [state(queue, each) for each in (running, done, waiting, inner, below)] == [
        "running!", "succeeded", "cancelled", "cancelled", "cancelled",
    ]  # fmt: skip
    queue.release(held.id, held.run)
    assert state(queue, running) == "cancelled"
    assert (job_of(queue, waiting).error or {})["cause"] == {"kind": "caller", "job": parent[0]}
    assert (job_of(queue, below).error or {})["cause"] == {"kind": "caller", "job": inner}


@pytest.mark.parametrize("back", [lambda q, run: q.release(*run), lambda q, run: _later(q).rescue()])
def test_what_it_has_called_stays_while_it_waits_for_another_run(
    queue: Queue, back: Callable[[Queue, Run], None]
) -> None:
    parent = begin(queue)
    child = enter_one(queue, parent, call("a"))

    back(queue, parent)

    assert state(queue, child) == "queued"


def test_what_another_caller_wants_too_goes_on(queue: Queue) -> None:
    one, other = begin(queue), begin(queue)
    shared = enter_one(queue, one, call("a"))
    assert enter_one(queue, other, call("a")) == shared

    _finish(queue, one)
    assert state(queue, shared) == "queued"
    _finish(queue, other)
    assert state(queue, shared) == "cancelled"


def test_two_that_end_together_leave_nothing(queue: Queue) -> None:
    worker = job_of(queue, begin(queue)[0]).worker_id
    one, other = begin(queue), begin(queue)
    shared = enter_one(queue, one, call("a"))
    enter_one(queue, other, call("a"))

    queue.settle([Success(*one, 1), Success(*other, 1)], worker=worker)

    assert state(queue, shared) == "cancelled"


def test_what_a_program_put_in_for_itself_goes_on(queue: Queue) -> None:
    parent = begin(queue)
    first = queue.enqueue(NewJob(TASK, key="a"))
    assert enter_one(queue, parent, call("a")) == first
    second = enter_one(queue, parent, call("b"))
    assert queue.enqueue(NewJob(TASK, key="b")) == second

    _finish(queue, parent)

    assert [state(queue, each) for each in (first, second)] == ["queued", "queued"]


def test_what_a_program_waits_for_goes_on_until_it_leaves(queue: Queue) -> None:
    parent = begin(queue)
    child = enter_one(queue, parent, call("a"))
    (one,), (other,) = enter(queue, None, call("a")), enter(queue, None, call("a"))
    assert one.job_id == other.job_id == child

    _finish(queue, parent)
    assert state(queue, child) == "queued"
    queue.calls.leave(child, "nobody's")
    queue.calls.leave(child, one.mark or "")
    assert state(queue, child) == "queued"
    queue.calls.leave(child, other.mark or "")
    assert state(queue, child) == "cancelled"
    queue.calls.leave(child, other.mark or "")


def test_what_a_program_leaves_goes_on_where_others_want_it(queue: Queue) -> None:
    parent = begin(queue)
    (program,) = enter(queue, None, call("a"))
    job_id = enter_one(queue, parent, call("a"))

    queue.calls.leave(job_id, program.mark or "")
    assert state(queue, job_id) == "queued"

    (alone,) = enter(queue, None, call(None))
    (job,) = queue.claim([TASK], 2)[1:]
    assert job.id == alone.job_id
    queue.calls.leave(job.id, alone.mark or "")
    assert state(queue, job.id) == "running!"


def test_a_program_that_leaves_a_workflow_cancels_its_tree(queue: Queue) -> None:
    (program,) = enter(queue, None, call(None, type=WORKFLOW))
    parent = rejoin(queue, program.job_id or 0)
    child = enter_one(queue, parent, call("a"))
    queue.release(*parent)

    queue.calls.leave(parent[0], program.mark or "")

    assert [state(queue, each) for each in (parent[0], child)] == ["cancelled", "cancelled"]


def test_what_a_batch_wants_too_goes_on_and_the_other_way_round(queue: Queue) -> None:
    parent, batches = begin(queue), BatchTable(queue.database)
    batch = batches.open("b", host="h", pid=1, identity="i", lease=10)
    first, second = (enter_one(queue, parent, call(key)) for key in "ab")
    assert queue.enqueue_many([NewJob(TASK, key="a"), NewJob(TASK, key="b")], batch=batch) == [first, second]

    assert batches.cancel(batch, [second]) == []
    _finish(queue, parent)
    assert [state(queue, each) for each in (first, second)] == ["queued", "queued"]
    assert batches.close(batch) == [first, second]
    assert [state(queue, each) for each in (first, second)] == ["cancelled", "cancelled"]


def test_what_another_job_needs_goes_on(queue: Queue) -> None:
    parent = begin(queue)
    child = enter_one(queue, parent, call("a"))
    queue.enqueue(NewJob("t", needs=[child]))

    _finish(queue, parent)

    assert state(queue, child) == "queued"


def test_what_waits_behind_one_of_many_that_are_cancelled_is_let_go(queue: Queue) -> None:
    parent = begin(queue)
    ids = [each.job_id or 0 for each in enter(queue, parent, *(call(f"{n}") for n in range(20)))]
    (job,) = queue.claim([TASK])
    behind = queue.enqueue(NewJob(TASK, key="0"), on_conflict="after")
    queue.release(job.id, job.run)

    _finish(queue, parent)

    assert {state(queue, each) for each in ids} == {"cancelled"}
    assert [job.id for job in queue.claim([TASK])] == [behind]
    assert check(queue.database) == []


def test_what_needs_what_ends_by_a_workflow_ends_too(queue: Queue) -> None:
    """Two that need a workflow end with it, and what needs these, and what one of these has called."""
    parent = begin(queue)
    first, other = queue.enqueue_many([NewJob(WORKFLOW, needs=[parent[0]]), NewJob("t", needs=[parent[0]])])
    below = queue.enqueue(NewJob("t", needs=[first, other]))
    _, batch = queue.enqueue_batch([NewJob("t", needs=[other])], NewJob("callback"))
    child = enter_one(queue, parent, call("a"))

    _fail(queue, parent)

    assert [state(queue, each) for each in (first, other, below, *batch)] == ["failed"] * 4
    assert state(queue, child) == "cancelled"
    assert queue.stats()["callback"] == {"queued": 1}
    assert check(queue.database) == []


def test_a_failed_workflow_that_is_retried_tries_again_what_failed(queue: Queue) -> None:
    parent = begin(queue)
    failed, done, dropped = (enter_one(queue, parent, call(key, cache=False)) for key in "abc")
    (job,) = queue.claim([TASK])
    queue.fail(job.id, job.run, {"message": "no"})
    do(queue, done)
    queue.calls.remember(parent, "now", 0, "1")
    _fail(queue, parent)
    assert state(queue, dropped) == "cancelled"
    queue.retry([parent[0]])
    again = rejoin(queue, parent[0])

    entered = [enter_one(queue, again, call(key, cache=False)) for key in "abc"]

    assert entered[1] == done
    assert [state(queue, each) for each in entered] == ["queued", "succeeded", "queued"]
    assert failed not in entered
    assert queue.calls.remember(again, "now", 0, "2") == "1"


def test_jobs_of_other_types_ask_nothing_more(queue: Queue) -> None:
    said: list[str] = []
    job_id = queue.enqueue(NewJob("t"))
    (job,) = queue.claim(["t"])
    connection = queue.database.connection()
    connection.set_trace_callback(said.append)
    queue.finish(job_id, job.run)
    connection.set_trace_callback(None)

    assert said
    assert not [each for each in said if "calls" in each or "routines" in each]


@pytest.mark.parametrize("succeeds", [True, False])
def test_what_has_ended_no_program_wants_any_more(queue: Queue, succeeds: bool) -> None:
    """So that who waited writes nothing: neither does what is left count when the job is run again."""
    program = enter(queue, None, call("a"))[0]
    (job,) = queue.claim([TASK])
    if succeeds:
        queue.finish(job.id, job.run, {"value": 1})
    else:
        queue.fail(job.id, job.run, {"message": "no"}, retry=False)

    assert queue.calls.parents_of(program.job_id or 0) == []
