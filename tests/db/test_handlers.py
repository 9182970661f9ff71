"""What the function of a job may say and ask: another run, no other run, its queue, its batch."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from clx.db.consumer import Consumer
from clx.db.jobs import Job, NewJob, Queue
from clx.errors import Discard, QueueError, Retry


def _run(queue: Queue, error: BaseException, **options: Any) -> Job:
    def function(_job: Job) -> None:
        raise error

    job_id = queue.enqueue(NewJob("t", **options))
    Consumer(queue, {"t": function}).run(until_idle=True)
    job = queue.get(job_id)
    assert job is not None
    return job


@pytest.mark.parametrize("delay", [3_600_000, timedelta(hours=1)])
def test_another_run_comes_when_it_asks_for_it(
    queue: Queue, delay: int | timedelta, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "clx.consumer")

    job = _run(queue, Retry("the shop is closed", delay=delay))

    assert (job.state, job.run) == ("queued", 1)
    assert 3_500_000 < job.not_before - queue.database.clock.now() <= 3_600_000
    assert (job.error or {})["message"] == "the shop is closed"
    (told,) = [each for each in caplog.records if "shop" in each.getMessage()]
    assert (told.levelname, told.exc_info) == ("INFO", None)


def test_it_counts_as_a_run(queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    job = _run(queue, Retry(delay=0), max_runs=3)

    assert (job.state, job.run) == ("failed", 3)
    assert (job.error or {})["type"] == "Retry"
    assert "no runs left" in caplog.text


@pytest.mark.parametrize("delay", [-1, "soon", timedelta(days=-1)])
def test_a_pause_that_is_none_becomes_the_usual_one(queue: Queue, delay: Any) -> None:
    job = _run(queue, Retry(delay=delay))

    assert job.state == "queued"
    assert 0 < job.not_before - queue.database.clock.now() <= 750


def test_no_other_run_comes_when_it_wants_none(queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    job = _run(queue, Discard("there is no such customer"))

    assert (job.state, job.run) == ("failed", 1)
    assert (job.error or {})["message"] == "there is no such customer"
    assert "it wants no other run" in caplog.text


def test_a_function_has_its_queue_and_adds_to_its_batch(queue: Queue) -> None:
    def split(job: Job) -> None:
        assert job.batch is not None
        job.queue.enqueue_many([NewJob("part"), NewJob("part")], batch=job.batch)

    queue.enqueue_batch([NewJob("split")], NewJob("done"))
    Consumer(queue, {"split": split, "part": lambda _job: None}).run(until_idle=True)

    (callback,) = queue.claim(["done"])
    assert callback.payload["batch"]["succeeded"] == 3


def test_a_job_of_no_batch_has_none(queue: Queue) -> None:
    found: list[int | None] = []
    queue.enqueue(NewJob("t"))
    Consumer(queue, {"t": lambda job: found.append(job.batch)}).run(until_idle=True)

    assert found == [None]


def test_elsewhere_a_job_knows_no_queue(queue: Queue) -> None:
    job = queue.get(queue.enqueue(NewJob("t")))
    assert job is not None
    with pytest.raises(QueueError, match="Only in its handler"):
        _ = job.queue
    assert not job.cancelled()
