"""Waiting for the ends of jobs in an event loop; apart, because asyncio takes longer to load than all the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Self

from clx.db.database import Database
from clx.db.doorbell import ENDED, Bell, for_ends_of
from clx.db.queries import Lookup
from clx.db.wait import MODERATE_BEAT, REST, SLOW_BEAT


async def wait_for_jobs(queue: Lookup, job_ids: Sequence[int], timeout: float | None) -> None:
    """As :func:`clx.db.wait.wait_for_jobs`, in an event loop: each look takes a thread, and waiting none."""
    loop = asyncio.get_running_loop()
    ends_at = None if timeout is None else loop.time() + timeout
    names = for_ends_of(job_ids)
    live = list(job_ids)
    with Ears(queue.database, names or [ENDED]) as ears:
        while True:
            ears.listen()
            started = loop.time()
            live = await asyncio.to_thread(_look, queue, live)
            now = loop.time()
            if not live or (ends_at is not None and now >= ends_at):
                return
            await ears.wait(min(SLOW_BEAT, (ends_at or now + SLOW_BEAT) - now))
            if not names:
                await asyncio.sleep(max(now - started, REST))


def _look(queue: Lookup, live: Sequence[int]) -> list[int]:
    found = queue.live_among(live)
    queue.database.require_in_place()
    return found


class Ears:
    """Bells that an event loop hears."""

    def __init__(self, database: Database, names: Sequence[str]) -> None:
        self._loop = asyncio.get_running_loop()
        self._rung = asyncio.Event()
        self._stack = ExitStack()
        self._bells = [self._stack.enter_context(database.doorbell.listen(name)) for name in names]
        self._stack.callback(self._stop)
        self._is_deaf = False

    def listen(self) -> None:
        """Take every ring that has arrived, and hear those that come from now on."""
        self._rung.clear()
        self._is_deaf = False
        for bell in self._bells:
            bell.silence()
            self._forget(bell)  # its descriptor may be one that listens anew
            if bell.fileno() >= 0:
                with suppress(NotImplementedError):  # this loop hears no sockets
                    self._loop.add_reader(bell.fileno(), partial(self._ring, bell))
                    continue
            self._is_deaf = True

    async def wait(self, seconds: float) -> None:
        """Until a bell rings, or for *seconds*."""
        if self._is_deaf:
            seconds = min(seconds, MODERATE_BEAT)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._rung.wait(), seconds)

    def wake(self) -> None:
        """End a wait now, or the next one, as a bell does; for the thread of the loop."""
        self._rung.set()

    def _ring(self, bell: Bell) -> None:
        self._forget(bell)  # until it is listened to again: nobody has taken what has arrived
        self._rung.set()

    def _forget(self, bell: Bell) -> None:
        if bell.fileno() >= 0:
            with suppress(NotImplementedError):
                self._loop.remove_reader(bell.fileno())

    def _stop(self) -> None:
        for bell in self._bells:
            self._forget(bell)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()
