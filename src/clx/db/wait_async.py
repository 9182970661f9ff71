"""Waiting for jobs in an event loop: one look at the table for all who wait there, and no thread for any of them.

Apart from :mod:`clx.db.wait`, because asyncio takes longer to load than all the rest.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import Any, Self

from clx.db.database import Database
from clx.db.doorbell import ENDED, FEW, Bell, block_of_ends, for_ends_of, names_of_end
from clx.db.models import Job
from clx.db.queries import Lookup
from clx.db.wait import MODERATE_BEAT, REST, SLOW_BEAT

_LIVE = ("queued", "running")
_SHORT = 0.005
"""Seconds that a look may take without a rest after it."""
_PAUSES = 4
"""A look that takes so much of a processor is followed by a rest so many times as long: others work meanwhile."""
_LINGERS = 1.0
"""Seconds that bells stay hung when nobody waits any more: to hang one takes longer than most waits of a series."""
_IN_A_ROW = 4
"""Ids that the next job of a series may be behind the last one."""


class _Wait:
    """Somebody who waits for jobs.

    Args:
        follows: whether every change of theirs is told, not their ends alone.

    Attributes:
        live: those that have not ended, as far as is known.
        found: those that have, or have changed, in that order.
        told: is done when there is something to tell.
    """

    def __init__(self, job_ids: Iterable[int], *, follows: bool) -> None:
        self.live = set(job_ids)
        self.follows = follows
        self.found: list[Job] = []
        self.told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._seen: dict[int, Job] = {}

    def end(self, job_id: int, job: Job | None) -> None:
        """One of them has ended, or is not there."""
        self.live.discard(job_id)
        if job is not None:
            self.found.append(job)
        if self.follows or not self.live:
            self.tell()

    def see(self, job: Job) -> None:
        """One of them lives; as before, or otherwise than at the last look."""
        before = self._seen.get(job.id)
        if before is None or (job.state, job.run, job.progress) != (before.state, before.run, before.progress):
            self._seen[job.id] = job
            self.found.append(job)
            self.tell()

    def tell(self) -> None:
        if not self.told.done():
            self.told.set_result(None)

    def fail(self, error: BaseException) -> None:
        if not self.told.done():
            self.told.set_exception(error)


class Waiters:
    """Those who wait in one event loop for jobs of one table; a task looks for all of them while there are any.

    Args:
        queue: the jobs.
        call: runs a function in a thread.
        looks_itself: looks at a few jobs within the loop, where that takes less than asking a thread to do it.
    """

    def __init__(
        self, queue: Lookup, call: Callable[..., Coroutine[Any, Any, Any]], *, looks_itself: bool = False
    ) -> None:
        self._queue = queue
        self._looks_itself = looks_itself and queue.database.is_at_hand
        self._call = call
        self._by_id: dict[int, set[_Wait]] = {}
        self._fresh: set[int] = set()
        self._followers = 0
        self._heard_for = 0
        self._last = -_IN_A_ROW
        self._is_over = False
        self._ears: Ears | None = None
        self._task: asyncio.Task[None] | None = None

    async def wait(self, job_ids: Sequence[int], timeout: float | None) -> list[Job]:
        """The jobs as they are when none of them is live, or after *timeout* seconds."""
        wait = await self._ended(job_ids, timeout)
        if wait.live:  # the time is over
            found: list[Job] = await self._call(self._queue.get_many, list(job_ids))
            return found
        return sorted(wait.found, key=lambda job: job.id)

    async def one(self, job_id: int) -> Job | None:
        """The job once it has ended; None where it is not there any more."""
        found = (await self._ended((job_id,), None)).found
        return found[0] if found else None

    async def until_ended(self, job_ids: Sequence[int], timeout: float) -> None:
        """Until none of the jobs is live, or for *timeout* seconds; how they are then, the caller reads himself."""
        await self._ended(job_ids, timeout)

    async def _ended(self, job_ids: Sequence[int], timeout: float | None) -> _Wait:
        wait = _Wait(job_ids, follows=False)
        if wait.live and (timeout is None or timeout > 0):
            self._begin(wait)
            try:
                if timeout is None:
                    await wait.told  # raises where the table could not be read
                else:
                    await asyncio.wait([wait.told], timeout=timeout)
                    if wait.told.done():
                        wait.told.result()
            finally:
                self._end(wait)
        return wait

    async def follow(self, job_ids: Sequence[int]) -> AsyncIterator[Job]:
        """Each job as it stands, and again whenever it is otherwise, until all have ended."""
        wait = _Wait(job_ids, follows=True)
        if not wait.live:
            return
        self._begin(wait)
        try:
            while wait.live or wait.found:
                if not wait.found:
                    await wait.told
                    wait.told = asyncio.get_running_loop().create_future()
                found, wait.found = wait.found, []
                for job in found:
                    yield job
        finally:
            self._end(wait)

    def fail(self, error: BaseException) -> None:
        """Let nobody wait any more: each gets *error*."""
        self._is_over = True
        for wait in {each for waits in self._by_id.values() for each in waits}:
            wait.fail(error)
        self._wake()

    def _begin(self, wait: _Wait) -> None:
        for job_id in wait.live:
            self._by_id.setdefault(job_id, set()).add(wait)
        self._fresh |= wait.live
        self._followers += wait.follows
        self._is_over = False
        if self._task is None:
            # in a context of its own: it is nobody's who happens to be the first
            self._task = asyncio.get_running_loop().create_task(self._look_for_all(), context=Context())
        self._wake()

    def _end(self, wait: _Wait) -> None:
        wait.told.cancel()
        self._followers -= wait.follows
        for job_id in wait.live:
            self._leave(job_id, wait)
        if not self._by_id:
            self._wake()

    def _leave(self, job_id: int, wait: _Wait) -> None:
        others = self._by_id.get(job_id, set())
        others.discard(wait)
        if not others:
            self._by_id.pop(job_id, None)
            self._fresh.discard(job_id)

    def _wake(self) -> None:
        if self._ears is not None:
            self._ears.wake()

    # -- the task -----------------------------------------------------------------------------------

    async def _look_for_all(self) -> None:
        try:
            with Ears(self._queue.database) as self._ears:
                await self._look_while_anybody_waits(self._ears)
        except Exception as error:
            self.fail(error)
        finally:
            self._ears = self._task = None

    async def _look_while_anybody_waits(self, ears: Ears) -> None:
        loop = asyncio.get_running_loop()
        look_at = 0.0  # when all of them are looked at again
        while self._by_id or await self._anybody_comes(ears):
            is_due = self._tune(ears) or loop.time() >= look_at
            rung, began = ears.listen(), loop.time()
            fresh = list(self._by_id) if is_due else [*self._fresh]
            others = [id_ for id_ in self._by_id if id_ not in self._fresh] if rung and not is_due else []
            self._fresh.clear()
            effort = 0.0
            if fresh or others:
                followed = self._followed()
                if self._looks_itself and len(fresh) + len(others) + len(followed) <= FEW:
                    ended, live, effort = self._look(fresh, others, followed)
                else:
                    ended, live, effort = await self._call(self._look, fresh, others, followed)
                self._tell(ended, live)
            looked_for = loop.time() - began
            if is_due:
                look_at = began + SLOW_BEAT
            if self._by_id and not self._fresh:
                await ears.wait(look_at - loop.time())
                resting = max(looked_for, _PAUSES * effort, 0.0 if ears.hears_ends() else REST)
                if ears.rung and resting > _SHORT:
                    await asyncio.sleep(resting)

    async def _anybody_comes(self, ears: Ears) -> bool:
        """Whether somebody waits again soon."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + _LINGERS
        while not self._by_id and not self._is_over and (left := ends_at - loop.time()) > 0:
            ears.listen()
            await ears.wait(left)
        return bool(self._by_id)

    def _tune(self, ears: Ears) -> bool:
        """Hear of the ends of all of them; true where other bells than before were hung for that."""
        last, self._last = self._last, max(self._fresh, default=self._last)
        if self._heard_for < FEW * len(self._by_id) and all(map(ears.hears_end, self._fresh)):
            return False  # of those who were there before, too
        self._heard_for = len(self._by_id)
        names = for_ends_of(self._by_id)
        if self._heard_for == 1 and 0 <= self._last - last < _IN_A_ROW:
            names = [block_of_ends(self._last)]  # who calls one after another has ids in a row: hear of the next ones
        return ears.tune(names or [ENDED])

    def _followed(self) -> list[int]:
        if not self._followers:
            return []
        return [id_ for id_, waits in self._by_id.items() if any(wait.follows for wait in waits)]

    def _look(
        self, ids: list[int], rung_for: list[int], followed: list[int]
    ) -> tuple[dict[int, Job | None], list[Job], float]:
        """Those of *ids* and *rung_for* that have ended, of *ids* those that are gone, too; those *followed* that live.

        And how many seconds of a processor it took.
        """
        began = time.thread_time()
        live = set(self._queue.live_among(ids)) if ids else set()
        found = self._queue.ended_among(rung_for) if rung_for else []
        self._queue.database.require_in_place()
        ended: dict[int, Job | None] = {id_: None for id_ in ids if id_ not in live}
        wanted = [*ended, *followed]
        found += self._queue.get_many(wanted) if wanted else []
        ended |= {job.id: job for job in found if job.state not in _LIVE}
        return ended, [job for job in found if job.state in _LIVE], time.thread_time() - began

    def _tell(self, ended: dict[int, Job | None], live: list[Job]) -> None:
        for job_id, job in ended.items():
            self._fresh.discard(job_id)
            for wait in self._by_id.pop(job_id, ()):
                wait.end(job_id, job)
        for job in live:
            for wait in self._by_id.get(job.id, ()):
                if wait.follows:
                    wait.see(job)


class Ears:
    """Bells that an event loop hears.

    Attributes:
        rung: whether one has rung since they were listened to last, or may have.
    """

    def __init__(self, database: Database, names: Sequence[str] = ()) -> None:
        self._loop = asyncio.get_running_loop()
        self._door = database.doorbell
        self._is_awake = False
        self._sleeper: asyncio.Future[None] | None = None
        self._bells: dict[str, Bell] = {}
        self._heard: set[Bell] = set()  # of which the loop tells when they ring
        self._is_deaf = False
        self.rung = True
        self.tune(names)

    def tune(self, names: Sequence[str]) -> bool:
        """Hear bells of these names from now on, and of no others; returns whether that are other ones than before."""
        if self._bells.keys() == set(names):
            return False
        for name in self._bells.keys() - set(names):
            bell = self._bells.pop(name)
            self._forget(bell)
            bell.close()
        for name in names:
            if name not in self._bells:
                self._bells[name] = self._door.listen(name)
        return True

    def listen(self) -> bool:
        """Take every ring that has arrived, and hear those that come from now on; returns whether there was any."""
        self._is_awake = False
        self._is_deaf = False
        rung, self.rung = self.rung, False
        for bell in self._bells.values():
            if bell.silence():  # its descriptor is one that listens anew
                self._forget(bell)
            if not (bell in self._heard or self._hear(bell)):
                self._is_deaf = True
        return rung

    def _hear(self, bell: Bell) -> bool:
        """Have the loop tell when a bell rings; false where it cannot."""
        if bell.fileno() >= 0:
            with suppress(NotImplementedError):  # this loop hears no sockets
                self._loop.add_reader(bell.fileno(), partial(self._ring, bell))
                self._heard.add(bell)
                return True
        return False

    async def wait(self, seconds: float) -> None:
        """Until a bell rings or somebody wakes, or for *seconds*."""
        if self._is_deaf:
            seconds = min(seconds, MODERATE_BEAT)
        if self._is_awake:
            return
        sleeper = self._sleeper = self._loop.create_future()
        timer = self._loop.call_later(max(0.0, seconds), self._wake, sleeper)
        try:
            await sleeper
        finally:
            timer.cancel()
            self._sleeper = None
        self.rung = self.rung or not self._is_awake

    def wake(self) -> None:
        """End a wait now, or the next one, as a bell does; for the thread of the loop."""
        self._is_awake = True
        if self._sleeper is not None:
            self._wake(self._sleeper)

    @staticmethod
    def _wake(sleeper: asyncio.Future[None]) -> None:
        if not sleeper.done():
            sleeper.set_result(None)

    def hears_end(self, job_id: int) -> bool:
        """Whether a bell rings for the end of that job."""
        return ENDED in self._bells or any(name in self._bells for name in names_of_end(job_id))

    def hears_ends(self) -> bool:
        """Whether what rings is the end of certain jobs, not of any."""
        return ENDED not in self._bells

    def _ring(self, bell: Bell) -> None:
        self._forget(bell)  # until it is listened to again: nobody has taken what has arrived
        self.rung = True
        self.wake()

    def _forget(self, bell: Bell) -> None:
        self._heard.discard(bell)
        if bell.fileno() >= 0:
            with suppress(NotImplementedError):
                self._loop.remove_reader(bell.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.tune([])
