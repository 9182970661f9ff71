"""The queue for programs with an event loop: the same calls, awaited; waiting keeps no thread, however many wait."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar
from weakref import WeakKeyDictionary

from clx.db.durations import Seconds, in_seconds
from clx.db.handlers import refuse_endless_wait
from clx.db.jobs import Queue
from clx.db.models import Job, result_in
from clx.db.validation import check_id, check_ids, check_timeout
from clx.db.wait_async import Waiters
from clx.errors import QueueError

if TYPE_CHECKING:
    from datetime import timedelta

    from clx.db.retention import Pruned

P = ParamSpec("P")
R = TypeVar("R")

THREADS = 4
"""Threads that ask the table for one queue, unless it is said otherwise."""
_CLOSES_IN = 5.0
"""Seconds that closing waits for a table that somebody else keeps locked."""


def _awaited(
    method: Callable[Concatenate[Queue, P], R],
) -> Callable[Concatenate[AsyncQueue, P], Coroutine[Any, Any, R]]:
    @wraps(method)
    async def call(self: AsyncQueue, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._call(method, *args, **kwargs)

    return call


class AsyncQueue:
    """A :class:`~clx.db.jobs.Queue` whose calls are awaited; each means what the call of that name means there.

    ``async with`` opens and closes it; without that the first call opens it. Of any number of tasks and event loops.
    A call whose task is cancelled does nothing if it has not begun; one that has begun gives up if it waits for a
    lock, and is done otherwise.

    Args:
        where: as :meth:`clx.db.jobs.Queue.open` takes it; or an open queue, which stays open.
        threads: ask the table, each by a connection of its own; another one looks for those who wait, unless it is one.
        options: as :class:`~clx.db.database.Database` takes them.
    """

    def __init__(self, where: Queue | str | Any, *, threads: int = THREADS, **options: Any) -> None:
        self._where = where
        self._options = options
        self._queue = where if isinstance(where, Queue) else None
        self._opening = threading.Lock()
        self._calls = ThreadPoolExecutor(threads, "clx-async")
        self._looks = self._calls if threads == 1 else ThreadPoolExecutor(1, "clx-wait")
        self._waiters: WeakKeyDictionary[asyncio.AbstractEventLoop, Waiters] = WeakKeyDictionary()
        self._closed = False
        self._ends_at = float("inf")

    enqueue = _awaited(Queue.enqueue)
    enqueue_many = _awaited(Queue.enqueue_many)
    enqueue_batch = _awaited(Queue.enqueue_batch)
    get = _awaited(Queue.get)
    get_many = _awaited(Queue.get_many)
    search = _awaited(Queue.search)
    runs = _awaited(Queue.runs)
    needs = _awaited(Queue.needs)
    batch_of = _awaited(Queue.batch_of)
    results = _awaited(Queue.results)
    stats = _awaited(Queue.stats)
    next_due = _awaited(Queue.next_due)
    has_live = _awaited(Queue.has_live)
    sql = _awaited(Queue.sql)
    cancel = _awaited(Queue.cancel)
    retry = _awaited(Queue.retry)
    pause = _awaited(Queue.pause)
    resume = _awaited(Queue.resume)
    paused = _awaited(Queue.paused)
    set_limit = _awaited(Queue.set_limit)
    limits = _awaited(Queue.limits)
    is_held = _awaited(Queue.is_held)
    backup = _awaited(Queue.backup)

    async def prune(self, **days: float | timedelta) -> Pruned:
        """As :meth:`clx.db.jobs.Queue.prune`."""
        return await self._call(lambda queue: queue.prune(**days))

    async def call(self, body: Callable[[Queue], R]) -> R:
        """What *body* makes of the queue itself, in one of the threads: ``await queue.call(lambda q: …)``."""
        return await self._call(body)

    async def result(self, job_id: int, timeout: Seconds | None = None) -> Any:
        """Wait until a job has ended, and give what its function returned; as :meth:`clx.db.jobs.Queue.result`.

        Raises:
            JobFailedError, JobCancelledError, JobTimeoutError, UnknownJobError, QueueError, DatabaseError: as there.
        """
        check_id(job_id)
        found = await self.wait([job_id], timeout=timeout)
        job = found[0] if found else None
        if job is not None and job.state == "succeeded":
            return job.result
        return await self._call(lambda queue: result_in(queue.database.path, job_id, job))

    async def wait(self, job_ids: Sequence[int], *, timeout: Seconds | None = None) -> list[Job]:
        """Wait until every one of *job_ids* has ended; as :meth:`clx.db.jobs.Queue.wait`.

        Raises:
            QueueError, DatabaseError: as there; or the queue was closed.
        """
        check_ids(job_ids)
        timeout = in_seconds(timeout)
        check_timeout(timeout)
        refuse_endless_wait(timeout)
        return await (await self._here()).wait(job_ids, timeout)

    async def ended(self, job_id: int) -> Job | None:
        """A job once it has ended, waited for without an end; None where it is not in the table any more."""
        return await (await self._here()).one(job_id)

    async def changes(self, job_ids: Sequence[int]) -> AsyncIterator[Job]:
        """Each of these jobs as it stands, and again whenever its state, run or progress is another, until all ended.

        Ends come at once; that a job runs, and how far it is, within a second. What a job passes through between two
        looks is left out.

        Raises:
            QueueError, DatabaseError: as :meth:`wait`.
        """
        check_ids(job_ids)
        async for job in (await self._here()).follow(job_ids):
            yield job

    async def close(self) -> None:
        """Let calls that were made come to their end, those who wait get an error, and close what this has opened."""
        if not self._closed:
            self._closed = True
            self._ends_at = time.monotonic() + _CLOSES_IN
            for loop, waiters in list(self._waiters.items()):
                error = QueueError("The queue was closed.", "Wait for its jobs by another one.")
                if loop is asyncio.get_running_loop():
                    waiters.fail(error)
                elif not loop.is_closed():
                    loop.call_soon_threadsafe(waiters.fail, error)
            closer = ThreadPoolExecutor(1, "clx-close")
            closing = asyncio.get_running_loop().run_in_executor(closer, self._close)
            closer.shutdown(wait=False)
            await closing

    def let_go(self) -> None:
        """End the threads as soon as they have nothing to do: for whoever closes the queue itself."""
        self._closed = True
        self._calls.shutdown(wait=False)
        self._looks.shutdown(wait=False)

    def _close(self) -> None:
        self._calls.shutdown()
        self._looks.shutdown()
        if self._queue is not None and self._queue is not self._where:
            self._queue.close()

    async def __aenter__(self) -> Self:
        await self._call(lambda queue: queue)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    # -- threads ------------------------------------------------------------------------------------

    async def _here(self) -> Waiters:
        """Those who wait in the running loop."""
        loop = asyncio.get_running_loop()
        queue = await self._call(lambda queue: queue) if self._queue is None else self._queue
        self._require_open()
        found = self._waiters.get(loop)
        if found is None:
            found = self._waiters[loop] = Waiters(queue, partial(self._run, self._looks), looks_itself=True)
        return found

    async def _call(self, body: Callable[Concatenate[Queue, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        self._require_open()
        return await self._run(self._calls, lambda: body(self._open(), *args, **kwargs))

    async def _run(self, threads: ThreadPoolExecutor, body: Callable[..., R], *args: Any) -> R:
        over = threading.Event()
        patiently = partial(copy_context().run, self._patiently, over, body, *args)
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, patiently)
        except asyncio.CancelledError:
            over.set()
            raise

    def _patiently(self, over: threading.Event, body: Callable[..., R], *args: Any) -> R:
        """Run *body*; it waits for the locks of others until *over*, or until closing takes too long."""
        database = self._open().database
        with database.waiting_until(lambda: over.is_set() or time.monotonic() >= self._ends_at):
            return body(*args)

    def _open(self) -> Queue:
        with self._opening:
            if self._queue is None:
                self._queue = Queue.open(self._where, **self._options)
            return self._queue

    def _require_open(self) -> None:
        if self._closed:
            raise QueueError("This queue was closed.", "Open another.")
