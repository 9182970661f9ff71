"""What a consumer does with the jobs that it holds: how often it renews them, and which it holds beside others."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clx.db.check import check
from clx.db.consumer import FLUSH, Consumer
from clx.db.jobs import Job, NewJob, Queue


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with Queue.open(tmp_path / "jobs.db", busy_timeout=0.01) as queue:
        yield queue
        assert check(queue.database) == []


@pytest.mark.slow
def test_a_lease_is_renewed_before_half_of_it_is_over(queue: Queue) -> None:
    """A renewal may fail, or come late on a busy machine: there is time for others before the lease ends."""
    lease = 12_000
    queue.enqueue(NewJob("t"))

    def work(job: Job) -> int:
        assert job.started_at is not None
        deadline = time.monotonic() + 60
        while (found := queue.get(job.id)) is not None and found.lease_until == job.lease_until:
            assert time.monotonic() < deadline, "nobody renews it"
            time.sleep(0.05)
        assert found is not None
        return (found.lease_until or 0) - lease - job.started_at

    Consumer(queue, {"t": work}, lease=lease).run(until_idle=True)

    renewed_after = queue.search()[0].result
    assert 0 < renewed_after <= lease / 2


@contextmanager
def _freed_when_told(lock: Any) -> Iterator[list[str]]:
    """End the transaction of *lock* as soon as this thread warns that the table takes nothing; the warnings."""
    told: list[str] = []
    consuming = threading.current_thread()

    class Freeing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if threading.current_thread() is consuming:
                told.append(record.getMessage())
                if lock.in_transaction:
                    lock.execute("COMMIT")

    handler = Freeing()
    logging.getLogger("clx.consumer").addHandler(handler)
    try:
        yield told
    finally:
        logging.getLogger("clx.consumer").removeHandler(handler)


@pytest.mark.slow
def test_after_a_lock_nothing_is_held_beside_what_waits(queue: Queue, tmp_path: Path) -> None:
    """A job of a single run comes in while reports cannot be taken: it is held when nothing else is."""
    ids = queue.enqueue_many([NewJob("t", {"n": n}) for n in range(12)])
    beside: list[int] = []

    def work(job: Job) -> None:
        held = queue.search(state="running")
        if any(each.max_runs == 1 for each in held):
            beside.append(len(held) - 1)
        if job.id == ids[4]:
            other.enqueue(NewJob("t", priority=5, max_runs=1))
            lock.execute("BEGIN IMMEDIATE")
            time.sleep(2 * FLUSH)  # so that what was done is reported now

    with Queue.open(tmp_path / "jobs.db") as other:
        lock = other.database.connection()
        consumer = Consumer(queue, {"t": work})
        consumer._room = 20
        with _freed_when_told(lock) as told:
            assert consumer.run(until_idle=True) == 13

    assert told
    assert beside == [0]
    assert queue.stats() == {"t": {"succeeded": 13}}
