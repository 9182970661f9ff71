"""Starting a worker, and getting hold of one that others have started: as its mode says."""

from __future__ import annotations

from pathlib import Path

from clx.db.workers import WorkerRow, WorkerTable
from clx.settings.schema import Settings
from clx.workers.executors import direct
from clx.workers.executors.docker import worker as docker
from clx.workers.executors.foreign_worker import ForeignWorker
from clx.workers.executors.spec import Spawn
from clx.workers.executors.worker_process import WorkerProcess
from clx.workers.process.limits import not_started


def start(spawn: Spawn, state_dir: Path) -> WorkerProcess:
    """Start one worker the way ``spawn.mode`` says.

    Raises:
        StartupError: it cannot be started at all.
    """
    try:
        begin = docker.start if spawn.mode == "docker" else direct.start
        return begin(spawn, state_dir)
    except OSError as error:
        raise not_started(error, f"{spawn.type} worker") from error


def attach(row: WorkerRow, table: WorkerTable, settings: Settings) -> WorkerProcess:
    """A living worker that another process started; what it was started with is taken from its row."""
    spawn = Spawn(
        *(row.type, 1, row.pool, "default", row.mode, row.image, settings),
        database=table.database.path,
        service=row.service,
    )
    return docker.attach(row, spawn, table) if row.mode == "docker" else ForeignWorker(row, spawn, table)
