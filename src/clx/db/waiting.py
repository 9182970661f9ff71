"""Waiting for something to happen to jobs, without polling fast."""

from __future__ import annotations

import selectors
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Self

from clx.db.clock import now_ms
from clx.db.database import Database
from clx.db.lookup import Lookup
from clx.db.transitions import ENDED
from clx.errors import DatabaseBusyError

SLOW_BEAT = 1.0
"""Seconds between two looks at the table when no bell rings."""


def rest(queue: Lookup) -> float:
    """Seconds a worker that found nothing may wait for its bell: until the next delayed job is due, a beat at most."""
    try:
        due = queue.next_due()
    except DatabaseBusyError:
        return SLOW_BEAT
    return SLOW_BEAT if due is None else min(SLOW_BEAT, max(0.001, (due - now_ms()) / 1000))


class Bells:
    """A bell for each of *names*: something to wait on until one of them rings."""

    def __init__(self, database: Database, names: Sequence[str]) -> None:
        self._stack = ExitStack()
        self._bells = [self._stack.enter_context(database.doorbell.listen(name)) for name in names]
        # not select(): that takes no descriptor above 1023
        self._selector = self._stack.enter_context(selectors.DefaultSelector())
        for bell in self._bells:
            if bell.fileno() >= 0:
                self._selector.register(bell, selectors.EVENT_READ)

    def wait(self, seconds: float) -> None:
        """Until a bell rings, or for *seconds*."""
        if self._selector.get_map():
            self._selector.select(max(0.0, seconds))
        else:
            time.sleep(min(seconds, 0.05))  # no bells on this platform: a moderate beat instead

    def silence(self) -> None:
        """Take every ring that has arrived."""
        for bell in self._bells:
            bell.silence()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()


def wait_for_jobs(queue: Lookup, job_ids: Sequence[int], timeout: float | None) -> None:
    """Return when none of *job_ids* is live, or after *timeout* seconds."""
    ends_at = None if timeout is None else time.monotonic() + timeout
    with Bells(queue.database, [ENDED]) as bells:
        live = list(job_ids)
        while True:
            bells.silence()
            started = time.monotonic()
            live = queue.live_among(live)
            queue.database.require_in_place()
            now = time.monotonic()
            if not live or (ends_at is not None and now >= ends_at):
                return
            # looking at many jobs takes a while: rest at least as long before looking again
            looked_for = now - started
            bells.wait(min(SLOW_BEAT, (ends_at or now + SLOW_BEAT) - now))
            if looked_for > 0.005:
                time.sleep(looked_for)
