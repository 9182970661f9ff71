"""A routine that is to run after another one is queued in the transaction that ends that one, once."""

from __future__ import annotations

from typing import Any

import pytest
from tests.db.calls.conftest import TASK, WORKFLOW, begin, call, do, enter, enter_one, job_of
from tests.support.clock import at

from clx.db.calls.models import RoutineRow
from clx.db.check import check
from clx.db.jobs import NewJob, Queue, Success
from clx.errors import QueueError

REPORT = "task:report:1.0.0"
DAY = 24 * 3600 * 1000


def _routine(id_: str = REPORT, after: str | None = TASK, on: str | None = "success", **more: Any) -> RoutineRow:
    return RoutineRow(id_, **{"module": "shop", "source": "0" * 16, "after": after, "on": on, "parameter": "x", **more})


def _queued(queue: Queue, type_: str = REPORT) -> list[dict[str, Any]]:
    """The payloads of the jobs of that type, oldest first."""
    return [job.payload for job in reversed(queue.search(type=type_))]


def test_it_gets_the_value_as_it_stands(queue: Queue) -> None:
    queue.calls.register([_routine(job=NewJob(REPORT, priority=5, timeout=7, pool="p"))])
    queue.enqueue(NewJob(TASK))
    (job,) = queue.claim([TASK])

    queue.finish(job.id, job.run, {"value": {"$t": [1, 1.0, "ü"]}, "source": "0"})

    (found,) = queue.search(type=REPORT)
    assert found.payload == {"arguments": {"x": {"$t": [1, 1.0, "ü"]}}}
    assert (found.priority, found.timeout, found.pool, found.key) == (5, 7, "p", None)
    assert check(queue.database) == []


def _end(queue: Queue, how: str) -> int:
    job_id = queue.enqueue(NewJob(TASK))
    if how == "cancelled":
        queue.cancel([job_id])
        return job_id
    (job,) = queue.claim([TASK])
    if how == "succeeded":
        queue.finish(job_id, job.run, {"value": 3})
    else:
        queue.fail(job_id, job.run, {"type": "ValueError", "message": "no"})
    return job_id


@pytest.mark.parametrize("how", ["succeeded", "failed", "cancelled"])
@pytest.mark.parametrize("on", ["success", "failure", "always"])
def test_it_runs_after_the_ends_it_is_meant_for(queue: Queue, on: str, how: str) -> None:
    queue.calls.register([_routine(on=on)])

    job_id = _end(queue, how)

    told = {"job": job_id, "routine": TASK, "state": how}
    error = {"error": {"message": "no", "type": "ValueError"} if how == "failed" else None}
    wanted = {
        ("success", "succeeded"): 3,
        ("failure", "failed"): told | error,
        ("always", "succeeded"): told | {"value": 3},
        ("always", "failed"): told | error,
        ("always", "cancelled"): told | error,
    }.get((on, how))
    assert _queued(queue) == ([] if wanted is None else [{"arguments": {"x": wanted}}])


def test_several_and_one_without_parameters_and_a_chain(queue: Queue) -> None:
    queue.calls.register([
        _routine(),
        _routine("workflow:clean", parameter=None, on="always"),
        _routine("task:mail:1.0.0", after=REPORT),
        _routine("task:other:1.0.0", after="task:train:2.0.0"),
    ])  # fmt: skip

    do(queue, queue.enqueue(NewJob(TASK)))
    assert (_queued(queue), _queued(queue, "workflow:clean")) == ([{"arguments": {"x": 1}}], [{"arguments": {}}])
    (job,) = queue.claim([REPORT])
    queue.finish(job.id, job.run, {"value": "sent"})
    assert _queued(queue, "task:mail:1.0.0") == [{"arguments": {"x": "sent"}}]
    assert _queued(queue, "task:other:1.0.0") == []


def test_it_runs_once_however_often_the_end_is_told(queue: Queue) -> None:
    queue.calls.register([_routine()])
    job_id = queue.enqueue(NewJob(TASK))
    (job,) = queue.claim([TASK])
    worker = job_of(queue, job_id).worker_id

    at(queue, 10**14).rescue()
    queue.finish(job_id, job.run, {"value": 1})  # late, and it counts
    assert queue.settle([Success(job_id, job.run, {"value": 1})], worker=worker).lost

    assert len(_queued(queue)) == 1


def test_a_late_success_after_a_failure_that_was_told_runs_nothing(queue: Queue) -> None:
    queue.calls.register([_routine(on="always")])
    job_id = queue.enqueue(NewJob(TASK, max_runs=1))
    (job,) = queue.claim([TASK])
    at(queue, 10**14).rescue()
    assert job_of(queue, job_id).state == "failed"

    queue.finish(job_id, job.run, {"value": 1})

    assert job_of(queue, job_id).state == "succeeded"
    assert [each["arguments"]["x"]["state"] for each in _queued(queue)] == ["failed"]


def test_many_that_end_together_run_it_for_each(queue: Queue) -> None:
    queue.calls.register([_routine(on="always"), _routine("task:mail:1.0.0", after=WORKFLOW)])
    parent = begin(queue)
    enter(queue, parent, *(call(f"{n}") for n in range(30)))

    queue.finish(*parent, {"value": 2})

    assert len(_queued(queue)) == 30
    assert _queued(queue, "task:mail:1.0.0") == [{"arguments": {"x": 2}}]


def test_reports_of_one_worker_taken_together_run_it_for_each(queue: Queue) -> None:
    queue.calls.register([_routine()])
    queue.enqueue_many([NewJob(TASK), NewJob(TASK)])
    held = queue.claim([TASK], 2)

    queue.settle([Success(job.id, job.run, {"value": job.id}) for job in held], worker=held[0].worker_id)

    assert sorted(each["arguments"]["x"] for each in _queued(queue)) == [job.id for job in held]


def test_a_result_that_is_no_routines_goes_as_it_is(queue: Queue) -> None:
    queue.calls.register([_routine()])
    queue.enqueue(NewJob(TASK))
    (job,) = queue.claim([TASK])

    queue.finish(job.id, job.run, [1, None])

    assert _queued(queue) == [{"arguments": {"x": [1, None]}}]


def test_a_job_that_another_program_wrote_runs_nothing(queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    queue.calls.register([_routine()])
    queue.database.connection().execute("UPDATE routines SET job = '[1]'")

    do(queue, queue.enqueue(NewJob(TASK)))

    assert _queued(queue) == []
    assert f"{REPORT} cannot be run after job 1" in caplog.text
    assert queue.calls.routines()[0].job is None


def test_what_workers_have_is_listed(queue: Queue) -> None:
    task = _routine(signature="(x: int) -> int", doc="Tell.", job=NewJob(REPORT, timeout=5))
    at(queue.calls, 5).register([_routine(WORKFLOW, None, None, parameter=None), task])

    found = queue.calls.routines()

    assert found[0]._replace(job=None) == task._replace(job=None, seen_at=5)
    assert (found[0].job or NewJob("t")).timeout == 5
    assert found[1]._replace(job=None) == RoutineRow(WORKFLOW, "shop", "0" * 16, seen_at=5)
    assert [each.name for each in found] == ["task:report", WORKFLOW]


def test_what_is_known_is_not_written_again_within_a_day(queue: Queue) -> None:
    rows = [_routine(), _routine(WORKFLOW, None, None)]
    for now in (1000, 2000, 1000 + DAY):
        at(queue.calls, now).register(rows)
        assert {each.seen_at for each in queue.calls.routines()} == {1000 + DAY if now > DAY else 1000}
    at(queue.calls, 1001 + DAY).register([rows[0]._replace(source="1" * 16), rows[1]])
    assert queue.calls.routines()[0].source == "1" * 16


@pytest.mark.parametrize(
    "now",
    [
        _routine(after=None, on=None),
        _routine("task:report:2.0.0"),
        _routine("task:report:2.0.0", module="store"),
        _routine("task:mail:1.0.0", after=REPORT),
    ],
)
def test_a_trigger_that_the_code_has_no_more_fires_no_more(queue: Queue, now: RoutineRow) -> None:
    queue.calls.register([_routine()])
    queue.calls.register([now])

    do(queue, queue.enqueue(NewJob(TASK)))

    assert _queued(queue) == []
    assert len(_queued(queue, now.id)) == (now.id == "task:report:2.0.0")


def test_triggers_of_other_modules_stay(queue: Queue) -> None:
    queue.calls.register([_routine()])
    queue.calls.register([_routine("task:mail:1.0.0", module="store")])

    do(queue, queue.enqueue(NewJob(TASK)))

    assert len(_queued(queue)) == len(_queued(queue, "task:mail:1.0.0")) == 1


def test_a_circle_is_refused(queue: Queue) -> None:
    queue.calls.register([_routine(), _routine("task:mail:1.0.0", after=REPORT)])

    with pytest.raises(QueueError, match=f"{TASK} after task:mail:1.0.0 after {REPORT} after {TASK}"):
        queue.calls.register([_routine(TASK, after="task:mail:1.0.0", module="other")])
    with pytest.raises(QueueError, match="for ever"):
        queue.calls.register([_routine(after=REPORT)])

    assert {each.id: each.after for each in queue.calls.routines()} == {REPORT: TASK, "task:mail:1.0.0": REPORT}


@pytest.mark.parametrize(
    "routine",
    [
        _routine("report"),
        _routine(on=None),
        _routine(after=None),
        _routine(after="train"),
        _routine(on="ever"),
        _routine(job=NewJob("t")),
        _routine(job=NewJob(REPORT, key="k")),
        _routine(job=NewJob(REPORT, needs=[1])),
    ],
)
def test_what_is_not_possible_is_refused(queue: Queue, routine: RoutineRow) -> None:
    with pytest.raises(QueueError):
        queue.calls.register([routine])
    assert queue.calls.routines() == []


def test_what_is_called_and_what_triggers_are_different_things(queue: Queue) -> None:
    """A job that a trigger has put in belongs to nobody: no end of a workflow takes it away."""
    queue.calls.register([_routine()])
    parent = begin(queue)
    do(queue, enter_one(queue, parent, call("a")))

    queue.finish(*parent, {"value": 1})

    assert queue.stats()[REPORT] == {"queued": 1}


def test_a_trigger_that_was_taken_away_fires_no_more_until_a_worker_has_it_again(queue: Queue) -> None:
    queue.calls.register([_routine()])
    assert queue.calls.disarm(REPORT)
    assert not queue.calls.disarm(REPORT)
    _end(queue, "succeeded")
    assert _queued(queue) == []
    queue.calls.register([_routine()])
    _end(queue, "succeeded")
    assert len(_queued(queue)) == 1
