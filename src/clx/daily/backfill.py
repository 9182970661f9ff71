"""Days of a flow that are put in the queue: a row for each, with the key that a run of that day has anyhow.

Nothing else is kept of it: whoever puts the same days in again finds those that live, and adds the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple

from clx.daily.days import days_of
from clx.daily.registering import workflow_of
from clx.routines.performing import arguments_of, job_of

if TYPE_CHECKING:
    from clx.db.jobs import Queue
    from clx.db.models import NewJob
    from clx.routines.codecs.canonical import Files

LIVE = ("queued", "running")
ONLY = {"failed": ("failed",), "missing": ("", "cancelled"), "partial": ("partial",)}
"""What may be done alone: states of days, of which the empty one is that a day has never run."""


class Entered(NamedTuple):
    """A day that is in the queue.

    Attributes:
        job: the number of its run.
        joined: whether that was there already.
    """

    day: date
    job: int
    joined: bool


def days_between(first: date, last: date) -> list[date]:
    """Every day from the first to the last, both included."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


class Backfill:
    """Days of one flow, oldest first.

    Args:
        only: names of :data:`ONLY`: of days that do not live only those; empty: every day.
        in_order: each day is begun once the one before is done; where that fails, those behind it fail with it.
        at_most: so many of these days run at a time; None: as many as there are places for workflows.

    Attributes:
        left_out: days that *only* leaves out.
    """

    def __init__(
        self,
        queue: Queue,
        flow: str,
        days: Sequence[date],
        *,
        only: Sequence[str] = (),
        in_order: bool = False,
        at_most: int | None = None,
    ) -> None:
        self._queue, self._flow, self._in_order, self._at_most = queue, flow, in_order, at_most
        self._states = {row.day: row.state for row in days_of(queue.database, flow)}
        wanted = {*LIVE, *(state for name in only for state in ONLY[name])} if only else None
        self._days = [day for day in days if wanted is None or self._states.get(day.isoformat(), "") in wanted]
        self.left_out = [day for day in days if day not in self._days]

    def enter(self, files: Files, pool: str) -> Iterator[Entered]:
        """Put the days in, one after the other: whoever is killed over it has put in those before.

        Raises:
            DatabaseError: the table takes none.
        """
        limit = f"backfill:{self._flow}" if self._at_most is not None else None
        if limit is not None:
            self._queue.set_limit(limit, concurrency=self._at_most)
        before: int | None = None
        for day in self._days:
            needs = (before,) if self._in_order and before is not None else ()
            before = self._queue.enqueue(self._job(day, files, pool, needs, limit))
            yield Entered(day, before, self._states.get(day.isoformat()) in LIVE)

    def _job(self, day: date, files: Files, pool: str, needs: tuple[int, ...], limit: str | None) -> NewJob:
        call = workflow_of(self._flow)(day)
        call.close()  # it is not awaited, but entered
        return replace(job_of(call.routine, arguments_of(call, files), pool), needs=needs, limit=limit)
