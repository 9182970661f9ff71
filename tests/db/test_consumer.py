"""The loop inside a program of one's own."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from clx.db.check import check
from clx.db.consumer import Consumer
from clx.db.jobs import Job, NewJob, Queue
from clx.db.waiting import Bells
from clx.db.workers import WorkerTable


@pytest.fixture
def queue(tmp_path: Path) -> Any:
    with Queue.open(tmp_path / "jobs.db") as queue:
        yield queue
        assert check(queue.database) == []


def test_short_jobs_are_all_done_in_order(queue: Queue) -> None:
    seen: list[int] = []
    queue.enqueue_many([NewJob("t", {"n": n}) for n in range(500)])

    assert Consumer(queue, {"t": lambda job: seen.append(job.payload["n"])}).run(until_idle=True) == 500

    assert seen == list(range(500))
    assert queue.stats() == {"t": {"succeeded": 500}}
    assert queue.search(limit=1)[0].result is None


def test_what_a_function_raises_is_the_failure_and_is_tried_again(queue: Queue) -> None:
    job_id = queue.enqueue(NewJob("t", max_runs=1))

    def broken(_job: Job) -> None:
        raise ValueError("the reason")

    Consumer(queue, {"t": broken}).run(until_idle=True)

    job = queue.get(job_id)
    assert job is not None
    assert job.error is not None
    assert (job.state, job.error["type"], job.error["message"]) == ("failed", "ValueError", "the reason")


def test_jobs_held_ahead_of_a_long_one_are_handed_back(queue: Queue) -> None:
    queue.enqueue_many([NewJob("t") for _ in range(400)] + [NewJob("t", {"long": True})] + [NewJob("t")] * 100)
    held_at_first: list[int] = []

    def work(job: Job) -> None:
        if not job.payload.get("long"):
            return
        held_at_first.append(queue.stats()["t"]["running"])
        with Bells(queue.database, ["t"]) as bells:  # handing back rings for the type
            while queue.stats()["t"]["running"] > 1:
                bells.wait(1)
                bells.silence()

    Consumer(queue, {"t": work}).run(until_idle=True)

    assert held_at_first[0] > 1
    assert queue.stats() == {"t": {"succeeded": 501}}
    assert sum(job.released for job in queue.search(limit=1000)) > 0


def test_stopping_ends_a_waiting_consumer(queue: Queue) -> None:
    began = threading.Event()
    consumer = Consumer(queue, {"t": lambda _job: began.set()})
    thread = threading.Thread(target=consumer.run)
    thread.start()
    queue.enqueue(NewJob("t"))
    assert began.wait(30)

    consumer.stop()
    thread.join(30)

    assert not thread.is_alive()
    row = WorkerTable(queue.database).get(consumer.worker)
    assert row is not None
    assert (row.state, row.jobs_succeeded) == ("stopped", 1)


def test_a_long_job_keeps_its_lease(queue: Queue) -> None:
    rescued = threading.Event()
    queue.enqueue(NewJob("t"))

    def slow(job: Job) -> str:
        other = Queue(queue.database)
        for _ in range(40):
            assert other.rescue() == []
            rescued.wait(0.01)
        return "mine"

    Consumer(queue, {"t": slow}, lease=200).run(until_idle=True)

    assert queue.search()[0].run == 1
    assert queue.search()[0].result == "mine"


def test_a_timeout_fails_the_job_though_the_function_goes_on(queue: Queue) -> None:
    job_id = queue.enqueue(NewJob("t", timeout=30))

    def slow(_job: Job) -> str:
        assert queue.wait([job_id], timeout=30)[0].state == "failed"
        return "too late"

    Consumer(queue, {"t": slow}).run(until_idle=True)

    job = queue.get(job_id)
    assert job is not None
    assert job.error == {"type": "Timeout", "message": "The job ran longer than 0.03 seconds."}
    assert job.result is None
