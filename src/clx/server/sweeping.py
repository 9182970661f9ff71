"""What a server does for its table while nobody else may be there: it looks after schedules and dead workers."""

from __future__ import annotations

import logging
from collections.abc import Callable

from clx.db.jobs import Queue
from clx.db.workers import WorkerTable
from clx.errors import OddRowError
from clx.workers.liveness import judge, mark_dead

log = logging.getLogger("clx.server")


class Sweep:
    """One server's looks at its table; each after a pause in which those who watch workers say how these ended."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._gone: set[int] = set()
        self._told: set[str] = set()

    def look(self) -> None:
        """Fire what is due, strike off workers of this machine that are gone, give on the jobs of the silent.

        Raises:
            DatabaseError: the table cannot be used.
        """
        steps: tuple[Callable[[], object], ...] = (
            self._queue.schedules.fire_due, self._strike_off, self._queue.rescue,
        )  # fmt: skip
        for step in steps:
            try:
                step()
            except OddRowError as error:  # a row of another program stops nothing else
                if error.fact not in self._told:
                    self._told.add(error.fact)
                    log.warning("%s", error.fact)

    def _strike_off(self) -> None:
        database = self._queue.database
        now = database.clock.now()
        rows = [row for row in WorkerTable(database).list() if row.is_gone()]
        lasting = [(row, judge(row, now, None)) for row in rows if row.id in self._gone]
        self._gone = {row.id for row in rows}
        for id_ in mark_dead(database, lasting):
            log.warning("worker %s is gone; its jobs were given to others", id_, extra={"action": "worker_dead"})
