"""Workers that are gone are struck off, and their jobs given to others at once instead of when their leases end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clx.db.database import Database
from clx.db.jobs import Queue
from clx.db.workers import WorkerRow, WorkerTable


def strike_off(database: Database, worker_id: int, cause: Mapping[str, Any], reason: str) -> None:
    """Strike off a worker that is known to be gone, and rescue its jobs.

    Args:
        cause: what their runs are recorded with, as :meth:`~clx.db.jobs.Queue.rescue_worker` takes it.
        reason: the same in words.
    """
    Queue(database).rescue_worker(worker_id, cause)
    WorkerTable(database).end(worker_id, reason, dead=True)


def strike_off_gone(database: Database) -> list[WorkerRow]:
    """Strike off workers of this machine whose process has ended and whom nobody else watches; returns them.

    Workers of builds and services are left to these: they know how their workers ended.
    """
    unwatched = [row for row in WorkerTable(database).list() if row.batch_id is None and row.service is None]
    gone = [row for row in unwatched if row.is_gone()]
    for row in gone:
        strike_off(database, row.id, {"kind": "gone"}, "its process is gone")
    return gone
