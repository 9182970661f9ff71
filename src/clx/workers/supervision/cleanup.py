"""``clx workers cleanup`` and ``clx workers stop``: marking the dead, ending orphans, ending one worker."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from clx.db.batches import BatchTable
from clx.db.database import Database
from clx.db.identity import is_gone
from clx.db.jobs import Queue
from clx.db.workers import WorkerRow, WorkerTable
from clx.errors import UsageError
from clx.settings.schema import Settings
from clx.workers.executors.docker.containers import container_states, mark_ended, remove_of_missing, remove_orphans
from clx.workers.executors.start import attach
from clx.workers.liveness import judge, mark_lost
from clx.workers.process.directories import remove_work
from clx.workers.processes import foreign_owner, lives, may_be_ended
from clx.workers.supervision.service_state import unkept_workers
from clx.workers.supervision.worker_group import HAND_BACK

log = logging.getLogger("clx.workers")


@dataclass(frozen=True, slots=True)
class Cleaned:
    """One thing that was cleaned up, or would be."""

    kind: str
    """``worker``, ``process`` or ``container``."""
    name: str
    """Which: the worker's id, the pid or the container's id."""
    what: str
    """What was wrong and what is done."""


def cleanup(database: Database, settings: Settings, *, dry_run: bool) -> list[Cleaned]:
    """Mark the dead, end orphans: only workers of this database, and never one that somebody keeps.

    An orphan is a worker whose build is over, or whose row has ended while its process lives on, or that was
    started as a service and is unknown to any supervisor and state file.
    """
    table, found, hung = WorkerTable(database), [], set()
    rows = table.list()
    containers = container_states(database, rows)
    for row in rows:
        status, reason, *_ = judge(row, database.clock.now(), settings.jobs, containers=containers)
        if status == "dead":
            found.append(Cleaned("worker", str(row.id), f"{row.type}: {reason}; struck off"))
        elif status == "hung":
            hung.add(row.id)
    if not dry_run:
        mark_lost(database, settings.jobs, spare=hung)
        mark_ended(database, settings.jobs)
    kept = unkept_workers(database)
    found += [_end_orphan(row, settings, table, dry_run=dry_run) for row in [*orphans(database), *kept]]
    names = remove_orphans(database, settings, dry_run=dry_run)
    return found + [Cleaned("container", name, "nobody keeps it; removed") for name in names]


def orphans(database: Database) -> list[WorkerRow]:
    """Living processes of this user here that nobody keeps: their build is over, or their row has ended."""
    live_batches = {batch.id for batch in BatchTable(database).live() if not is_gone(batch.identity)}
    return [
        row
        for row in WorkerTable(database).list(live=False)
        if row.mode == "direct"
        and lives(row.identity)
        and not foreign_owner(row.identity)
        and may_be_ended(row.identity, database.path)
        and (row.ended_at is not None or (row.batch_id is not None and row.batch_id not in live_batches))
    ]


def _end_orphan(row: WorkerRow, settings: Settings, table: WorkerTable, *, dry_run: bool) -> Cleaned:
    if row.ended_at is not None:
        why = "its row has ended"
    elif row.batch_id is not None:
        why = f"its build (batch {row.batch_id}) is over"
    else:
        why = "the supervisor of its services is gone, and the state file"
    if not dry_run:
        stop_worker(row, table, settings, grace=1.0, reason="clx workers cleanup")
    kind, name = ("container", (row.container_id or "")[:12]) if row.mode == "docker" else ("process", str(row.pid))
    return Cleaned(kind, name, f"{row.type} worker #{row.id}: {why}; ended")


def cleanup_of_missing(path: Path, settings: Settings, *, dry_run: bool) -> list[Cleaned]:
    """Remove the containers that served the database *path*, which is not there any more."""
    names = remove_of_missing(path, settings, dry_run=dry_run)
    return [Cleaned("container", name, "its database is gone; removed") for name in names]


def stop_worker(row: WorkerRow, table: WorkerTable, settings: Settings, *, grace: float, reason: str) -> bool:
    """End one worker: asked to finish within *grace* seconds, then its job is handed back, then killed.

    Returns:
        False when it had ended already.

    Raises:
        UsageError: it is another user's.
    """
    if owner := foreign_owner(row.identity):
        raise UsageError(f"Worker #{row.id} runs as {owner}; only that user can stop it.", f"Type it as {owner}.")
    alive = table.request_stop(row.id, reason, grace=grace)
    worker = attach(row, table, settings)
    try:
        alive = worker.is_alive() or alive
        worker.terminate()
        if not worker.wait(grace + HAND_BACK):
            worker.kill()
            worker.wait(5.0)
    finally:
        worker.close()
    queue = Queue(table.database)
    queue.release_worker(row.id)
    remove_work(table.database, row.id)
    table.end(row.id, reason)
    return alive
