"""Lengths of time are numbers as ever, or a timedelta, wherever one is taken."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.clock import at

from clx.db.consumer import Consumer
from clx.db.durations import counted, in_ms, in_seconds
from clx.db.jobs import Failure, NewJob, Queue, Success
from clx.errors import QueueError

_NOW = 10**12
_MINUTE = timedelta(minutes=1)


def test_numbers_keep_their_meaning_and_a_timedelta_tells_its_own() -> None:
    assert (in_ms(5), in_ms(timedelta(seconds=1.5)), in_ms(None)) == (5, 1500, None)
    assert (in_seconds(5), in_seconds(timedelta(minutes=1.5)), in_seconds(None)) == (5, 90.0, None)


def _lease_until(queue: Queue) -> int | None:
    (job,) = queue.search(state="running")
    return job.lease_until


def test_leases(queue: Queue) -> None:
    queue.enqueue_many([NewJob("t"), NewJob("t")])

    (job,) = at(queue, _NOW).claim(["t"], lease=_MINUTE)
    assert _lease_until(queue) == _NOW + 60_000
    at(queue, _NOW).heartbeat(job.id, job.run, lease=2 * _MINUTE)
    assert _lease_until(queue) == _NOW + 120_000
    at(queue, _NOW).settle([Success(job.id, job.run)], ["t"], 1, lease=_MINUTE)
    assert _lease_until(queue) == _NOW + 60_000


def test_pauses(queue: Queue) -> None:
    queue.enqueue_many([NewJob("t"), NewJob("t"), NewJob("t")])
    first, second, third = at(queue, _NOW).claim(["t"], 3)

    at(queue, _NOW).fail(first.id, first.run, {"message": "no"}, retry=True, backoff=_MINUTE)
    at(queue, _NOW).release(second.id, second.run, delay=2 * _MINUTE)
    report = Failure(third.id, third.run, {"message": "no"}, retry=True, backoff=3 * _MINUTE)
    at(queue, _NOW).settle([report])

    assert [job.not_before - _NOW for job in queue.get_many([1, 2, 3])] == [60_000, 120_000, 180_000]


def test_waiting_and_what_is_kept(queue: Queue) -> None:
    job_id = queue.enqueue(NewJob("t"))
    (waiting,) = queue.wait([job_id], timeout=timedelta(milliseconds=1))
    assert waiting.state == "queued"
    queue.cancel([job_id])

    assert at(queue, _NOW).prune(failed=timedelta(days=1)).jobs == 0
    assert queue.prune(failed=timedelta(0), succeeded=1).jobs in {0, 1}
    with pytest.raises(QueueError, match="What is kept"):
        queue.prune(suceeded=1)


def test_a_consumers(queue: Queue) -> None:
    queue.enqueue(NewJob("t"))
    leases: list[int | None] = []
    consumer = Consumer(
        queue, {"t": lambda _job: leases.append(_lease_until(queue))}, lease=timedelta(hours=1), stop_after=_MINUTE
    )

    assert consumer.run(until_idle=True, handle_signals=threading.current_thread() is threading.main_thread()) == 1
    assert (leases[0] or 0) > queue.database.clock.now() + 3_000_000


@pytest.mark.parametrize("value", [-_MINUTE, timedelta(days=365 * 200)])
def test_what_no_number_could_be_is_refused_as_well(queue: Queue, value: timedelta) -> None:
    with pytest.raises(QueueError):
        queue.claim(["t"], lease=value)
    with pytest.raises(QueueError):
        Failure(1, 1, {}, backoff=value)


@pytest.mark.parametrize(
    ("number", "words"),
    [(1, "1 second"), (1.0, "1 second"), (0.5, "0.5 seconds"), (2, "2 seconds"), (259_200, "259200 seconds"),
     (1_234_567, "1234567 seconds"), (0, "0 seconds"), (2.5e12, "2500000000000 seconds")],
)  # fmt: skip
def test_a_number_is_told_with_its_unit(number: float, words: str) -> None:
    assert counted(number, "second") == words


def test_nobody_writes_a_number_with_a_unit_by_hand() -> None:
    files = sorted((Path(__file__).parents[2] / "src").rglob("*.py"))
    assert len(files) > 500
    by_hand = re.compile(r":\.?\d*[gf]\} (second|minute|hour|day)s\b")
    allowed = {"web_links.py"}  # ten seconds, always
    assert [file.name for file in files if file.name not in allowed and by_hand.search(file.read_text("utf-8"))] == []
