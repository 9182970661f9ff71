"""Who holds the works that clients have withdrawn which tell nothing until they are done: nobody whose end is seen.

It is a worker of the table whom nobody takes for dead: each of its works is held by its lease alone. So servers may be
started anew, or be several, and what their clients do goes on.
"""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable
from typing import TypeVar

from clx import __version__
from clx.db.identity import BY_LEASE
from clx.db.jobs import Queue
from clx.db.workers import WorkerTable
from clx.errors import LostWorkerError

T = TypeVar("T")
TYPE = "workflow-clients"
"""The type that it has in the table."""


class Holder:
    """The holder of one table, entered when something is withdrawn at first.

    Args:
        queue: the jobs.
    """

    def __init__(self, queue: Queue) -> None:
        self._table = WorkerTable(queue.database)
        self._lock = threading.Lock()
        self._id: int | None = None

    def with_id(self, body: Callable[[int], T]) -> T:
        """What *body* does for it; once more, by another one, where somebody has struck it off."""
        try:
            return body(self._known(None))
        except LostWorkerError as error:
            return body(self._known(error))

    def _known(self, lost: Exception | None) -> int:
        with self._lock:
            if self._id is None or lost is not None:
                there = [row.id for row in self._table.list() if (row.type, row.identity) == (TYPE, BY_LEASE)]
                stopping = [self._id] if lost is not None else []
                free = [id_ for id_ in there if id_ not in stopping]
                self._id = free[0] if free else self._enter()
            return self._id

    def _enter(self) -> int:
        return self._table.register(
            type=TYPE, pool="", mode="direct", host=platform.node(), pid=0, identity=BY_LEASE, version=__version__
        )
