"""Asking for what one job returned."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from clx.db.consumer import Consumer
from clx.db.jobs import Job, NewJob, Queue
from clx.errors import JobCancelledError, JobFailedError, JobTimeoutError, QueueError, UnknownJobError


def test_the_result_is_waited_for(open_queue: Callable[[], Queue]) -> None:
    queue = open_queue()
    job_id = queue.enqueue(NewJob("t"))
    consumer = threading.Thread(
        target=lambda: Consumer(open_queue(), {"t": lambda _job: {"n": 1}}).run(until_idle=True, handle_signals=False)
    )
    consumer.start()

    assert queue.result(job_id, timeout=60) == {"n": 1}
    consumer.join()
    assert queue.result(job_id, timeout=0) == {"n": 1}


def _fail(_job: Job) -> None:
    raise ValueError("no such file")


def test_a_failure_is_raised_with_what_is_stored(queue: Queue) -> None:
    job_id = queue.enqueue(NewJob("t", max_runs=1))
    Consumer(queue, {"t": _fail}).run(until_idle=True)

    with pytest.raises(JobFailedError) as caught:
        queue.result(job_id)

    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert (error.job_id, error.type, error.message, error.cause) == (job_id, "ValueError", "no such file", None)
        assert "in _fail" in error.traceback
        assert str(error).startswith(f"Job {job_id} failed: ValueError: no such file\n")


def test_the_cause_says_which_other_job_it_was(queue: Queue) -> None:
    first = queue.enqueue(NewJob("t", max_runs=1))
    second = queue.enqueue(NewJob("t", needs=[first]))
    Consumer(queue, {"t": _fail}).run(until_idle=True)

    with pytest.raises(JobFailedError) as caught:
        queue.result(second)

    assert caught.value.cause == {"kind": "need", "job": first, "state": "failed"}


def test_a_cancelled_one_is_told_apart(queue: Queue) -> None:
    job_id = queue.enqueue(NewJob("t"))
    queue.cancel([job_id])

    with pytest.raises(JobCancelledError) as caught:
        queue.result(job_id)

    assert (caught.value.job_id, caught.value.cause) == (job_id, None)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize("timeout", [0, 0.01, timedelta(milliseconds=10)])
def test_time_that_is_over_is_a_timeout(queue: Queue, timeout: float | timedelta) -> None:
    job_id = queue.enqueue(NewJob("t"))

    with pytest.raises(TimeoutError) as caught:
        queue.result(job_id, timeout)

    assert isinstance(caught.value, JobTimeoutError)
    assert (caught.value.job_id, caught.value.state) == (job_id, "queued")
    assert "still queued" in str(pickle.loads(pickle.dumps(caught.value)))


def test_what_is_not_there_is_told(queue: Queue) -> None:
    with pytest.raises(UnknownJobError):
        queue.result(99)
    with pytest.raises(QueueError):
        queue.result("1")  # type: ignore[arg-type]
