"""Those who wait for the ends of jobs, thousands of them: one task looks for all, and none keeps a thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

from clx.db.doorbell import ENDED
from clx.db.jobs import Queue
from clx.db.wait import REST, SLOW_BEAT
from clx.db.wait_async import Ears
from clx.server.answers import Refusal
from clx.server.threads import DatabaseThreads

log = logging.getLogger("clx.server")

_MOST_WAITERS = 2000
_MOST_JOBS = 100_000
"""Jobs that are waited for at a time, by all together."""


class Waiters:
    """Waits for the ends of jobs, for many at once.

    Args:
        queue: the jobs.
        threads: what asks the table.
    """

    def __init__(self, queue: Queue, threads: DatabaseThreads) -> None:
        self._queue = queue
        self._threads = threads
        self._waiting: dict[asyncio.Future[None], frozenset[int]] = {}
        self._task: asyncio.Task[None] | None = None
        self._ears: Ears | None = None

    async def wait(self, seconds: float, ids: Sequence[int]) -> None:
        """Until none of *ids* is live, or for *seconds*.

        Raises:
            Refusal: 503, too many wait already.
        """
        if seconds <= 0 or not ids:
            return
        waited_for = sum(map(len, self._waiting.values()))
        if len(self._waiting) >= _MOST_WAITERS or waited_for + len(ids) > _MOST_JOBS:
            raise Refusal(503, "Too many calls wait for jobs.", "Try again in 5 s.", retry_after="5")
        ended = asyncio.get_running_loop().create_future()
        self._waiting[ended] = frozenset(ids)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look())
        elif self._ears is not None:
            self._ears.wake()
        try:
            await asyncio.wait([ended], timeout=seconds)
        finally:
            self._waiting.pop(ended, None)

    async def _look(self) -> None:
        """Look at the table when a job has ended, or once a second, while anybody waits."""
        try:
            with Ears(self._queue.database, [ENDED]) as self._ears:
                while self._waiting:
                    self._ears.listen()
                    await self._look_once()
                    if self._waiting:
                        await self._ears.wait(SLOW_BEAT)
                        await asyncio.sleep(REST)
        except Exception:
            log.exception("nobody looks for the ends of jobs any more", extra={"action": "waiting_failed"})
        finally:
            self._ears = None
            for ended in self._waiting:  # each sees for itself how its jobs are
                _tell(ended)

    async def _look_once(self) -> None:
        asked = dict(self._waiting)
        ids = sorted(frozenset().union(*asked.values()))
        try:
            live = set(await self._threads.read(partial(self._queue.live_among, ids)))
        except Refusal:  # the table does not answer: later
            return
        for ended, wanted in asked.items():
            if not wanted & live:
                _tell(ended)
                self._waiting.pop(ended, None)


def _tell(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)
