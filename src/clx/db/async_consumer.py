"""A consumer that does several jobs at a time: coroutine functions as tasks of one event loop, others in threads.

Each job is claimed when there is room for it, and begun at once. The loop's thread never asks the table; one thread
does that for it. A job that was taken from a lost worker before runs by itself: it may take others with it again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from clx.db import handlers
from clx.db.claimed_jobs import ClaimedJobs
from clx.db.doorbell import UNWANTED
from clx.db.handlers import functions, is_awaited
from clx.db.hooks import tell
from clx.db.models import Job, Report, Success, encode
from clx.db.wait import SLOW_BEAT, rest
from clx.db.wait_async import Ears
from clx.errors import PASSING, ClxError, LostRunError, QueueError

if TYPE_CHECKING:
    from clx.db.consumer import Consumer

log = logging.getLogger("clx.consumer")

R = TypeVar("R")
Key = tuple[int, int]
"""Job and run."""

SHORT_BEAT = 0.05
"""Seconds between two tries to report while the table takes nothing and the consumer is to end."""
_CANCELLED_IN = 1.0
"""Seconds that functions which are given up at the end may take to notice it."""


class ConcurrentJobs(ClaimedJobs):
    """The jobs such a consumer holds: several of them run."""

    def __init__(self) -> None:
        super().__init__()
        self._running_jobs: dict[Key, tuple[Job, Callable[[], None]]] = {}
        self._ends: dict[Key, float] = {}

    @property
    def is_at_work(self) -> bool:
        return bool(self._running_jobs)

    def begin(self, *, alone: bool) -> Job | None:
        """The next job to begin; None where there is none, or it must wait until nothing runs (*alone* says so)."""
        with self._lock:
            self._waiting = type(self._waiting)(sorted(self._waiting, key=lambda job: job.rescues > 0))
            if not self._waiting or self.is_alone() or (self._waiting[0].rescues > 0 and not alone):
                return None
            return self._waiting.popleft()

    def run(self, job: Job, give_up: Callable[[], None]) -> None:
        """It has begun; *give_up* ends it, called by any thread."""
        with self._lock:
            self._running_jobs[job.id, job.run] = (job, give_up)
            if job.timeout is not None:
                self._ends[job.id, job.run] = time.monotonic() + job.timeout / 1000
                self._changed.notify()

    def ended(self, job: Job, report: Report | None) -> None:
        """It has ended; its report counts unless it was given up meanwhile."""
        with self._lock:
            self._ends.pop((job.id, job.run), None)
            if self._running_jobs.pop((job.id, job.run), None) is not None and report is not None:
                self._reports.append(report)

    def is_alone(self) -> bool:
        """Whether what runs must run by itself."""
        with self._lock:
            return any(job.rescues > 0 for job, _ in self._running_jobs.values())

    def runs(self, job: Job) -> bool:
        """Whether it has not been given up."""
        return (job.id, job.run) in self._running_jobs

    def running(self) -> list[Key]:
        """What has begun and not ended."""
        with self._lock:
            return list(self._running_jobs)

    def held(self) -> list[Key]:
        with self._lock:
            return [*self._running_jobs, *super().held()]

    def drop(self, job_id: int, run: int) -> None:
        super().drop(job_id, run)
        with self._lock:
            self._ends.pop((job_id, run), None)
            _, give_up = self._running_jobs.pop((job_id, run), (None, None))
        if give_up is not None:
            give_up()

    def drop_all(self) -> None:
        super().drop_all()
        for key in self.running():
            self.drop(*key)

    def is_at_a_long_job(self) -> bool:
        return False  # none waits for another

    def overrun(self) -> Job | None:
        now = time.monotonic()
        with self._lock:
            return next((self._running_jobs[key][0] for key, end in self._ends.items() if now >= end), None)

    def wait(self, seconds: float) -> None:
        with self._lock:
            if not self._ended:
                ends = min(self._ends.values(), default=float("inf")) - time.monotonic()
                self._changed.wait(max(0.0, min(seconds, ends)))


class Serving:
    """The event loop of one consumer.

    Args:
        consumer: whose jobs it does.
        concurrency: how many at a time.
    """

    def __init__(self, consumer: Consumer, claimed: ConcurrentJobs, concurrency: int) -> None:
        self._consumer = consumer
        self._claimed = claimed
        self._queue = consumer.queue
        self._ending = consumer._ending
        self._concurrency = concurrency
        self._awaited = {type_ for type_, each in functions(consumer.handlers).items() if is_awaited(each)}
        self._tasks: set[asyncio.Task[None]] = set()
        self._table = ThreadPoolExecutor(1, "clx-table")
        self._threads = _Threads(concurrency)
        self._told: dict[Key, tuple[Job, Any]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ears: Ears | None = None

    def wake(self) -> None:
        """End a wait; for any thread and any signal handler."""
        if self._loop is not None and self._ears is not None:
            with suppress(RuntimeError):  # it has just ended
                self._loop.call_soon_threadsafe(self._ears.wake)

    def run(self, *, until_idle: bool, until_done: bool) -> None:
        """Do jobs until the consumer is asked to end, in an event loop of this thread.

        Raises:
            QueueError: it has one that runs.
        """
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            raise QueueError("An event loop runs in this thread.", "Write: await asyncio.to_thread(consumer.run)")
        loop = self._loop = asyncio.new_event_loop()  # no Runner: that takes Ctrl-C for itself, and waits without end
        try:
            loop.run_until_complete(self._serve(until_idle=until_idle, until_done=until_done))
        finally:
            loop.run_until_complete(self._cancel_all())
            loop.run_until_complete(loop.shutdown_asyncgens())
            self._threads.end()
            self._table.shutdown()
            self._loop = None
            loop.close()

    async def _serve(self, *, until_idle: bool, until_done: bool) -> None:
        heeding = asyncio.create_task(self._heed_cancels())
        try:
            with Ears(self._queue.database, self._consumer._types) as self._ears:
                while not self._ending.is_asked and self._consumer._done < self._consumer._limit:
                    self._ears.listen()
                    had_room = len(self._tasks) < self._concurrency
                    if await self._turn(claim=True):
                        continue
                    is_idle = had_room and not self._tasks and not self._claimed.is_holding()
                    if is_idle and (until_idle or (until_done and not await self._ask(self._has_live))):
                        break
                    await self._ears.wait(await self._ask(rest, self._queue))
                await self._drain(self._ears)
        finally:
            self._ears = None
            heeding.cancel()
            await asyncio.wait([heeding])

    def _has_live(self) -> bool:
        return self._queue.has_live(self._consumer._types, self._consumer._pool)

    async def _turn(self, *, claim: bool) -> bool:
        """Report what has ended, claim and begin what there is room for; false where there was nothing to begin."""
        left = self._consumer._limit - self._consumer._done - len(self._tasks)
        claim = claim and not self._claimed.is_alone()
        try:
            await self._ask(self._exchange, min(left, self._concurrency - len(self._tasks)) if claim else 0)
        except PASSING as error:
            self._consumer._refused(error)
            await asyncio.sleep(SHORT_BEAT if self._ending.is_asked else SLOW_BEAT)
            return True
        return self._begin_what_may()

    def _exchange(self, room: int) -> None:
        consumer = self._consumer
        may_claim = room > 0 and (self._claimed.has_reports() or self._queue.may_claim(consumer._types, consumer._pool))
        consumer._room = room
        consumer._report_and_claim(claim=may_claim)

    def _begin_what_may(self) -> bool:
        begun = False
        while not self._ending.is_asked and (job := self._claimed.begin(alone=not self._tasks)) is not None:
            task = asyncio.get_running_loop().create_task(self._do(job), name=f"job {job.id}")
            self._claimed.run(job, partial(self._give_up, task))
            self._tasks.add(task)
            task.add_done_callback(self._is_over)
            begun = True
        return begun

    def _give_up(self, task: asyncio.Task[None]) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(task.cancel)

    def _is_over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._consumer._broken = task.exception()
            self._consumer.stop()
        if self._ears is not None:
            self._ears.wake()

    async def _drain(self, ears: Ears) -> None:
        """Let what runs come to its end, for as long as there is time."""
        while self._tasks and not self._consumer._given_up:
            ears.listen()
            await self._turn(claim=False)
            if self._ending.is_over():
                with suppress(ClxError):  # the heartbeat tries again
                    await self._ask(self._consumer._give_up)
            elif self._tasks:
                await ears.wait(min(SLOW_BEAT, self._ending.seconds_left() or SLOW_BEAT))

    async def _cancel_all(self) -> None:
        """End what still runs: it was given up."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CANCELLED_IN)
        for task in self._tasks:
            log.warning("the function of %s does not end", task.get_name())

    async def _heed_cancels(self) -> None:
        """End jobs that somebody cancels as soon as that is said."""
        with Ears(self._queue.database, [UNWANTED]) as ears:
            while True:
                ears.listen()
                if running := self._claimed.running():
                    with suppress(ClxError):  # the heartbeat sees it, too
                        await self._ask(self._end_unwanted, running)
                await ears.wait(SLOW_BEAT if running else 60.0)

    def _end_unwanted(self, running: list[Key]) -> None:
        for job in self._queue.get_many([job_id for job_id, _ in running]):
            if job.cancel_requested and (job.id, job.run) in running:
                with suppress(LostRunError):
                    self._consumer._end_cancelled(job.id, job.run)

    async def _ask(self, body: Callable[..., R], *args: Any) -> R:
        """Run what asks the table in its thread."""
        return await asyncio.get_running_loop().run_in_executor(self._table, self._patiently, body, *args)

    def _patiently(self, body: Callable[..., R], *args: Any) -> R:
        with self._queue.database.waiting_until(lambda: self._ending.is_asked):
            return body(*args)

    # -- jobs ---------------------------------------------------------------------------------------

    async def _do(self, job: Job) -> None:
        consumer = self._consumer
        report: Report | None = None
        try:
            if log.isEnabledFor(logging.DEBUG):
                log.debug("job %s (%s) begins run %s", job.id, job.type, job.run)
            tell(consumer._hooks, "on_start", job)
            result = await self._result_of(job)
            report = Success(job.id, job.run, None if result is None else msgspec.Raw(encode(result).encode()))
            tell(consumer._hooks, "on_success", job, result)
        except BaseException as error:
            if self._claimed.runs(job) or not isinstance(error, asyncio.CancelledError):
                report = consumer._ended_by(job, error)
            else:
                log.warning("job %s (%s) was given up", job.id, job.type)
        finally:
            self._claimed.ended(job, report)
            consumer._done += report is not None

    async def _result_of(self, job: Job) -> Any:
        function = self._consumer._functions[job.type]
        if job.type not in self._awaited:
            return await self._threads.run(partial(handlers.call, self._queue, function, job))
        return await handlers.call_async(self._queue, function, job, partial(self._tell_progress, job))

    def _tell_progress(self, job: Job, value: Any) -> None:
        """Have the table's thread store how far a job is; of several values the last one."""
        encode(value)  # raises where JSON cannot say it
        self._told[job.id, job.run] = (job, value)
        self._table.submit(self._store_progress, (job.id, job.run))

    def _store_progress(self, key: Key) -> None:
        job, value = self._told.pop(key, (None, None))
        if job is not None:
            try:
                handlers.tell_progress(self._queue, job, value)
            except ClxError as error:
                log.warning("%s", error.fact)


class _Threads:
    """Threads for functions that are no coroutines; none is waited for when the program ends.

    Args:
        most: how many.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self._todo: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    async def run(self, body: Callable[[], R]) -> R:
        """What *body* returns or raises; a task that is cancelled ends when *body* has, for nothing ends it earlier."""
        loop, context = asyncio.get_running_loop(), copy_context()
        done: asyncio.Future[tuple[R | None, BaseException | None]] = loop.create_future()
        self._todo.put(partial(context.run, _settle, body, done, loop))
        if self._count < self._most:
            self._count += 1
            threading.Thread(target=self._work, name=f"clx-job-{self._count}", daemon=True).start()
        try:
            result, error = await asyncio.shield(done)
        except asyncio.CancelledError:
            await asyncio.wait([done])
            raise
        if error is not None:
            raise error
        return result  # type: ignore[return-value]

    def _work(self) -> None:
        while (body := self._todo.get()) is not None:
            body()

    def end(self) -> None:
        """Let those end that have nothing to do."""
        for _ in range(self._count):
            self._todo.put(None)


def _settle(body: Callable[[], Any], done: asyncio.Future[Any], loop: asyncio.AbstractEventLoop) -> None:
    result: Any = None
    failed: BaseException | None = None
    try:
        result = body()
    except BaseException as error:
        failed = error
    with suppress(RuntimeError):  # the loop has ended: nobody waits for it any more
        loop.call_soon_threadsafe(_tell, done, (result, failed))


def _tell(done: asyncio.Future[Any], what: Any) -> None:
    if not done.done():
        done.set_result(what)
