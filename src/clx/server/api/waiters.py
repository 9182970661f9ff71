"""Those who wait for the ends of jobs, thousands of them, within bounds; none keeps a thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from clx.db.jobs import Queue
from clx.db.wait import SLOW_BEAT
from clx.db.wait_async import Waiters
from clx.server.answers import Refusal
from clx.server.threads import DatabaseThreads

log = logging.getLogger("clx.server")

_MOST_WAITERS = 2000
_MOST_JOBS = 100_000
"""Jobs that are waited for at a time, by all together."""


class BoundedWaiters:
    """Waits for the ends of jobs, for many at once.

    Args:
        queue: the jobs.
        threads: what asks the table.
    """

    def __init__(self, queue: Queue, threads: DatabaseThreads) -> None:
        self._threads = threads
        self._waiters = Waiters(queue, self._read)
        self._calls = 0
        self._jobs = 0

    async def wait(self, seconds: float, ids: Sequence[int]) -> None:
        """Until none of *ids* is live, or for *seconds*.

        Raises:
            Refusal: 503, too many wait already.
        """
        if seconds <= 0 or not ids:
            return
        if self._calls >= _MOST_WAITERS or self._jobs + len(ids) > _MOST_JOBS:
            raise Refusal(503, "Too many calls wait for jobs.", "Try again in 5 s.", retry_after="5")
        self._calls += 1
        self._jobs += len(ids)
        try:
            with suppress(Exception):  # it is logged; each sees for himself how his jobs are
                await self._waiters.until_ended(ids, seconds)
        finally:
            self._calls -= 1
            self._jobs -= len(ids)

    async def _read(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What *function* finds in the table; while that does not answer and somebody waits, it is asked again."""
        while True:
            try:
                return await self._threads.read(partial(function, *arguments))
            except Refusal:
                if not self._calls:
                    raise
                await asyncio.sleep(SLOW_BEAT)
            except Exception:
                log.exception("the ends of jobs cannot be awaited", extra={"action": "waiting_failed"})
                raise
