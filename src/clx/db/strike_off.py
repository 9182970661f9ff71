"""Workers that are gone are struck off, and their jobs given to others at once instead of when their leases end."""

from __future__ import annotations

from collections.abc import Callable

from clx.db.database import Database
from clx.db.identity import is_gone
from clx.db.jobs import Queue
from clx.db.workers import WorkerRow, WorkerTable


def strike_off(database: Database, is_lost: Callable[[WorkerRow], bool]) -> list[WorkerRow]:
    """Strike off the live workers that *is_lost* names, and rescue their jobs; returns them."""
    table, queue = WorkerTable(database), Queue(database)
    lost = [row for row in table.list() if is_lost(row)]
    for row in lost:
        queue.rescue_worker(row.id, {"kind": "gone"})
        table.end(row.id, "its process is gone", dead=True)
    return lost


def strike_off_gone(database: Database) -> list[WorkerRow]:
    """Strike off workers of this machine whose process has ended and whom nobody else watches; returns them.

    Workers of builds and services are left to these: they know how their workers ended.
    """
    return strike_off(database, lambda row: row.batch_id is None and row.service is None and is_gone(row.identity))
