"""Pipelines as their definitions say them, and a runner that does their works one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clx.db.jobs import Queue
from clx.db.pipelines.models import ConfigDefinition, PipelineDefinition, StepDefinition
from clx.db.works.models import Document
from clx.db.works.withdrawing import Asked


def step(name: str, stage: int | None = None, works: int = 1, **fields: Any) -> StepDefinition:
    """A step whose works are in the bucket of its name, numbered by their events."""
    made = tuple({"pipeline": name, "event": [n], "retries": 1} for n in range(works))
    return StepDefinition(name, stage, works=made, **fields)


def config(*steps: StepDefinition, **fields: Any) -> ConfigDefinition:
    return ConfigDefinition("c", "name: c", (PipelineDefinition({}, steps),), **fields)


def deploy(queue: Queue, *steps: StepDefinition) -> str:
    """Deploy one pipeline; returns its id."""
    (found,) = queue.pipelines.deploy(config(*steps)).pipelines
    return found


def now(queue: Queue, pipeline_id: str) -> Document:
    found = queue.pipelines.get(pipeline_id)
    assert found is not None
    return found


def steps(queue: Queue, pipeline_id: str) -> dict[str, str]:
    """The status of each step."""
    return {each["name"]: each["status"] for each in now(queue, pipeline_id)["steps"]}


def reasons(queue: Queue, pipeline_id: str) -> dict[str, str]:
    """The reason of each step that has one."""
    return {each["name"]: each["reason"] for each in now(queue, pipeline_id)["steps"] if each["reason"]}


def waiting(queue: Queue) -> list[str]:
    """The buckets of the works that can be withdrawn or are held, in the order in which they came in."""
    return [job.type.removeprefix("work:") for job in reversed(queue.search(state="queued", limit=1000))]


def withdraw(queue: Queue, *names: str) -> Document:
    found = queue.works.withdraw(Asked(names))
    assert found is not None
    return found


def end(queue: Queue, work: Document, status: str = "success", **fields: Any) -> None:
    assert queue.works.update([{**work, "status": status, **fields}]) == [True]


def do(queue: Queue, *names: str, status: str = "success", **fields: Any) -> None:
    """Do one work of each bucket."""
    for name in names:
        end(queue, withdraw(queue, name), status, **fields)


def do_all(queue: Queue, fails: Callable[[Document], bool] = lambda _: False) -> list[str]:
    """Do all works there are and that follow; returns their buckets, in their order."""
    done = []
    while names := tuple(dict.fromkeys(waiting(queue))):
        found = queue.works.withdraw(Asked(names))
        if found is None:
            break
        done.append(found["pipeline"])
        end(queue, found, "failure" if fails(found) else "success")
    return done
