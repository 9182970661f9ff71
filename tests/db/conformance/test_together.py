"""Several threads on one queue: every job is claimed once, a key is taken once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from clx.db.jobs import NewJob, Queue

_THREADS, _JOBS = 4, 60


def _together(body: Callable[[int], None]) -> None:
    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            body(number)
        except BaseException as error:  # handed to the main thread
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def test_every_job_is_claimed_and_finished_once(queue: Queue) -> None:
    ids = queue.enqueue_many([NewJob("t") for _ in range(_JOBS)])
    queue.claim(["none"])  # registers nothing: there was nothing to claim
    done: Counter[int] = Counter()
    lock = threading.Lock()

    def work(_number: int) -> None:
        while jobs := queue.claim(["t"]):
            queue.finish(jobs[0].id, jobs[0].run)
            with lock:
                done[jobs[0].id] += 1

    _together(work)

    assert done == Counter(ids)
    assert queue.stats() == {"t": {"succeeded": _JOBS}}


def test_a_key_is_taken_once_whoever_asks_first(queue: Queue) -> None:
    found: list[list[int]] = []

    def put(_number: int) -> None:
        found.append([queue.enqueue(NewJob("t", key=f"k{n}")) for n in range(20)])

    _together(put)

    assert all(ids == found[0] for ids in found)
    assert queue.stats() == {"t": {"queued": 20}}
