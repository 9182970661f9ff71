"""Marking workers dead: their rows end, and their jobs go to others at once instead of when their leases end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clx.db.database import Database
from clx.db.doorbell import ENDED
from clx.db.jobs import Queue
from clx.db.transaction import Transaction
from clx.db.workers import WorkerRow, WorkerTable, end_worker


def mark_worker_dead(
    database: Database, worker_id: int, cause: Mapping[str, Any], reason: str, *, heard: int | None = None
) -> bool:
    """Mark a worker dead that is known to be gone, and rescue its jobs.

    Args:
        cause: what their runs are recorded with, as :meth:`~clx.db.jobs.Queue.rescue_worker` takes it.
        reason: the same in words.
        heard: for one that is only silent: when it was last heard of. If it has spoken up since, because it waited for
            the same lock, nothing is done.

    Returns:
        Whether it was marked.
    """

    marked = False

    def is_lost(tx: Transaction) -> bool:
        nonlocal marked
        found = tx.execute(tx.sql.worker_to_end, (worker_id,)).fetchone()
        # what is no number another program wrote: nobody has spoken up
        marked = heard is None or found is None or not isinstance(found[0], int) or found[0] <= heard
        return marked

    def end(tx: Transaction) -> None:
        end_worker(tx, worker_id, reason, dead=True)
        tx.bells.add(ENDED)

    Queue(database).rescue_worker(worker_id, cause, is_lost=is_lost, end=end)
    return marked


def mark_gone_workers_dead(database: Database) -> list[WorkerRow]:
    """Mark dead the workers of this machine whose process has ended and whom nobody else watches; returns them.

    Workers of builds and services are left to these: they know how their workers ended.
    """
    unwatched = [row for row in WorkerTable(database).list() if row.batch_id is None and row.service is None]
    gone = [row for row in unwatched if row.is_gone()]
    for row in gone:
        mark_worker_dead(database, row.id, {"kind": "gone"}, "its process is gone")
    return gone
