"""Functions whose calls are jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from clx.db.consumer import Consumer
from clx.db.jobs import Job, NewJob, Queue
from clx.db.tasks import task
from clx.errors import Discard, JobFailedError, QueueError


@dataclass
class Size:
    width: int
    height: int = 100


@task
def resize(file: str, size: Size, *, at: datetime | None = None) -> dict[str, Any]:
    """Make it smaller."""
    return {"file": file, "area": size.width * size.height, "year": at and at.year}


@task(type="mail.send", max_runs=5, priority=4, discard_on=(LookupError,), backoff=timedelta(hours=1))
def send(job: Job, to: str) -> int:
    if to == "nobody":
        raise KeyError(to)
    if to == "later":
        raise ConnectionError(to)
    return job.run


def test_it_is_still_a_function() -> None:
    assert resize("a", Size(2)) == {"file": "a", "area": 200, "year": None}
    assert (getattr(resize, "__name__", ""), resize.__doc__) == ("resize", "Make it smaller.")


def test_a_call_is_a_job_with_the_options_of_its_task() -> None:
    assert resize.job("a", size=Size(2)) == NewJob("resize", {"file": "a", "size": Size(2)})
    assert send.job(to="a@b") == NewJob("mail.send", {"to": "a@b"}, max_runs=5, priority=4)
    assert send.job("a@b") == send.job(to="a@b")
    assert send.using(priority=1).job(to="x") == NewJob("mail.send", {"to": "x"}, max_runs=5, priority=1)


def test_arguments_that_the_function_does_not_take_are_refused_at_once() -> None:
    with pytest.raises(TypeError):
        resize.job("a")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        resize.job("a", Size(1), colour="red")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        send.job(from_="x")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        send.job()  # type: ignore[call-arg]


def test_arguments_come_with_their_types(queue: Queue) -> None:
    job_id = queue.enqueue(resize.job("a", Size(3), at=datetime(2026, 1, 2)))  # noqa: DTZ001
    sent = queue.enqueue(send.job(to="a@b"))

    Consumer(queue, tasks=[resize, send]).run(until_idle=True)

    assert queue.result(job_id) == {"file": "a", "area": 300, "year": 2026}
    assert queue.result(sent) == 1


@pytest.mark.parametrize(
    "payload", [{"file": 1, "size": {"width": 1}}, {"file": "a"}, {"file": "a", "size": {}, "x": 1}]
)
def test_a_payload_of_another_shape_is_not_tried_again(queue: Queue, payload: dict[str, Any]) -> None:
    job_id = queue.enqueue(NewJob("resize", payload))

    Consumer(queue, tasks=[resize]).run(until_idle=True)

    with pytest.raises(JobFailedError, match="resize does not take the payload") as caught:
        queue.result(job_id)
    assert caught.value.type == Discard.__name__
    assert len(queue.runs(job_id)) == 1


@pytest.mark.parametrize("way", ["tasks", "handlers", "run"])
def test_it_knows_what_is_tried_again_and_when(queue: Queue, way: str) -> None:
    lost, later = queue.enqueue_many([send.job(to="nobody"), send.job(to="later")])

    consumer = {
        "tasks": lambda: Consumer(queue, tasks=[send]),
        "handlers": lambda: Consumer(queue, {"mail.send": send}),
        "run": lambda: Consumer(queue, {"mail.send": send.run}),
    }[way]()
    consumer.run(until_idle=True)

    assert [job.state for job in queue.get_many([lost, later])] == ["failed", "queued"]
    (waiting,) = queue.get_many([later])
    assert 3_500_000 < waiting.not_before - queue.database.clock.now() <= 3_600_000


def test_only_what_it_names_is_tried_again(queue: Queue) -> None:
    @task(retry_on=(ConnectionError,), backoff=0)
    def fetch(kind: str) -> None:
        raise {"net": ConnectionError, "bug": TypeError}[kind]

    net, bug = queue.enqueue_many([fetch.job("net"), fetch.job("bug")])
    Consumer(queue, tasks=[fetch]).run(until_idle=True)

    assert [(job.state, job.run) for job in queue.get_many([net, bug])] == [("failed", 3), ("failed", 1)]


def test_what_cannot_be_a_task_is_refused(queue: Queue) -> None:
    with pytest.raises(QueueError, match="has no name"):
        task(lambda *files: files)
    with pytest.raises(QueueError, match="is no task"):
        Consumer(queue, tasks=[print])  # type: ignore[list-item]
    with pytest.raises(QueueError, match="Two functions"):
        Consumer(queue, {"resize": print}, tasks=[resize])
    with pytest.raises(QueueError, match="a function for each type"):
        Consumer(queue, tasks=[])
