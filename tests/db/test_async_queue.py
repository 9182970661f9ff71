"""The awaited queue: the same calls, waiting without threads, nothing left behind by what is cancelled or closed."""

from __future__ import annotations

import asyncio
import inspect
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import uvicorn

from clx import (
    AsyncQueue,
    DatabaseError,
    JobCancelledError,
    JobFailedError,
    JobTimeoutError,
    NewJob,
    Queue,
    QueueError,
    UnknownJobError,
)
from clx.db import wait_async
from clx.db.async_queue import THREADS
from clx.db.models import Job

MANY = 2000
"""Those who wait at a time."""
_OF_WORKERS = {
    "claim", "settle", "finish", "fail", "release", "release_many", "release_worker", "heartbeat", "rescue",
    "rescue_worker", "end_cancelled", "is_cancelled", "may_claim", "distrust_leases", "takes_writes", "get_changed",
    "live_among", "ended_among", "mean_seconds", "open", "parts", "wait_async", "database", "schedules",
    "within", "calls", "worker_for", "works", "pipelines", "is_rescue_due",
}  # fmt: skip


def test_every_call_is_there_and_means_the_same() -> None:
    for name in {name for name in dir(Queue) if not name.startswith("_")} - _OF_WORKERS:
        known, awaited = getattr(Queue, name), getattr(AsyncQueue, name)
        assert [*inspect.signature(known).parameters] == [*inspect.signature(awaited).parameters], name
        assert inspect.iscoroutinefunction(inspect.unwrap(awaited)) or inspect.unwrap(awaited) is known


def test_calls_are_awaited(open_queue: Callable[[], Queue]) -> None:
    async def use() -> None:
        queue = AsyncQueue(open_queue())
        first = await queue.enqueue(NewJob("t", {"n": 1}, key="k"))
        assert await queue.enqueue(NewJob("t", key="k")) == first
        assert [job.id for job in await queue.search(state="queued")] == [first]
        assert await queue.cancel([first]) == [first]
        assert await queue.retry([first]) == [first]
        assert await queue.stats() == {"t": {"queued": 1}}
        assert await queue.call(lambda q: len(q.search())) == 1
        assert (await queue.prune(succeeded=1)).jobs == 0
        with pytest.raises(QueueError, match="named by its id"):
            await queue.get("x")  # type: ignore[arg-type]
        await queue.close()

    asyncio.run(use())
    assert open_queue().stats() == {"t": {"queued": 1}}  # it was open before, and is


def test_results_come_and_raise_as_they_do_elsewhere(open_queue: Callable[[], Queue]) -> None:
    queue = open_queue()
    good, bad, away, late = queue.enqueue_many([NewJob("t", {"n": n}, max_runs=1) for n in range(4)])
    queue.cancel([away])
    for job in queue.claim(["t"], 2):
        if job.id == good:
            queue.finish(job.id, job.run, {"x": 1})
        else:
            queue.fail(job.id, job.run, {"type": "ValueError", "message": "no"})

    async def use() -> None:
        awaited = AsyncQueue(queue)
        assert await awaited.result(good) == {"x": 1}
        with pytest.raises(JobFailedError, match="no"):
            await awaited.result(bad)
        with pytest.raises(JobCancelledError):
            await awaited.result(away)
        with pytest.raises(JobTimeoutError):
            await awaited.result(late, 0)
        with pytest.raises(TimeoutError):
            await awaited.result(late, timeout=0.05)
        with pytest.raises(UnknownJobError):
            await awaited.result(10**6)
        assert [job.state for job in await awaited.wait([good, away])] == ["succeeded", "cancelled"]
        await awaited.close()

    asyncio.run(use())


@pytest.mark.slow
def test_thousands_wait_without_a_thread_each_and_are_told_once(tmp_path: Path) -> None:
    async def use() -> tuple[int, list[Any]]:
        before = threading.active_count()
        async with AsyncQueue(tmp_path / "jobs.db") as queue:
            ids = await queue.enqueue_many([NewJob("t", {"n": n}) for n in range(MANY)])
            told: list[int] = []
            waiting = [asyncio.create_task(_told(queue, id_, told)) for id_ in ids]
            await asyncio.sleep(0)
            ending = threading.Thread(target=_finish_all, args=(tmp_path / "jobs.db", MANY))
            ending.start()
            while not told:
                await asyncio.sleep(0.001)
            threads = threading.active_count() - before - 1
            found = await asyncio.gather(*waiting)
            ending.join()
            assert sorted(told) == sorted(ids)
        return threads, found

    threads, found = asyncio.run(use())
    assert threads <= THREADS + 1
    assert found == list(range(MANY))


async def _told(queue: AsyncQueue, job_id: int, told: list[int]) -> Any:
    found = await queue.result(job_id, timeout=60)
    told.append(job_id)
    return found


def _finish_all(path: Path, count: int) -> None:
    with Queue.open(path) as queue:
        while count:
            for job in queue.claim(["t"], 50):
                queue.finish(job.id, job.run, job.payload["n"])
                count -= 1


def test_an_end_is_told_at_once(open_queue: Callable[[], Queue], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait_async, "SLOW_BEAT", 60.0)
    queue = open_queue()
    ids = queue.enqueue_many([NewJob("t")] * 3)

    async def use() -> float:
        awaited = AsyncQueue(queue)
        first = asyncio.create_task(awaited.wait(ids[:1]))
        others = asyncio.create_task(awaited.wait(ids[1:]))
        (job,) = await asyncio.to_thread(queue.claim, ["t"])
        await asyncio.sleep(0.2)  # they are deep in their wait
        began = time.monotonic()
        await asyncio.to_thread(queue.finish, job.id, job.run)
        assert [each.state for each in await first] == ["succeeded"]
        assert not others.done()
        await awaited.cancel(ids[1:])
        await others
        await awaited.close()
        return time.monotonic() - began

    assert asyncio.run(use()) < 30


def test_who_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    async def use() -> float:
        queue = AsyncQueue(tmp_path / "jobs.db")
        ids = await queue.enqueue_many([NewJob("t")] * MANY)
        waiting = [asyncio.create_task(queue.result(id_)) for id_ in ids]
        while not _is_waited_in(queue):
            await asyncio.sleep(0.001)
        for task in waiting:
            task.cancel()
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(each) for each in ends} == {asyncio.CancelledError}
        while _is_waited_in(queue):
            await asyncio.sleep(0.001)
        assert len(asyncio.all_tasks()) == 1
        assert [path for path in tmp_path.rglob("*") if path.is_socket()] == []
        await queue.close()
        return time.monotonic()

    ended = asyncio.run(use())
    assert time.monotonic() - ended < 1.0


def _is_waited_in(queue: AsyncQueue) -> bool:
    return any(each._task is not None for each in queue._waiters.values())


def test_what_waits_for_a_lock_gives_up_with_its_task(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with Queue.open(path) as other:
        other.enqueue(NewJob("t"))
        began = time.monotonic()
        held, let = threading.Event(), threading.Event()

        def hold(_tx: Any) -> None:
            held.set()
            let.wait(60)

        locking = threading.Thread(target=other.database.write, args=("hold", hold))
        locking.start()
        held.wait()

        async def use() -> None:
            queue = AsyncQueue(path)
            assert len(await queue.search()) == 1
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await queue.enqueue(NewJob("u"))
            await queue.close()

        asyncio.run(use())
        assert time.monotonic() - began < 30
        let.set()
        locking.join()
        assert other.stats() == {"t": {"queued": 1}}


def test_closing_ends_all_waits(tmp_path: Path) -> None:
    async def use() -> None:
        queue = AsyncQueue(tmp_path / "jobs.db")
        job_id = await queue.enqueue(NewJob("t"))
        waiting = asyncio.create_task(queue.result(job_id))
        while not _is_waited_in(queue):
            await asyncio.sleep(0.001)
        await queue.close()
        with pytest.raises(QueueError, match="closed"):
            await waiting
        with pytest.raises(QueueError, match="closed"):
            await queue.get(job_id)
        await queue.close()

    asyncio.run(use())


def test_changes_are_told_until_all_have_ended(
    open_queue: Callable[[], Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait_async, "SLOW_BEAT", 0.05)
    queue = open_queue()
    first, second = queue.enqueue_many([NewJob("t")] * 2)

    async def use() -> list[tuple[int, str, Any]]:
        awaited = AsyncQueue(queue)
        seen: list[tuple[int, str, Any]] = []
        async for job in awaited.changes([first, second]):
            seen.append((job.id, job.state, job.progress))
            await asyncio.to_thread(_move, queue, job, second)
        await awaited.close()
        return seen

    seen = asyncio.run(use())
    assert [each for each in seen if each[0] == first] == [
        (first, "queued", None), (first, "running", None), (first, "running", 1), (first, "succeeded", 1),
    ]  # fmt: skip
    assert seen[-1][1] in {"succeeded", "cancelled"}
    assert (second, "cancelled", None) in seen


def _move(queue: Queue, job: Job, second: int) -> None:
    """What becomes of a job once its state was told."""
    if job.id == second:
        queue.cancel([job.id])
    elif job.state == "queued":
        queue.claim(["t"])
    elif job.progress is None:
        queue.heartbeat(job.id, job.run, progress=1)
    elif job.state == "running":
        queue.finish(job.id, job.run)


def test_who_stops_listening_to_changes_leaves_nothing(tmp_path: Path) -> None:
    async def use() -> None:
        async with AsyncQueue(tmp_path / "jobs.db") as queue:
            job_id = await queue.enqueue(NewJob("t"))
            changes = queue.changes([job_id])
            assert (await anext(changes)).state == "queued"
            await changes.aclose()  # type: ignore[attr-defined]
            while _is_waited_in(queue):
                await asyncio.sleep(0.001)

    asyncio.run(use())


def test_a_table_that_is_gone_is_told_to_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait_async, "SLOW_BEAT", 0.05)

    async def use() -> None:
        async with AsyncQueue(tmp_path / "jobs.db") as queue:
            ids = await queue.enqueue_many([NewJob("t")] * 2)
            waiting = [asyncio.create_task(queue.result(id_)) for id_ in ids]
            while not _is_waited_in(queue):
                await asyncio.sleep(0.001)
            for file in tmp_path.glob("jobs.db*"):
                if file.is_file():
                    file.unlink()
            for each in waiting:
                with pytest.raises(DatabaseError):
                    await each

    asyncio.run(use())


def test_one_queue_serves_loop_after_loop(tmp_path: Path) -> None:
    """As frameworks have it that begin a loop for each call."""
    queue = AsyncQueue(tmp_path / "jobs.db")
    job_id = asyncio.run(queue.enqueue(NewJob("t")))
    with pytest.raises(JobTimeoutError):
        asyncio.run(queue.result(job_id, 0.05))
    asyncio.run(queue.cancel([job_id]))
    with pytest.raises(JobCancelledError):
        asyncio.run(queue.result(job_id, 60))
    asyncio.run(queue.close())


def test_in_anyio_a_scope_ends_a_wait(tmp_path: Path) -> None:
    async def use() -> None:
        async with AsyncQueue(tmp_path / "jobs.db") as queue:
            job_id = await queue.enqueue(NewJob("t"))
            with anyio.move_on_after(0.05) as scope:
                await queue.result(job_id)
            assert scope.cancelled_caught
            async with anyio.create_task_group() as group:
                group.start_soon(queue.result, job_id, 60)
                await queue.cancel([job_id])
                with pytest.raises(JobCancelledError):
                    await queue.result(job_id)
                group.cancel_scope.cancel()

    try:
        anyio.run(use)
    except* JobCancelledError:
        pass


@pytest.mark.slow
def test_requests_under_uvicorn_wait_for_their_jobs(tmp_path: Path) -> None:
    queue = AsyncQueue(tmp_path / "jobs.db")

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await queue.close()
            await send({"type": "lifespan.shutdown.complete"})
            return
        result = await queue.result(await queue.enqueue(NewJob("t", {"path": scope["path"]})), timeout=60)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": result.encode()})

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application, log_level="warning"))
    serving = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    serving.start()
    ending = threading.Thread(target=_answer_all, args=(tmp_path / "jobs.db", 50))
    ending.start()

    async def ask() -> list[str]:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            return [each.text for each in await asyncio.gather(*(client.get(f"/{n}") for n in range(50)))]

    assert asyncio.run(ask()) == [f"/{n}" for n in range(50)]
    ending.join()
    server.should_exit = True
    serving.join()


def _answer_all(path: Path, count: int) -> None:
    with Queue.open(path) as queue:
        while count:
            for job in queue.claim(["t"], 50):
                queue.finish(job.id, job.run, job.payload["path"])
                count -= 1
