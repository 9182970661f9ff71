"""Whoever waits costs others nothing, is woken from anywhere, and waits without bells too."""

from __future__ import annotations

import asyncio
import errno
import selectors
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.support.scene import until

from clx.db import doorbell, wait, wait_async
from clx.db.jobs import Job, NewJob, Queue
from clx.db.wait import Bells


@pytest.fixture
def bells(tmp_path: Path) -> Iterator[Bells]:
    """The bell of type ``t`` of a fresh queue."""
    with Queue.open(tmp_path / "jobs.db") as queue, Bells(queue.database, ["t"]) as found:
        yield found


class _Waiter(threading.Thread):
    """Waits for jobs in a thread of its own, and counts how often the table is looked at."""

    def __init__(self, queue: Queue, job_ids: list[int]) -> None:
        super().__init__(daemon=True)
        self.looks = 0
        self._queue = Queue(queue.database)
        self._job_ids = job_ids
        look = self._queue.live_among

        def counted(job_ids: Any) -> list[int]:
            self.looks += 1
            return look(job_ids)

        self._queue.live_among = counted  # type: ignore[method-assign]

    def run(self) -> None:
        self._queue.wait(self._job_ids)


@pytest.mark.parametrize("awaited", [1, 3, 50])
@pytest.mark.slow
def test_the_end_of_another_job_costs_those_who_wait_nothing(queue: Queue, awaited: int) -> None:
    mine = queue.enqueue_many([NewJob("mine") for _ in range(awaited)])
    queue.enqueue_many([NewJob("t") for _ in range(100)])  # so that the others are not in the same block
    others = queue.enqueue_many([NewJob("other") for _ in range(60)])
    waiter = _Waiter(queue, mine)
    waiter.start()
    until(lambda: waiter.looks)
    for job in queue.claim(["other"], len(others)):
        queue.finish(job.id, job.run)
        time.sleep(0.01)  # as long as a look takes, so that no ring is taken for the one before
    assert waiter.looks < 20
    queue.cancel(mine)
    waiter.join(60)
    assert not waiter.is_alive()


@pytest.mark.slow
def test_whoever_waits_for_strewn_jobs_looks_seldom(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then every end rings, and not every ring is worth a look."""
    rested: list[float] = []
    strewn = [queue.enqueue(NewJob("t"))]
    monkeypatch.setattr(wait, "for_ends_of", lambda _ids: [])

    def sleep(seconds: float) -> None:
        rested.append(seconds)
        queue.cancel(strewn)

    monkeypatch.setattr(time, "sleep", sleep)
    queue.wait(strewn)
    assert rested[0] >= 0.02


def test_bells_that_were_removed_ring_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bells: Bells) -> None:
    monkeypatch.setattr(doorbell, "_LOOK_EVERY", 0)
    folder = tmp_path / ".clx" / "bells"
    door = doorbell.Doorbell(folder)
    for _ in range(2):
        shutil.rmtree(folder)
        for bell in bells._bells:
            bell._look_at = 0
        bells.silence()
        threading.Timer(0.1, door.ring, ["t"]).start()
        started = time.monotonic()
        bells.wait(60)
        assert time.monotonic() - started < 30
        bells.silence()
    door.close()


@pytest.mark.parametrize("how", ["wait", "pause"])
def test_a_thread_wakes_who_waits_for_good(bells: Bells, how: str) -> None:
    threading.Timer(0.1, bells.wake).start()
    started = time.monotonic()
    getattr(bells, how)(60)
    bells.silence()
    bells.wait(60)
    bells.pause(60)
    assert time.monotonic() - started < 30


_STORM = """
import signal, sys
from clx.db.jobs import Queue
from clx.db.wait import SLOW_BEAT, Bells

def stop(*_):
    global stopped
    stopped = True
    bells.wake()

signal.signal(signal.SIGALRM, stop)
with Queue.open(sys.argv[1]) as queue:
    for n in range(1000):
        stopped = False
        with Bells(queue.database, ["t"]) as bells:
            signal.setitimer(signal.ITIMER_REAL, 0.0001 + n % 20 * 0.00001)
            while not stopped:
                getattr(bells, sys.argv[2])(SLOW_BEAT if n % 2 else 0.00001)
"""


@pytest.mark.parametrize("how", ["wait", "pause"])
@pytest.mark.slow
def test_a_signal_handler_wakes_who_waits_at_any_moment(tmp_path: Path, how: str) -> None:
    """A thousand times, so that the handler runs at every point of the wait; a lock would be met held."""
    subprocess.run([sys.executable, "-c", _STORM, str(tmp_path / "jobs.db"), how], check=True, timeout=120)


def test_a_ring_does_not_end_a_pause(tmp_path: Path, bells: Bells) -> None:
    door = doorbell.Doorbell(tmp_path / ".clx" / "bells")
    door.ring("t")
    door.close()
    started = time.monotonic()
    bells.pause(0.2)
    assert time.monotonic() - started >= 0.2


def test_waking_who_has_gone_does_nothing(bells: Bells) -> None:
    with bells:
        pass
    bells.wake()


def _no_descriptors(*_arguments: Any, **_named: Any) -> Any:
    raise OSError(errno.EMFILE, "Too many open files")


@pytest.mark.parametrize(
    ("where", "what"), [(doorbell.Doorbell, "hang"), (socket, "socketpair"), (selectors, "DefaultSelector")]
)
def test_without_descriptors_one_waits_all_the_same(
    queue: Queue, where: Any, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = queue.enqueue(NewJob("t"))
    monkeypatch.setattr(where, what, _no_descriptors)
    threading.Timer(0.1, queue.cancel, [[mine]]).start()
    assert [job.state for job in queue.wait([mine], timeout=60)] == ["cancelled"]


async def _answer(queue: Queue, number: int) -> Any:
    job_id = await asyncio.to_thread(queue.enqueue, NewJob("t", {"n": number}))
    (job,) = await queue.wait_async([job_id], timeout=60)
    return job.result


def test_however_many_wait_in_an_event_loop_none_keeps_a_thread(queue: Queue) -> None:
    """The pool of an event loop has a handful: where each waits in one, nobody else gets any."""

    async def serve() -> list[Any]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
        waiting = [asyncio.create_task(_answer(queue, number)) for number in range(40)]
        jobs: list[Job] = []
        while len(jobs) < len(waiting):  # the last first: whoever had a thread would keep it from the others
            jobs += await asyncio.to_thread(queue.claim, ["t"], 40)
        for job in reversed(jobs):
            await asyncio.to_thread(queue.finish, job.id, job.run, job.payload["n"])
        return await asyncio.gather(*waiting)

    assert asyncio.run(serve()) == list(range(40))


def test_an_end_wakes_who_waits_in_an_event_loop(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait_async, "SLOW_BEAT", 60.0)
    job_id = queue.enqueue(NewJob("t"))

    async def serve() -> float:
        waiting = asyncio.create_task(queue.wait_async([job_id]))
        await asyncio.sleep(0.3)
        (job,) = queue.claim(["t"])
        ended = time.monotonic()
        queue.finish(job.id, job.run)
        await waiting
        return time.monotonic() - ended

    assert asyncio.run(serve()) < 30


def test_waiting_in_an_event_loop_ends_with_its_time_or_its_task(queue: Queue) -> None:
    job_id = queue.enqueue(NewJob("t"))

    async def serve() -> list[Job]:
        given_up = asyncio.create_task(queue.wait_async([job_id]))
        found = await queue.wait_async([job_id], timeout=0.1)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        return found

    assert [job.state for job in asyncio.run(serve())] == ["queued"]


def test_without_bells_one_waits_in_an_event_loop_all_the_same(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait_async, "SLOW_BEAT", 60.0)
    monkeypatch.setattr(queue.database.doorbell, "listen", lambda _name: doorbell.Bell(None))
    job_id = queue.enqueue(NewJob("t"))
    threading.Timer(0.1, queue.cancel, [[job_id]]).start()
    began = time.monotonic()

    assert [job.state for job in asyncio.run(queue.wait_async([job_id]))] == ["cancelled"]
    assert time.monotonic() - began < 30


def test_who_waits_for_one_job_after_another_hangs_few_bells(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """To hang one, and to take it down, takes longer than most waits."""
    monkeypatch.setattr(wait_async, "SLOW_BEAT", 60.0)
    hung: list[str] = []
    listen = queue.database.doorbell.listen

    def noted(name: str) -> doorbell.Bell:
        hung.append(name)
        return listen(name)

    monkeypatch.setattr(queue.database.doorbell, "listen", noted)

    async def serve() -> list[str]:
        states: list[str] = []
        for _ in range(50):
            job_id = queue.enqueue(NewJob("t"))
            threading.Timer(0.005, queue.cancel, [[job_id]]).start()
            states += [job.state for job in await queue.wait_async([job_id])]
        return states

    assert asyncio.run(serve()) == ["cancelled"] * 50
    assert len(hung) <= 6


def test_many_that_end_one_by_one_are_told_one_by_one(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bell asks for those that have ended, not for all that live; the last one is told as soon as the first."""
    monkeypatch.setattr(wait_async, "SLOW_BEAT", 60.0)
    ids = queue.enqueue_many([NewJob("t") for _ in range(300)])
    looked: list[int] = []
    look = queue.live_among
    monkeypatch.setattr(queue, "live_among", lambda asked: [*map(looked.append, asked)] and look(asked))

    async def serve() -> None:
        waiting = {id_: asyncio.create_task(queue.wait_async([id_])) for id_ in ids}
        while len(looked) < len(ids):
            await asyncio.sleep(0.01)
        for id_ in (ids[-1], ids[150], ids[0]):
            await asyncio.to_thread(queue.cancel, [id_])
            (job,) = await asyncio.wait_for(waiting.pop(id_), 30)
            assert job.id == id_
        await asyncio.to_thread(queue.cancel, list(waiting))
        await asyncio.wait_for(asyncio.gather(*waiting.values()), 30)

    asyncio.run(serve())
    assert len(looked) < 4 * len(ids)
