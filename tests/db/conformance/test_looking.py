"""get, search, stats, runs, wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.clock import at

from clx.db.jobs import NewJob, Queue
from clx.errors import QueueError


def test_what_is_not_there_is_none(queue: Queue) -> None:
    assert queue.get(5) is None
    assert queue.runs(5) == []
    assert queue.mean_seconds("t") is None


def test_search_fits_everything_given_newest_first(queue: Queue) -> None:
    queue.enqueue_many([NewJob("t", {"n": n}, key=f"k{n}", pool="p" if n % 2 else "") for n in range(6)])
    queue.enqueue(NewJob("u"))
    job = queue.claim(["t"])[0]
    queue.finish(job.id, job.run)

    assert [job.payload.get("n") for job in queue.search(type="t", pool="p")] == [5, 3, 1]
    assert [job.id for job in queue.search(state="succeeded")] == [job.id]
    assert len(queue.search(state=["succeeded", "queued"])) == 7
    assert [job.payload["n"] for job in queue.search(key="k4")] == [4]
    assert [job.id for job in queue.search(worker=job.worker_id)] == [job.id]


def test_search_goes_page_by_page(queue: Queue) -> None:
    ids = queue.enqueue_many([NewJob("t") for _ in range(5)])

    first = queue.search(limit=3)
    second = queue.search(limit=3, before=first[-1].id)

    assert [job.id for job in [*first, *second]] == ids[::-1]


def test_search_by_batch(queue: Queue) -> None:
    batch, ids = queue.enqueue_batch([NewJob("t"), NewJob("t")], NewJob("after"))
    queue.enqueue(NewJob("t"))

    assert [job.id for job in queue.search(batch=batch)] == ids[::-1]


def test_stats_count_per_type_and_state(queue: Queue) -> None:
    queue.enqueue_many([NewJob("t"), NewJob("t"), NewJob("u")])
    queue.claim(["t"])

    assert queue.stats(["none"]) == {"none": {}, "t": {"queued": 1, "running": 1}, "u": {"queued": 1}}


def test_the_mean_is_of_succeeded_runs(queue: Queue) -> None:
    at(queue, 0).enqueue_many([NewJob("t"), NewJob("t")])
    first, second = at(queue, 0).claim(["t"], 2)
    at(queue, 4000).finish(first.id, first.run)
    at(queue, 90_000).fail(second.id, second.run, {"message": "no"})

    assert queue.mean_seconds("t") == 4.0


def test_changes_are_what_the_caller_does_not_know_yet(queue: Queue) -> None:
    first, second, third = queue.enqueue_many([NewJob("t") for _ in range(3)])
    for _ in range(2):
        queue.claim(["t"])
    queue.finish(first, 1)

    changed = queue.get_changed([first, second, third], running={second})

    assert [job.id for job in changed] == [first]


def test_wait_returns_when_everything_has_ended(queue: Queue) -> None:
    ids = queue.enqueue_many([NewJob("t"), NewJob("t")])
    ready = threading.Event()

    def work() -> None:
        ready.wait(10)
        for job in queue.claim(["t"], 2):
            queue.finish(job.id, job.run, "done")

    worker = threading.Thread(target=work)
    worker.start()
    ready.set()
    jobs = queue.wait(ids, timeout=30)
    worker.join()

    assert [(job.id, job.result) for job in jobs] == [(id_, "done") for id_ in ids]


def test_wait_gives_up_when_the_time_is_over(queue: Queue) -> None:
    job_id = queue.enqueue(NewJob("t"))
    started = time.monotonic()

    assert [job.state for job in queue.wait([job_id], timeout=0.05)] == ["queued"]
    assert time.monotonic() - started < 5


_ODD: dict[str, Callable[[Queue, int], Any]] = {
    "a time to wait that is no number": lambda queue, job_id: queue.wait([job_id], timeout=float("nan")),
    "a time to wait in words": lambda queue, job_id: queue.wait([job_id], timeout="1"),  # type: ignore[arg-type]
    "no limit": lambda queue, _job_id: queue.search(limit=None),  # type: ignore[arg-type]
    "less than nothing": lambda queue, _job_id: queue.search(limit=-1),
    "one key": lambda queue, _job_id: queue.results("key"),
    "no types": lambda queue, _job_id: queue.claim([]),
    "types that are none": lambda queue, _job_id: queue.claim([None]),  # type: ignore[list-item]
    "a batch without a name": lambda queue, _job_id: queue.enqueue_batch([], NewJob("t"), name=None),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("what", _ODD)
def test_what_nobody_can_mean_is_refused(queue: Queue, what: str) -> None:
    """Taken as it is, each would wait for ever, find nothing for ever, or end in an error of SQLite's."""
    job_id = queue.enqueue(NewJob("t"))
    with pytest.raises(QueueError):
        _ODD[what](queue, job_id)
    assert queue.stats() == {"t": {"queued": 1}}
