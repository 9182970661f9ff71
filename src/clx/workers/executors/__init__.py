"""How a worker is brought to life: as a subprocess, or as a container. The rest of CLX does not care which."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from clx.db.workers import WorkerRow, WorkerTable
from clx.workers.executors.base import Handle, Spawn


def start(spawn: Spawn, state_dir: Path, *, number: int) -> Handle:
    """Start one worker the way ``spawn.mode`` says.

    Args:
        number: tells apart the logs of workers that one process starts.

    Raises:
        StartupError: it cannot be started at all.
    """
    if spawn.mode == "docker":
        started: Handle = import_module("clx.workers.executors.docker").start(spawn, state_dir, number=number)
        return started
    from clx.workers.executors import direct

    return direct.start(spawn, state_dir, number=number)


def adopt(row: WorkerRow, spawn: Spawn, table: WorkerTable, *, silent_after: float) -> Handle:
    """A handle on a living worker that another process started.

    Args:
        silent_after: seconds without a heartbeat after which one that cannot be seen counts as ended.
    """
    if spawn.mode == "docker":
        adopted: Handle = import_module("clx.workers.executors.docker").adopt(row, spawn, table)
        return adopted
    from clx.workers.executors.adopted import AdoptedWorker

    return AdoptedWorker(row, spawn, table, silent_after)
