"""Workflows that run, and what they call."""

from __future__ import annotations

from typing import Any

from clx.db.calls.models import Call, Entered
from clx.db.jobs import Job, NewJob, Queue

TASK = "task:train:1.0.0"
WORKFLOW = "workflow:search"
Run = tuple[int, int]


def begin(queue: Queue, type_: str = WORKFLOW) -> Run:
    """A job of that type that runs."""
    job_id = queue.enqueue(NewJob(type_, max_runs=100))
    return rejoin(queue, job_id, type_)


def rejoin(queue: Queue, job_id: int, type_: str = WORKFLOW) -> Run:
    """The next run of a job that waits."""
    (job,) = queue.claim([type_])
    assert job.id == job_id
    return job.id, job.run


def call(key: str | None, occurrence: int = 0, *, cache: bool = True, ttl: int | None = None, **job: Any) -> Call:
    """A call of the task, or of another *type*, with these arguments."""
    new = NewJob(**{"type": TASK, "payload": {"arguments": {"x": key}}, "key": key, **job})
    return Call(f"call of {key}", occurrence, new, cache, ttl)


def enter(queue: Queue, parent: Run | None, *calls: Call) -> list[Entered]:
    return queue.calls.enter(parent, calls)


def enter_one(queue: Queue, parent: Run | None, one: Call) -> int:
    """The job of a call that is answered by one."""
    (entered,) = enter(queue, parent, one)
    assert entered.job_id is not None
    return entered.job_id


def do(queue: Queue, job_id: int, value: Any = 1) -> None:
    """Have a queued task done."""
    (job,) = queue.claim([job_of(queue, job_id).type])
    assert job.id == job_id
    queue.finish(job.id, job.run, {"value": value})


def job_of(queue: Queue, job_id: int | None) -> Job:
    found = queue.get(job_id or 0)
    assert found is not None
    return found


def state(queue: Queue, job_id: int) -> str:
    """In what state a job is; with ``!`` where it was asked to end."""
    job = job_of(queue, job_id)
    return f"{job.state}!" if job.cancel_requested and job.is_live else job.state
