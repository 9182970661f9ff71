"""The remote engine: a call becomes a job of some worker, and whoever made it waits for what comes of it."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from clx.commands import SERVED
from clx.db.async_queue import THREADS, AsyncQueue
from clx.db.calls.models import Call as Asked
from clx.db.calls.models import Entered, Recorded
from clx.db.jobs import Job, Queue
from clx.db.wait import wait_for_jobs
from clx.db.workers import WorkerTable
from clx.errors import ArtifactMissingError, ClxError, DatabaseError, LostRunError, ServerError, UnknownJobError
from clx.routines.codecs import artifacts_of, canonical, restore_text
from clx.routines.codecs.canonical import Files
from clx.routines.context import RUNNING, name_of
from clx.routines.performing import arguments_of, asked_of, job_of, kept_result, outcome, value_of
from clx.routines.routine import Call, Routine
from clx.routines.sources import warn_of_other_source, warn_of_other_worker

R = TypeVar("R")
Parent = tuple[int, int]
"""Job and run of the workflow that makes a call."""
log = logging.getLogger("clx.routines")

_ALONE_FOR = 5.0
"""Seconds that a program waits before it is told that nobody is there."""
_ALONE = "No worker is there that runs %s; it waits. Start some: clx routines work"
_AT_ONCE = 1000
"""Calls that are entered in one transaction, so that nobody waits for long."""

_FEW = 8
"""Calls that are entered within the loop where nobody else writes: that takes less than asking a thread to do it."""

Waiting = list[tuple[Asked, "asyncio.Future[Entered]"]]


class Dispatcher:
    """Enters calls, all that are made at one time together, and waits for their jobs; of any number of event loops.

    Args:
        queue: the jobs.
        files: where large values are.
        pool: whose workers take them.
        threads: ask the table.
    """

    def __init__(self, queue: Queue, files: Files, pool: str, *, threads: int = THREADS) -> None:
        self.queue = queue
        self.files = files
        self.pool = pool
        self.table = AsyncQueue(queue, threads=threads)
        self._made: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Parent | None, Waiting]] = WeakKeyDictionary()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_watching = False
        self._hits: dict[Parent, list[Asked]] = {}
        self._is_at_hand = queue.database.is_at_hand
        self._is_here = not queue.database.path.name.endswith(SERVED)

    async def enter(self, parent: Parent | None, asked: Asked) -> Entered:
        """Enter a call.

        Raises:
            LostRunError: the parent's run is its worker's no more.
        """
        loop = asyncio.get_running_loop()
        made = self._made.setdefault(loop, {})
        if not made:
            loop.call_soon(self._enter_all, loop)
        entered: asyncio.Future[Entered] = loop.create_future()
        made.setdefault(parent, []).append((asked, entered))
        try:
            return await entered
        except asyncio.CancelledError:
            if entered.done() and not entered.cancelled():
                self._leave_all([entered.result()])
            raise

    def _enter_all(self, loop: asyncio.AbstractEventLoop) -> None:
        for parent, made in self._made.pop(loop, {}).items():
            waiting = self._unknown(parent, made) if self._is_here else made
            if self._is_at_hand and len(waiting) <= _FEW and self._enter_here(parent, waiting):
                continue
            for start in range(0, len(waiting), _AT_ONCE):
                # in a context of its own: it is not that workflow's who happens to be the first, and to end first
                entering = self._enter(parent, waiting[start : start + _AT_ONCE])
                task = loop.create_task(entering, context=contextvars.Context())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _unknown(self, parent: Parent | None, made: Waiting) -> Waiting:
        """Answer what is known: a look at a file takes less than asking a thread to do it."""
        try:
            return self._answer(parent, made, self._find([each for each, _ in made], self.queue))
        except ClxError as error:
            _fail(made, error)
            return []

    def _enter_here(self, parent: Parent | None, waiting: Waiting) -> bool:
        """Enter a few calls; false where that has to be waited for."""
        if not waiting:
            return True
        hits = self._hits.get(parent, []) if parent is not None else []
        try:
            found = self.queue.calls.enter_at_once(parent, [each for each, _ in waiting], hits)
        except ClxError as error:
            _fail(waiting, error)
            return True
        if found is None:
            return False
        if parent is not None:
            self._hits.pop(parent, None)
        self._give(waiting, found)
        return True

    def _give(self, waiting: Waiting, found: list[Entered]) -> None:
        for (_, entered), each in zip(waiting, found, strict=True):
            if entered.done():
                self._leave_all([each])
            else:
                entered.set_result(each)

    def _find(self, asked: list[Asked], queue: Queue) -> dict[str, Any]:
        return queue.calls.find(asked)

    def _answer(self, parent: Parent | None, waiting: Waiting, kept: Mapping[str, Any]) -> Waiting:
        """Answer the calls that have a kept result; returns the others."""
        if not kept:
            return waiting
        rest: Waiting = []
        for asked, entered in waiting:
            if asked.cache and asked.job.key in kept:
                if parent is not None:
                    self._hits.setdefault(parent, []).append(asked)
                if not entered.done():
                    entered.set_result(Entered(None, kept[str(asked.job.key)]))
            else:
                rest.append((asked, entered))
        return rest

    async def _enter(self, parent: Parent | None, waiting: Waiting) -> None:
        done = _Answers(self._leave_all)
        try:
            if not self._is_here:
                kept = await self.table.call(partial(self._find, [each for each, _ in waiting]))
                waiting = self._answer(parent, waiting, kept)
            asked = [each for each, _ in waiting]
            hits = self._hits.pop(parent, []) if parent is not None and asked else []
            if asked:
                await self.table.call(lambda queue: done.put(queue.calls.enter(parent, asked, hits)))
        except BaseException as error:
            _fail(waiting, error)
            done.nobody_waits()
            if not isinstance(error, Exception):
                raise
            return
        self._give(waiting, done.found)

    def leave(self, job_id: int, mark: str) -> None:
        """A program waits no more; where that cannot be said, the job goes on as though it did."""
        with suppress(ClxError):
            self.queue.calls.leave(job_id, mark)

    def _leave_all(self, entered: Iterable[Entered]) -> None:
        for each in entered:
            if each.job_id is not None and each.mark is not None:
                self.leave(each.job_id, each.mark)

    def note_hits(self, parent: Parent, queue: Queue) -> None:
        """Record what kept results have answered, and no call since then has recorded with it."""
        if hits := self._hits.pop(parent, []):
            queue.calls.enter(parent, [], hits)

    def forget_hits(self, parent: Parent) -> None:
        """The run of a parent is over."""
        self._hits.pop(parent, None)

    def see_that_somebody_is_there(self, routine_id: str, job_id: int) -> None:
        """Say, once in a program, that it waits for workers that there are none of; looked at for one job at a time."""
        if not self._is_watching:
            self._is_watching = True
            task = asyncio.get_running_loop().create_task(self._watch(routine_id, job_id))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _watch(self, routine_id: str, job_id: int) -> None:
        try:
            await asyncio.sleep(_ALONE_FOR)
            is_alone = await self.table.call(partial(_is_alone, routine_id, job_id))
        except BaseException:
            self._is_watching = False
            raise
        self._is_watching = is_alone  # told once
        if is_alone:
            log.warning(_ALONE, routine_id)

    async def ended(self, job_id: int) -> Job:
        """The job once it has ended.

        Raises:
            UnknownJobError: it is not in the table any more.
        """
        found = await self.table.ended(job_id)
        if found is None:
            raise UnknownJobError(job_id)
        return found

    def waited_for(self, routine_id: str, job_id: int) -> Job:
        """As :meth:`ended`, for who has no event loop; says once that it waits for workers that there are none of.

        Raises:
            UnknownJobError: as there.
        """
        wait_for_jobs(self.queue, [job_id], _ALONE_FOR)
        found = self.queue.get(job_id)
        if found is not None and found.state in {"queued", "running"}:
            if not self._is_watching and _is_alone(routine_id, job_id, self.queue):
                self._is_watching = True  # told once
                log.warning(_ALONE, routine_id)
            wait_for_jobs(self.queue, [job_id], None)
            found = self.queue.get(job_id)
        if found is None:
            raise UnknownJobError(job_id)
        return found

    async def close(self) -> None:
        """End the threads; the queue stays open."""
        await self.table.close()


class _Answers:
    """What a thread has found, for a loop that may have stopped to wait for it: then all of it is left again."""

    def __init__(self, leave: Callable[[list[Entered]], None]) -> None:
        self.found: list[Entered] = []
        self._leave = leave
        self._is_wanted = True

    def put(self, found: list[Entered]) -> None:
        self.found = found
        if not self._is_wanted:
            self._leave(found)

    def nobody_waits(self) -> None:
        self._is_wanted = False  # first this, then that, and the other way about there: one of both sees it
        self._leave(self.found)


def _is_alone(routine_id: str, job_id: int, queue: Queue) -> bool:
    """Whether a job waits and no worker lives that takes those of its routine."""
    if all(job.state != "queued" for job in queue.get_many([job_id])):
        return False
    table = WorkerTable(queue.database)
    return all(routine_id not in {row.type, *table.routines(row.id)} for row in table.list())


def _fail(waiting: Waiting, error: BaseException) -> None:
    for _, entered in waiting:
        if not entered.done():
            entered.set_exception(error)


class RemoteEngine:
    """Runs calls as jobs.

    Args:
        parent: the workflow that makes them; None: a program.
        recorded: what the workflow asked for in an earlier run.
        give_up: is told why this run of the workflow cannot go on, and has it end. The workflow itself is not told: it
            would go on as though its call had failed. None: whoever calls gets the error.
        hangs: is told whenever a call begins to wait for a job.
        done: jobs among those recorded that are known to have succeeded: nobody waits for them.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        parent: Parent | None = None,
        recorded: Iterable[Recorded] = (),
        give_up: Callable[[ClxError], None] | None = None,
        hangs: Callable[[], None] = lambda: None,
        done: Iterable[Job] = (),
    ) -> None:
        self._dispatcher = dispatcher
        self.hangs = hangs
        self._give_up = give_up
        self._is_given_up = False
        self._files = dispatcher.files
        self._parent = parent
        self.recorded = {(each.name, each.occurrence): each for each in recorded}
        self.unused = set(self.recorded)
        self._done = {each.id: each for each in done}

    async def run(self, call: Call[Any]) -> Any:
        """What the routine returns.

        Raises:
            RoutineError: it has failed, or was cancelled.
            RoutineValueError: an argument has no codec.
        """
        return await self._unharmed(self._run(call))

    async def _unharmed(self, asking: Coroutine[Any, Any, R]) -> R:
        if self._give_up is None:
            return await asking
        if not self._is_given_up:
            try:
                return await asking
            except (DatabaseError, ServerError, LostRunError) as error:
                self._is_given_up = True
                self._give_up(error)
        asking.close()
        never: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        return await never  # until it is cancelled

    async def _run(self, call: Call[Any]) -> Any:
        arguments = arguments_of(call, self._files)
        self._files.share(artifacts_of(arguments))
        name = name_of(call.routine.id, arguments)
        occurrence = self._occurrence(name)
        while True:
            try:
                return await self._outcome(call, arguments, name, occurrence)
            except ArtifactMissingError:  # of a result that was kept: made again
                key = job_of(call.routine, arguments, "").key
                if key is not None:
                    self._dispatcher.queue.calls.forget(call.routine.id, key)
                if name.endswith("again"):
                    raise
                name, occurrence = name_of(name, "again")[:59] + "again", self._occurrence(name)

    async def _outcome(self, call: Call[Any], arguments: str, name: str, occurrence: int) -> Any:
        routine, known = call.routine, self._known(name, occurrence)
        job_id = known.job_id if known is not None else None
        mark = None
        if job_id is None:
            nested = self._parent is not None
            asked = asked_of(routine, arguments, self._dispatcher.pool, name, occurrence, nested=nested)
            entered = await self._dispatcher.enter(self._parent, asked)
            if entered.job_id is None:
                warn_of_other_source(routine, entered.result)
                return value_of(routine, entered.result, self._files)
            job_id, mark = entered.job_id, entered.mark
        if (done := self._done.pop(job_id, None)) is not None:
            return self._result(routine, done)
        self.hangs()
        if self._parent is None:
            self._dispatcher.see_that_somebody_is_there(routine.id, job_id)
        try:
            ended = await self._dispatcher.ended(job_id)
        except BaseException:
            if mark is not None:  # one that has ended nobody has to leave
                self._dispatcher.leave(job_id, mark)
            raise
        return self._result(routine, ended)

    def _result(self, routine: Routine[..., Any], ended: Job) -> Any:
        warn_of_other_worker(routine, ended.result)
        return outcome(routine, ended, self._files)

    def at_once(self, call: Call[Any]) -> tuple[Any] | None:
        """The result of what a program calls, waited for in its thread; None in a workflow, which has a loop."""
        if self._parent is not None:
            return None
        arguments = arguments_of(call, self._files)
        if call.routine.is_cached and (found := kept_result(self._dispatcher.queue, call, arguments, self._files)):
            return found
        self._files.share(artifacts_of(arguments))
        asked = asked_of(call.routine, arguments, self._dispatcher.pool)
        try:
            return (self._waited_for(call.routine, asked),)
        except ArtifactMissingError:  # of a result that was kept: made again
            if asked.job.key is not None:
                self._dispatcher.queue.calls.forget(call.routine.id, asked.job.key)
            return (self._waited_for(call.routine, asked),)

    def _waited_for(self, routine: Routine[..., Any], asked: Asked) -> Any:
        [entered] = self._dispatcher.queue.calls.enter(None, [asked])
        if entered.job_id is None:
            warn_of_other_source(routine, entered.result)
            return value_of(routine, entered.result, self._files)
        try:
            ended = self._dispatcher.waited_for(routine.id, entered.job_id)
        except BaseException:
            if entered.mark is not None:
                self._dispatcher.leave(entered.job_id, entered.mark)
            raise
        return self._result(routine, ended)

    def _occurrence(self, name: str) -> int:
        running = RUNNING.get()
        return 0 if running is None else running.occurrence(name)

    def _known(self, name: str, occurrence: int) -> Recorded | None:
        self.unused.discard((name, occurrence))
        return self.recorded.get((name, occurrence))

    async def record(self, name: str, function: Callable[[], Any]) -> Any:
        """What *function* gave the first time that this workflow came here."""
        named, occurrence, known = self._remembered(name)
        if known is not None and known.value is not None:
            return restore_text(known.value, Any, name, self._files)
        value = function()
        if inspect.isawaitable(value):
            value = await value
        text = canonical(value, Any, name, self._files)
        remember = self._dispatcher.table.call(partial(self._remember, named, occurrence, text))
        return restore_text(await self._unharmed(remember), Any, name, self._files)

    def _remembered(self, name: str) -> tuple[str, int, Recorded | None]:
        named = name_of(f"record:{name}", "")
        occurrence = self._occurrence(named)
        return named, occurrence, self._known(named, occurrence)

    def _remember(self, name: str, occurrence: int, text: str, queue: Queue) -> str:
        assert self._parent is not None
        return queue.calls.remember(self._parent, name, occurrence, text)
