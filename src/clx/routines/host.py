"""A workflow host: one process whose event loop holds many workflows.

One that waits is a coroutine and holds nobody's place. All that is asked of the table is asked in one thread; a second
one renews the leases, so that a workflow which computes for long loses nothing.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import signal
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import msgspec

from clx.artifacts.store import ArtifactStore
from clx.db.calls.models import Recorded
from clx.db.doorbell import UNWANTED
from clx.db.durations import counted
from clx.db.jobs import Failure, Job, Queue, Success
from clx.db.leases import beat_of
from clx.db.models import Report
from clx.db.wait import SLOW_BEAT, rest
from clx.db.wait_async import Ears
from clx.db.workers import WorkerTable
from clx.errors import PASSING, ClxError, DatabaseError, LostRunError, ServerError
from clx.routines.context import RUNNING, TELL, Running
from clx.routines.failures import described
from clx.routines.performing import NESTED, call_of, result_text
from clx.routines.remote import Dispatcher, RemoteEngine
from clx.routines.routine import Routine
from clx.routines.saying import kept, told_apart
from clx.routines.tasks.output import Output

log = logging.getLogger("clx.worker")

R = TypeVar("R")
Key = tuple[int, int]
"""Job and run."""
_NESTED_AT_ONCE = 1000
"""Workflows called by others that are claimed in one transaction; there is a place for each."""
_KNOWN_AT_ONCE = 1000
"""Calls of an earlier run whose results are read before the workflow begins again, and held until it asks for them."""
_AFTER = 1000
"""Milliseconds until a workflow is begun again that could not go on."""
_PROBATION = 0.5
"""Seconds that others wait for a workflow whose host has died once, or was silent."""
_ENDS_IN = 2.0
"""Seconds that coroutines which are given up may take to notice it."""


class Host:
    """Runs the workflows of one table.

    Args:
        queue: the jobs.
        worker: its row among the workers.
        routines: by id; tasks among them are left to others.
        pool: whose jobs.
        files: where large values are.
        concurrency: workflows that others have not called, at one time.
        lease: milliseconds.
    """

    def __init__(
        self,
        queue: Queue,
        worker: int,
        routines: Mapping[str, Routine[..., Any]],
        pool: str,
        files: ArtifactStore,
        *,
        concurrency: int,
        lease: int,
    ) -> None:
        self._queue = queue
        self._worker = worker
        self._routines = {id_: each for id_, each in routines.items() if not each.is_task}
        self._types = list(self._routines)
        self._pool = pool
        self._files = files
        self._concurrency = concurrency
        self._lease = lease
        self._dispatcher = Dispatcher(queue, files, pool)
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._roots: set[Key] = set()
        self._given_up: set[Key] = set()
        self._put_back: list[tuple[int, int, int]] = []  # job, run, and after how many milliseconds it is begun again
        self._is_careful = True
        self._reports: list[Report] = []
        self._progress: dict[Key, Any] = {}
        self._table = ThreadPoolExecutor(1, "clx-table")
        self._over = threading.Event()
        self._reason = ""
        self._ears: Ears | None = None
        self._broken: BaseException | None = None

    def run(self) -> str:
        """Serve until SIGTERM or SIGINT; returns the reason. What runs then is handed back, and goes on elsewhere.

        Raises:
            DatabaseError: the table is not there any more.
            LostWorkerError: this worker was struck off.
        """
        loop = asyncio.new_event_loop()
        loop.set_task_factory(_task_of_a_workflow)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop, signal.Signals(number).name)
        heart = threading.Thread(target=self._beat, args=(loop,), name="clx-lease", daemon=True)
        heart.start()
        try:
            with told_apart():
                _run(loop, self._serve())
        finally:
            loop.run_until_complete(self._end())
            self._over.set()
            heart.join(timeout=10)
            self._table.shutdown()
            loop.close()
        if self._broken is not None:
            raise self._broken
        return self._reason

    def stop(self, reason: str) -> None:
        """End as soon as possible; for the loop's thread."""
        self._reason = self._reason or reason
        if self._ears is not None:
            self._ears.wake()

    # -- the loop -----------------------------------------------------------------------------------

    async def _serve(self) -> None:
        unwanted = asyncio.get_running_loop().create_task(self._heed_cancels(), context=contextvars.Context())
        try:
            with Ears(self._queue.database, self._types) as self._ears:
                while not self._reason:
                    self._ears.listen()
                    if not await self._turn() and not self._reports:
                        await self._ears.wait(await self._ask(rest, self._queue))
        finally:
            self._ears = None
            unwanted.cancel()
            await asyncio.wait([unwanted])

    async def _turn(self) -> bool:
        """Report what has ended, claim and begin what there is a place for; false where nothing was begun."""
        reports, self._reports = self._reports, []
        room, nested = self._concurrency - len(self._roots), _NESTED_AT_ONCE
        if self._is_careful:
            room, nested = min(room, 1), 1
        try:
            claimed = await self._ask(self._exchange, reports, room, nested)
        except PASSING as error:
            log.warning("%s", error.fact)
            self._reports = reports + self._reports
            await asyncio.sleep(SLOW_BEAT)
            return True
        for job in claimed:
            hangs = self._begin(job)
            if job.rescues > 0:  # should it be the end of this host, it is known which one it was
                with suppress(TimeoutError):
                    await asyncio.wait_for(hangs.wait(), _PROBATION)
        return bool(claimed)

    def _exchange(self, reports: list[Report], room: int, nested_room: int) -> list[Job]:
        claimed = self._claimed(reports, room, nested_room)
        suspected = [job for job in claimed if job.rescues > 0]
        self._is_careful = bool(suspected)
        if len(suspected) > 1:  # each is begun apart from the others
            self._put_back += [(job.id, job.run, 0) for job in suspected[1:]]
            self._release()
            claimed = [job for job in claimed if job.rescues == 0] + suspected[:1]
        return claimed

    def _claimed(self, reports: list[Report], room: int, nested_room: int) -> list[Job]:
        mine: dict[str, Any] = {"worker": self._worker, "lease": self._lease}
        found: list[Job] = []
        self._release()
        if room > 0 and not self._queue.may_claim(self._types, self._pool):
            room = 0
        if reports or room > 0:
            settled = self._queue.settle(reports, self._types, max(0, room), pool=self._pool, **mine)
            for lost in settled.lost:
                log.warning("run %s of job %s is no longer this host's", lost.run, lost.job_id)
            found += settled.claimed
        if found and nested_room == 1:
            return found
        nested = self._pool + NESTED
        with suppress(*PASSING):  # what is found already is this host's
            if self._queue.may_claim(self._types, nested):
                found += self._queue.settle((), self._types, nested_room, pool=nested, **mine).claimed
        return found

    def _release(self) -> None:
        """Hand those back that cannot go on now, uncounted."""
        while self._put_back:
            job_id, run, delay = self._put_back[0]
            with suppress(LostRunError):
                self._queue.release(job_id, run, delay=delay)
            self._put_back.pop(0)

    def _begin(self, job: Job) -> asyncio.Event:
        """Begin a workflow; the event is set as soon as it waits for something that it has called, or has ended."""
        key, hangs = (job.id, job.run), asyncio.Event()
        loop, nobodys = asyncio.get_running_loop(), contextvars.Context()
        task = loop.create_task(self._do(job, hangs), name=f"job {job.id}", context=nobodys)
        self._tasks[key] = task
        if not job.pool.endswith(NESTED):
            self._roots.add(key)
        task.add_done_callback(lambda _: self._is_over(key))
        return hangs

    def _is_over(self, key: Key) -> None:
        self._tasks.pop(key, None)
        self._roots.discard(key)
        self._given_up.discard(key)
        self._progress.pop(key, None)
        self._dispatcher.forget_hits(key)
        if self._ears is not None:
            self._ears.wake()

    async def _end(self) -> None:
        """Give up what runs, and hand it back: it goes on elsewhere."""
        for key, task in list(self._tasks.items()):
            self._given_up.add(key)
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=_ENDS_IN)
        with suppress(ClxError):  # the leases tell what could not be said
            if self._reports:
                await self._ask(self._exchange, self._reports, 0, 0)
            await self._ask(self._queue.release_worker, self._worker)
        await self._dispatcher.close()

    # -- one workflow -------------------------------------------------------------------------------

    async def _do(self, job: Job, hangs: asyncio.Event) -> None:
        key, routine = (job.id, job.run), self._routines[job.type]
        running: Running | None = None
        limit: asyncio.Timeout | None = None
        is_its_own, output = False, Output()  # what is raised, and what is written
        try:
            recorded, done = await self._ask(self._recorded, job.id) if job.run > 1 else ((), ())
            engine = RemoteEngine(self._dispatcher, key, recorded, partial(self._go_on_later, job), hangs.set, done)
            call = call_of(routine, job.payload, self._files)
            running = Running(routine, key, engine, output=output)
            RUNNING.set(running)
            TELL.set(lambda told: self._progress.__setitem__(key, told))
            timeout = None if job.timeout is None else job.timeout / 1000
            is_its_own = True
            async with asyncio.timeout(timeout) as limit:
                value = await routine.function(*call.bound.args, **call.bound.kwargs)
            is_its_own = False
            if key in self._given_up:
                return
            text = result_text(routine, value, self._files, unused=len(engine.unused))
            with suppress(LostRunError):
                await self._ask(self._dispatcher.note_hits, key, self._queue)
            said = kept(output, self._files)
            self._reports.append(Success(job.id, job.run, msgspec.Raw(text), stderr=said))
        except BaseException as error:
            if isinstance(error, DatabaseError | ServerError | LostRunError) and not is_its_own:
                self._go_on_later(job, error)
            else:
                self._ended_by(job, error, output, overran=limit is not None and limit.expired())
        finally:
            hangs.set()
            for task in running.tasks if running is not None else ():
                task.cancel()

    def _recorded(self, job_id: int) -> tuple[list[Recorded], list[Job]]:
        """What a workflow asked for in an earlier run, and what of it had succeeded; of very much the first part."""
        recorded = self._queue.calls.of(job_id)
        ids = sorted({each.job_id for each in recorded[:_KNOWN_AT_ONCE] if each.job_id is not None})
        return recorded, [each for each in self._queue.get_many(ids) if each.state == "succeeded"] if ids else []

    def _ended_by(self, job: Job, error: BaseException, output: Output, *, overran: bool) -> None:
        told: dict[str, Any]
        if (job.id, job.run) in self._given_up:
            log.warning("job %s (%s) was given up", job.id, job.type)
            return
        if overran:
            told = {"type": "Timeout", "message": f"It ran longer than {counted((job.timeout or 0) / 1000, 'second')}."}
        elif isinstance(error, Exception):
            told = described(error, job.type)
        else:  # CancelledError of nobody but itself, SystemExit
            told = {"type": type(error).__name__, "message": f"It raised {type(error).__name__}."}
        said = kept(output, self._files)
        self._reports.append(Failure(job.id, job.run, {**told, "routine": job.type}, stderr=said))
        log.warning("job %s (%s) failed", job.id, job.type, exc_info=error)

    def _go_on_later(self, job: Job, error: ClxError) -> None:
        """Hand a workflow back whose run cannot go on, by no fault of its own."""
        key = (job.id, job.run)
        log.warning("job %s (%s) goes on later: %s", job.id, job.type, error.fact)
        if not isinstance(error, LostRunError):
            self._put_back.append((*key, _AFTER))
        self._give_up(key)

    # -- cancelling and leases ------------------------------------------------------------------------

    async def _heed_cancels(self) -> None:
        """End workflows that somebody cancels as soon as that is said."""
        with Ears(self._queue.database, [UNWANTED]) as ears:
            while True:
                ears.listen()
                if self._tasks:
                    with suppress(ClxError):  # the beat sees it, too
                        for key in await self._ask(self._unwanted, list(self._tasks)):
                            self._give_up(key)
                await ears.wait(SLOW_BEAT if self._tasks else 60.0)

    def _unwanted(self, running: list[Key]) -> list[Key]:
        found = []
        for job in self._queue.get_many([job_id for job_id, _ in running]):
            key = (job.id, job.run)
            if job.cancel_requested and key in running:
                self._end_cancelled(key)
                found.append(key)
        return found

    def _end_cancelled(self, key: Key) -> None:
        with suppress(LostRunError):
            self._queue.end_cancelled(*key)

    def _give_up(self, key: Key) -> None:
        if (task := self._tasks.get(key)) is not None:
            self._given_up.add(key)
            task.cancel()

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        table = WorkerTable(self._queue.database)
        with self._queue.database.waiting_until(self._over.is_set):
            while not self._over.wait(beat_of(self._lease)):
                try:
                    self._queue.database.require_in_place()
                    table.beat(self._worker)
                    for key in [*self._tasks, *(each[:2] for each in self._put_back)]:
                        self._renew(key, loop)
                    self._queue.rescue()
                except PASSING as error:
                    log.warning("%s", error.fact)
                except BaseException as error:  # without this thread nothing renews the leases
                    self._broken = error
                    loop.call_soon_threadsafe(self.stop, "it failed")
                    return

    def _renew(self, key: Key, loop: asyncio.AbstractEventLoop) -> None:
        try:
            told = self._queue.heartbeat(*key, lease=self._lease, progress=self._progress.pop(key, None))
            if told == "cancel":
                self._end_cancelled(key)
            else:
                return
        except LostRunError:
            pass
        loop.call_soon_threadsafe(self._give_up, key)

    async def _ask(self, body: Callable[..., R], *args: Any) -> R:
        """Run what asks the table in its thread."""
        return await asyncio.get_running_loop().run_in_executor(self._table, self._patiently, body, *args)

    def _patiently(self, body: Callable[..., R], *args: Any) -> R:
        with self._queue.database.waiting_until(lambda: bool(self._reason)):
            return body(*args)


def _run(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, None]) -> None:
    """Run *main* to its end, whatever tasks of workflows raise: whoever awaits them gets that, and not the loop."""
    task = loop.create_task(main)
    while not task.done():
        try:
            loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as error:
            log.warning("a task of a workflow raised %s", type(error).__name__)
    task.result()


def _task_of_a_workflow(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    """A task; one that a workflow makes is known to it, so that it ends with it."""
    task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **options)
    running = RUNNING.get()
    if running is not None and "context" not in options:
        running.tasks.add(task)
    return task
