"""Coroutine functions do jobs, several at a time; what ends them early reaches them as a cancellation."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clx import (
    AsyncQueue,
    Cancelled,
    Consumer,
    DatabaseBusyError,
    Discard,
    Hooks,
    Job,
    NewJob,
    Queue,
    QueueError,
    Retry,
    task,
)
from clx.db.async_consumer import ConcurrentJobs
from clx.db.check import check
from clx.db.workers import WorkerTable


@pytest.fixture
def queue(open_queue: Callable[[], Queue]) -> Queue:
    return open_queue()


def test_as_many_run_at_a_time_as_asked_for_and_no_more(queue: Queue) -> None:
    ids = queue.enqueue_many([NewJob("t", {"n": n}) for n in range(24)])
    at_work, most = 0, 0
    full = asyncio.Event()

    async def work(job: Job) -> int:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        if at_work == 8:
            full.set()
        await full.wait()  # nobody ends before there are eight
        await asyncio.sleep(0)
        at_work -= 1
        return int(job.payload["n"])

    assert Consumer(queue, {"t": work}, concurrency=8).run(until_idle=True) == 24
    assert most == 8
    assert [job.result for job in queue.get_many(ids)] == list(range(24))
    assert check(queue.database) == []


async def _raises(job: Job) -> None:
    raise {
        "value": ValueError("no"), "retry": Retry("later", delay=0), "discard": Discard("never"),
        "cancelled": Cancelled(), "exit": SystemExit(3), "own": asyncio.CancelledError(), "stop": StopIteration(),
    }[job.payload["what"]]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "state", "error", "runs"),
    [
        ("value", "failed", "ValueError", 2),
        ("retry", "failed", "Retry", 2),
        ("discard", "failed", "Discard", 1),
        ("cancelled", "cancelled", "Cancelled", 1),
        ("exit", "failed", "SystemExit", 2),
        ("own", "failed", "CancelledError", 2),
        ("stop", "failed", "RuntimeError", 2),
    ],
)
@pytest.mark.parametrize("kind", ["coroutine", "function"])
def test_an_exception_means_what_it_means_elsewhere(
    tmp_path: Path, what: str, state: str, error: str, runs: int, kind: str
) -> None:
    def plainly(job: Job) -> None:
        try:
            _raises(job).send(None)
        except RuntimeError as found:  # what a coroutine makes of it
            raise StopIteration from found

    with Queue.open(tmp_path / "jobs.db") as queue:
        job_id = queue.enqueue(NewJob("t", {"what": what}, max_runs=2))
        for _ in range(2):
            Consumer(queue, {"t": _raises if kind == "coroutine" else plainly}, concurrency=2).run(until_idle=True)
            queue.database.write("move", lambda tx: tx.execute("UPDATE jobs SET not_before = 0"))  # due at once
        job = queue.get(job_id)
        assert job is not None
        assert (job.state, job.run) == (state, runs)
        assert job.error is not None
        assert job.error["type"] == error


def test_a_timeout_is_a_cancellation(queue: Queue) -> None:
    job_id = queue.enqueue(NewJob("t", timeout=100))
    beside = queue.enqueue(NewJob("t", {"quick": True}))
    ended: list[type[BaseException]] = []

    async def work(job: Job) -> None:
        if not job.payload:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError as error:
                ended.append(type(error))
                raise

    Consumer(queue, {"t": work}, concurrency=2).run(until_idle=True)
    assert ended == [asyncio.CancelledError]
    job = queue.get(job_id)
    assert job is not None
    assert job.state == "failed"
    assert job.error is not None
    assert job.error["type"] == "Timeout"
    assert queue.result(beside, 0) is None


def test_who_is_cancelled_is_told_at_once(queue: Queue) -> None:
    job_id = queue.enqueue(NewJob("t"))
    ended: list[float] = []

    async def work(job: Job) -> None:
        cancelling = threading.Thread(target=queue.cancel, args=([job.id],))
        cancelling.start()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(time.monotonic())
            cancelling.join()

    began = time.monotonic()
    Consumer(queue, {"t": work}, lease=3_600_000).run(until_idle=True)
    assert ended[0] - began < 60  # the lease is renewed every ten minutes
    job = queue.get(job_id)
    assert job is not None
    assert job.state == "cancelled"


_ambient: ContextVar[str] = ContextVar("_ambient", default="none")


def test_functions_run_in_threads_beside_and_each_job_has_its_own_context(queue: Queue) -> None:
    ids = queue.enqueue_many([NewJob(type_) for type_ in ("plain", "later", "plain", "later")])
    both = threading.Barrier(2)
    threads: set[str] = set()

    def plain(job: Job) -> str:
        threads.add(threading.current_thread().name)
        both.wait(60)  # two at a time
        seen = _ambient.get()
        _ambient.set("plain")
        return seen

    async def later(job: Job) -> str:
        seen = _ambient.get()
        _ambient.set("later")
        await asyncio.sleep(0)
        return seen

    _ambient.set("program")
    assert Consumer(queue, {"plain": plain, "later": later}, concurrency=4).run(until_idle=True) == 4
    assert [job.result for job in queue.get_many(ids)] == ["program"] * 4
    assert _ambient.get() == "program"
    assert len(threads) == 2


def test_progress_is_stored_and_a_lease_is_kept(queue: Queue) -> None:
    job_id = queue.enqueue(NewJob("t"))

    async def work(job: Job) -> Any:
        with pytest.raises(QueueError):
            job.progress(object())
        job.progress({"done": 1})
        while (found := queue.get(job.id)) is None or found.progress is None:
            await asyncio.sleep(0.01)
        began = time.monotonic()
        while time.monotonic() - began < 1.0:
            await asyncio.sleep(0.05)
        assert not job.cancelled()
        return found.progress

    Consumer(queue, {"t": work}, lease=400).run(until_idle=True)
    job = queue.get(job_id)
    assert job is not None
    assert (job.result, job.run) == ({"done": 1}, 1)


@dataclass
class Size:
    width: int


def test_a_task_may_be_a_coroutine_function_and_hooks_are_told(queue: Queue) -> None:
    seen: list[str] = []

    class Told(Hooks):
        def on_start(self, job: Job) -> None:
            seen.append("start")

        def on_success(self, job: Job, result: Any) -> None:
            seen.append(f"success {result}")

        def on_failure(self, job: Job, error: BaseException, *, retried_in: float | None) -> None:
            seen.append(f"failure {error}")

    @task(max_runs=1)
    async def resize(size: Size, to: int = 5) -> int:
        await asyncio.sleep(0)
        return size.width // to

    good, bad = queue.enqueue(resize.job(Size(10))), queue.enqueue(resize.job(Size(1), to=0))
    Consumer(queue, tasks=[resize], hooks=Told()).run(until_idle=True)
    assert queue.result(good, 0) == 2
    assert [job.state for job in queue.get_many([good, bad])] == ["succeeded", "failed"]
    assert seen == ["start", "success 2", "start", "failure integer division or modulo by zero"]


def test_a_job_that_was_rescued_before_runs_by_itself(queue: Queue) -> None:
    ids = queue.enqueue_many([NewJob("t") for _ in range(6)])
    queue.database.write("mark", lambda tx: tx.execute("UPDATE jobs SET rescues = 1 WHERE id IN (2, 4)"))
    at_work: set[int] = set()
    beside: dict[int, int] = {}

    async def work(job: Job) -> None:
        at_work.add(job.id)
        await asyncio.sleep(0.05)
        beside[job.id] = len(at_work) - 1
        at_work.discard(job.id)

    assert Consumer(queue, {"t": work}, concurrency=3).run(until_idle=True) == 6
    assert sorted(beside) == ids
    assert (beside[2], beside[4]) == (0, 0)
    assert max(beside.values()) > 0


def test_a_coroutine_that_waits_for_jobs_without_end_is_refused(queue: Queue) -> None:
    job_id = queue.enqueue(NewJob("t", max_runs=1))
    other = queue.enqueue(NewJob("u"))

    async def work(job: Job) -> str:
        awaited = AsyncQueue(job.queue)
        with pytest.raises(QueueError, match="without end"):
            await awaited.wait([other])
        with pytest.raises(QueueError, match="without end"):
            job.queue.wait([other])
        await awaited.cancel([other])
        found = await awaited.wait([other], timeout=60)
        await awaited.close()
        return found[0].state

    Consumer(queue, {"t": work}).run(until_idle=True)
    assert queue.result(job_id, 0) == "cancelled"


def test_limit_and_stop_end_it_in_order(queue: Queue) -> None:
    queue.enqueue_many([NewJob("t") for _ in range(10)])

    async def work(job: Job) -> None:
        await asyncio.sleep(0.01)

    assert Consumer(queue, {"t": work}, concurrency=4, limit=3).run() == 3
    consumer = Consumer(queue, {"t": lambda job: consumer.stop()}, concurrency=2)
    assert 1 <= consumer.run() <= 2
    assert queue.stats()["t"]["queued"] >= 5
    assert not queue.search(state="running")
    assert WorkerTable(queue.database).list() == []


def test_in_a_thread_with_an_event_loop_it_is_refused(tmp_path: Path) -> None:
    async def work(job: Job) -> None: ...

    async def use() -> int:
        with Queue.open(tmp_path / "jobs.db") as queue:
            queue.enqueue(NewJob("t"))
            with pytest.raises(QueueError, match="event loop"):
                Consumer(queue, {"t": work}).run(until_idle=True)
            return await asyncio.to_thread(Consumer(queue, {"t": work}).run, until_idle=True)

    assert asyncio.run(use()) == 1


def test_a_locked_table_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clx.db.async_consumer.SLOW_BEAT", 0.05)

    async def work(job: Job) -> None: ...

    with Queue.open(tmp_path / "jobs.db") as queue:
        ids = queue.enqueue_many([NewJob("t") for _ in range(3)])
        settle, refusals = queue.settle, iter([DatabaseBusyError("locked", "wait")] * 3)

        def refuse(*args: Any, **named: Any) -> Any:
            if (refusal := next(refusals, None)) is not None:
                raise refusal
            return settle(*args, **named)

        monkeypatch.setattr(queue, "settle", refuse)
        assert Consumer(queue, {"t": work}).run(until_idle=True) == 3
        assert {job.state for job in queue.get_many(ids)} == {"succeeded"}


_PROGRAM = """
import asyncio, sys, time
from clx import Consumer, Queue
async def work(job):
    sys.stdout.write("begun\\n"); sys.stdout.flush()
    {body}
def plain(job):
    sys.stdout.write("begun\\n"); sys.stdout.flush()
    time.sleep(3600)
with Queue.open(sys.argv[1]) as queue:
    done = Consumer(queue, {{"t": work, "plain": plain}}, lease=60_000, stop_after={grace}, concurrency=2).run()
print("done", done, flush=True)
"""


def _program(path: Path, body: str, grace: float) -> subprocess.Popen[str]:
    code = _PROGRAM.format(body=body, grace=grace)
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(2):
        assert process.stdout.readline() == "begun\n"
    return process


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_jobs_at_hand_end(tmp_path: Path, number: signal.Signals) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        ids = queue.enqueue_many([NewJob("t") for _ in range(4)])
        process = _program(queue.database.path, "await asyncio.sleep(1)", 60)
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
        assert (process.returncode, output.strip()) == (0, "done 2")
        assert [(job.state, job.run) for job in queue.get_many(ids)] == [
            ("succeeded", 1), ("succeeded", 1), ("queued", 0), ("queued", 0),
        ]  # fmt: skip
        assert check(queue.database) == []


_SLEEPS = "await asyncio.sleep(3600)"
_STUBBORN = """
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("type_", "body", "twice"),
    [("t", _SLEEPS, False), ("t", _SLEEPS, True), ("t", _STUBBORN, False), ("plain", "pass", False)],
    ids=["sleeping", "told twice", "stubborn", "in a thread"],
)
def test_jobs_that_take_too_long_are_handed_back_uncounted(tmp_path: Path, type_: str, body: str, twice: bool) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        ids = queue.enqueue_many([NewJob(type_) for _ in range(2)])
        process = _program(queue.database.path, body, 3600 if twice else 0.5)
        process.send_signal(signal.SIGTERM)
        if twice:
            time.sleep(0.3)  # two signals at once would be one
            process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
        assert (process.returncode, output.strip()) == (0, "done 0")
        assert [(job.state, job.run - job.released, job.kills) for job in queue.get_many(ids)] == [("queued", 0, 0)] * 2
        assert WorkerTable(queue.database).list() == []


def test_what_is_held_is_told_whatever_becomes_of_it() -> None:
    jobs = ConcurrentJobs()
    assert jobs.begin(alone=True) is None
    assert (jobs.held(), jobs.overrun(), jobs.is_at_work, jobs.is_at_a_long_job()) == ([], None, False, False)


@pytest.mark.slow
def test_a_consumer_of_plain_functions_loads_no_event_loop(tmp_path: Path) -> None:
    code = (
        "import sys; from clx import Consumer, NewJob, Queue; q = Queue.open(sys.argv[1]); q.enqueue(NewJob('t'));"
        "assert Consumer(q, {'t': lambda job: None}).run(until_idle=True) == 1; assert 'asyncio' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "jobs.db")], check=True)
