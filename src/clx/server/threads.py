"""The threads that ask the table: that of the event loop never waits for it, so a locked table stops nobody else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

from clx.db.database import Database
from clx.errors import ClxError, DatabaseBusyError
from clx.server.answers import RETRY_AFTER, Refusal

T = TypeVar("T")

_MOST_WAITING = 1000
"""Calls that wait for a thread; what comes beyond is refused at once."""
_TIDY_AFTER = 64
"""Writes by the thread of the event loop, after which another one sees to what they have left."""
_GRACE = 2.0
"""Seconds beyond its time that a call may take to notice that it is over."""


class DatabaseThreads:
    """A few threads for one table, those that read apart from those that write.

    Args:
        database: an open database.
        patience: seconds a call may wait for a thread and for the table.
        readers, writers: how many threads.
    """

    def __init__(self, database: Database, *, patience: float = 8.0, readers: int = 3, writers: int = 1) -> None:
        self.patience = patience
        self._database = database
        self._reading = ThreadPoolExecutor(readers, "clx-read")
        self._writing = ThreadPoolExecutor(writers, "clx-write")
        self._waiting = 0
        self._to_write = 0
        self._untidied = 0

    async def read(self, body: Callable[[], T], *, patience: float | None = None) -> T:
        """What *body* finds in the table.

        Raises:
            Refusal: 503, the table did not answer within *patience* seconds.
        """
        return await self._run(self._reading, body, patience)

    async def write(self, body: Callable[[], T], *, patience: float | None = None, is_short: bool = False) -> T:
        """What *body* changes in the table. What is refused here was not done, or its answer says that it may yet be.

        Args:
            is_short: whether it takes less than to have a thread do it, where nobody else writes: then it is done here,
                and again in a thread where that would have to wait. One transaction at most of it changes something.

        Raises:
            Refusal: 503, as :meth:`read`.
        """
        if is_short and (done := self.write_here(body)) is not None:
            return done[0]
        self._to_write += 1
        try:
            return await self._run(self._writing, body, patience)
        finally:
            self._to_write -= 1

    def write_here(self, body: Callable[[], T]) -> tuple[T] | None:
        """What *body*, which is short, changes in the table, done in this thread; None, and nothing was done, where
        somebody else writes.
        """
        if self._to_write or not self._database.is_at_hand:
            return None
        try:
            with self._database.at_once():
                value = body()
        except DatabaseBusyError:
            return None
        self._untidied += 1
        if self._untidied >= _TIDY_AFTER:
            self._untidied = 0
            self._writing.submit(self._tidy)
        return (value,)

    def _tidy(self) -> None:
        with suppress(ClxError):  # the log stays longer, that is all
            self._database.see_to_log()

    async def _run(self, pool: ThreadPoolExecutor, body: Callable[[], T], patience: float | None) -> T:
        if self._waiting >= _MOST_WAITING:
            raise _busy("Too many calls wait for the job table.")
        patience = self.patience if patience is None else patience
        call = partial(self._in_time, time.monotonic() + patience, body)
        self._waiting += 1
        try:
            async with asyncio.timeout(patience + _GRACE):
                return await asyncio.get_running_loop().run_in_executor(pool, call)
        except TimeoutError:
            raise _busy("The job table does not answer; what was asked for may yet be done.") from None
        finally:
            self._waiting -= 1

    def _in_time(self, ends_at: float, body: Callable[[], T]) -> T:
        """Run *body* unless its time is over; it waits for the locks of others until then."""
        if time.monotonic() > ends_at:
            raise _busy("The job table is busy: nothing was done.")
        with self._database.waiting_until(lambda: time.monotonic() > ends_at):
            return body()

    def close(self) -> None:
        """Take no more calls; those that run end by themselves."""
        for pool in (self._reading, self._writing):
            pool.shutdown(wait=False, cancel_futures=True)


def _busy(fact: str) -> Refusal:
    return Refusal(503, fact, f"Try again in {RETRY_AFTER} s.", retry_after=str(RETRY_AFTER))
