"""What a server does for its table while nobody else may be there: it looks after schedules and dead workers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from clx.db.jobs import Queue
from clx.db.workers import WorkerTable
from clx.errors import OddRowError
from clx.workers.liveness import judge, mark_dead

log = logging.getLogger("clx.server")

RESTED = 60.0
"""Seconds for which a work that has ended is left to clients that audit and move works themselves."""
MAINTAINED_EVERY = 10.0
"""Seconds between two looks for such works."""


class Sweep:
    """One server's looks at its table; each after a pause in which those who watch workers say how these ended.

    Args:
        maintains: whether works that failed are tried again, and moved on when they have ended, though nobody asks.
    """

    def __init__(self, queue: Queue, *, maintains: bool = False) -> None:
        self._queue = queue
        self._maintains = maintains
        self._maintained_at = -1e9
        self._gone: set[int] = set()
        self._told: set[str] = set()

    def look(self) -> None:
        """Fire what is due, strike off workers of this machine that are gone, give on the jobs of the silent.

        Raises:
            DatabaseError: the table cannot be used.
        """
        steps: tuple[Callable[[], object], ...] = (
            self._queue.schedules.fire_due, self._strike_off, self._queue.rescue, self._maintain,
        )  # fmt: skip
        for step in steps:
            try:
                step()
            except OddRowError as error:  # a row of another program stops nothing else
                if error.fact not in self._told:
                    self._told.add(error.fact)
                    log.warning("%s", error.fact)

    def _maintain(self) -> None:
        """Have works that failed wait again, and move on what has ended, once clients have had time to do so."""
        now = time.monotonic()
        if self._maintains and now - self._maintained_at >= MAINTAINED_EVERY:
            self._maintained_at = now
            self._queue.works.audit("failed", rested=RESTED)
            self._queue.works.move_on(rested=RESTED)

    def _strike_off(self) -> None:
        database = self._queue.database
        now = database.clock.now()
        rows = [row for row in WorkerTable(database).list() if row.is_gone()]
        lasting = [(row, judge(row, now, None)) for row in rows if row.id in self._gone]
        self._gone = {row.id for row in rows}
        for id_ in mark_dead(database, lasting):
            log.warning("worker %s is gone; its jobs were given to others", id_, extra={"action": "worker_dead"})
