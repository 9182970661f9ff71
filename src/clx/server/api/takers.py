"""Those who take something from the table, and wait for it where there is none; nothing is taken for who has gone."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import partial
from typing import Any

from starlette.requests import Request

from clx.db.jobs import Queue
from clx.db.wait import SLOW_BEAT
from clx.db.wait_async import Ears
from clx.server.answers import Refusal
from clx.server.api.operations import Attended
from clx.server.threads import DatabaseThreads

log = logging.getLogger("clx.server")

_MOST = 2000
"""Calls that wait at a time."""


class _Attempt:
    """Takes something, unless its caller has gone: what is found then is given back.

    Args:
        run: takes it; runs in a thread for the table.
    """

    def __init__(self, run: Callable[[], Any], asked: Attended) -> None:
        self._run = run
        self._asked = asked
        self._lock = threading.Lock()
        self._is_over = False
        self._answer: Any = None

    def __call__(self) -> Any:
        answer = self._run()
        if self._asked.is_in_vain(answer):
            return answer
        with self._lock:
            if not self._is_over:
                self._answer = answer
                return answer
        self._asked.give_back(answer)
        return answer

    def give_up(self) -> Callable[[], None] | None:
        """Nobody gets an answer any more; returns what gives back what was found, None where nothing was."""
        with self._lock:
            self._is_over = True
            answer, self._answer = self._answer, None
        return None if answer is None else partial(self._asked.give_back, answer)


class _Waiting:
    """Somebody in a line.

    Attributes:
        told: is done when it has an answer.
    """

    def __init__(self, attempt: _Attempt, asked: Attended) -> None:
        self.attempt = attempt
        self.asked = asked
        self.told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class Takers:
    """Calls that take something, the first come first; a task looks for all who wait, whenever a bell rings.

    Args:
        queue: the jobs.
        threads: what asks the table.
    """

    def __init__(self, queue: Queue, threads: DatabaseThreads) -> None:
        self._queue = queue
        self._threads = threads
        self._lines: dict[Hashable, deque[_Waiting]] = {}
        self._calls = 0
        self._ears: Ears | None = None
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many wait."""
        return self._calls

    async def take(self, run: Callable[[], Any], asked: Attended, request: Request) -> Any:
        """The answer of *run*, once it has something, or the time is over.

        Raises:
            Refusal: 503, too many wait already, or the table does not answer.
        """
        attempt = _Attempt(run, asked)
        try:
            answer = await self._threads.write(attempt, is_short=asked.is_short)
            if asked.seconds > 0 and asked.is_in_vain(answer):
                answer = await self._in_line(attempt, asked, request) or answer
            if not await request.is_disconnected():
                return answer
        except BaseException:
            await self._give_up(attempt)
            raise
        await self._give_up(attempt)
        return answer

    async def _give_up(self, attempt: _Attempt) -> None:
        give_back = attempt.give_up()
        if give_back is not None:
            with suppress(Exception):  # who has it is silent: others get it when its time is over
                await asyncio.shield(self._threads.write(give_back))

    async def _in_line(self, attempt: _Attempt, asked: Attended, request: Request) -> Any:
        """Wait until one is there, its caller has gone, or the time is over."""
        if self._calls >= _MOST:
            raise Refusal(503, "Too many calls wait for works.", "Try again in 5 s.", retry_after="5")
        me = _Waiting(attempt, asked)
        gone = asyncio.ensure_future(request.receive())
        self._calls += 1
        self._lines.setdefault(asked.same, deque()).append(me)
        self._begin()
        try:
            await asyncio.wait([me.told, gone], timeout=asked.seconds, return_when=asyncio.FIRST_COMPLETED)
            return me.told.result() if me.told.done() else None
        finally:
            self._calls -= 1
            self._leave(me)
            gone.cancel()
            if not me.told.done():
                me.told.cancel()
                await self._give_up(attempt)

    def _leave(self, me: _Waiting) -> None:
        line = self._lines.get(me.asked.same)
        if line is not None:
            with suppress(ValueError):
                line.remove(me)
            if not line:
                del self._lines[me.asked.same]

    def _begin(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._look_for_all())
        elif self._ears is not None:
            self._ears.wake()

    async def _look_for_all(self) -> None:
        try:
            with Ears(self._queue.database) as self._ears:
                while self._lines:
                    ears = self._ears
                    ears.tune(sorted({name for line in self._lines.values() for name in line[0].asked.types}))
                    ears.listen()
                    for same in list(self._lines):
                        await self._serve(same)
                    await ears.wait(SLOW_BEAT)
        except Exception:
            log.exception("works cannot be waited for", extra={"action": "waiting_failed"})
            for line in self._lines.values():
                for each in line:
                    if not each.told.done():
                        each.told.set_exception(
                            Refusal(503, "Works cannot be waited for.", "The server's log says why.")
                        )
        finally:
            self._ears = self._task = None

    async def _serve(self, same: Hashable) -> None:
        """Give those of one line what is there, the first come first."""
        while line := self._lines.get(same):
            first = line[0]
            try:
                if not await self._threads.read(partial(self._queue.may_claim, first.asked.types)):
                    return
                answer = await self._threads.write(first.attempt)
            except Refusal:  # the table is busy: at the next beat
                return
            except Exception as error:
                if not first.told.done():
                    first.told.set_exception(error)
                self._leave(first)
                continue
            if first.asked.is_in_vain(answer):
                return
            if not first.told.done():
                first.told.set_result(answer)
            self._leave(first)
