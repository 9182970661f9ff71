"""How a worker is brought to life: as a subprocess, or as a container. The rest of CLX does not care which."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from clx.db.apart import state_directory
from clx.db.sqlite.database import Database
from clx.db.workers import WorkerRow, WorkerTable
from clx.errors import StartupError
from clx.settings.schema import Settings
from clx.workers.executors.worker_process import Spawn, WorkerProcess
from clx.workers.process.limits import not_started

T = TypeVar("T")

log = logging.getLogger("clx.workers")

_QUICK = 2.0  # seconds for an answer of an engine that may have nothing to do with what is asked


def start(spawn: Spawn, state_dir: Path, *, number: int) -> WorkerProcess:
    """Start one worker the way ``spawn.mode`` says.

    Args:
        number: tells apart the logs of workers that one process starts.

    Raises:
        StartupError: it cannot be started at all.
    """
    try:
        started: WorkerProcess = _executor(spawn.mode).start(spawn, state_dir, number=number)
    except OSError as error:
        raise not_started(error, f"{spawn.type} worker") from error
    return started


def _executor(mode: str) -> Any:
    """The module that starts workers of that mode; a build in direct mode imports no SDK."""
    return import_module(f"clx.workers.executors.{'docker.worker' if mode == 'docker' else 'direct'}")


def remove_leftovers(database: Path) -> list[str]:
    """Remove containers that builds left on *database* whose process and reaper were both killed.

    Costs one look into a directory when there is nothing to do; an engine that does not answer is left alone.

    Returns:
        The names of the containers that were removed.
    """
    if not any((state_directory(database) / "containers").glob("*.json")):
        return []
    from clx.workers.executors.docker.reaper import sweep_abandoned

    left = "containers of an ended build may be left"
    return _asked(lambda: sweep_abandoned(database), [], left, logging.WARNING)


def remove_orphans(database: Database, settings: Settings, *, dry_run: bool = False) -> list[str]:
    """Remove the containers of *database* that nobody keeps: of ended builds, of services whose worker has ended.

    Costs one look into a directory where there never was a container; an engine that does not answer is left alone.

    Args:
        dry_run: only look.

    Returns:
        The names of the containers that were removed, or would be.
    """
    if not (database.state_dir / "containers").is_dir():
        return []
    from clx.workers.executors.docker.containers import remove_orphans as remove

    return _asked(lambda: remove(database, settings, dry_run=dry_run), [], "containers may be left", logging.WARNING)


def remove_of_missing(path: Path, settings: Settings, *, dry_run: bool = False) -> list[str]:
    """Remove the containers of services that once served the database *path*, which is not there any more.

    Nothing where there is no engine: most machines have none, and nothing says that there were containers.

    Args:
        dry_run: only look.

    Returns:
        The names of the containers that were removed, or would be.
    """
    from clx.workers.executors.docker.containers import remove_services as remove

    return _asked(lambda: remove(path, settings, dry_run=dry_run, timeout=_QUICK), [], "containers were not looked for")


def container_states() -> tuple[str, Mapping[str, str]] | None:
    """Which engine it is, and the state of every container it has, by id; None when it does not answer at once."""
    from clx.workers.executors.docker.containers import container_states as states

    return _asked(lambda: states(_QUICK), None, "containers were not looked at")


def _asked(ask: Callable[[], T], otherwise: T, told: str, level: int = logging.DEBUG) -> T:
    """What the engine answers; *otherwise*, and *told*, where there is none, or no SDK to ask it with."""
    try:
        return ask()
    except StartupError as error:
        log.log(level, "%s: %s", told, error.fact)
        return otherwise


def let_helpers_go() -> None:
    """End what this process keeps beside its workers, where it has no workers any more."""
    reaper = sys.modules.get("clx.workers.executors.docker.reaper")
    if reaper is not None:
        reaper.dismiss_idle_reapers()


def attach(row: WorkerRow, table: WorkerTable, settings: Settings) -> WorkerProcess:
    """A handle on a living worker that another process started; what it was started with is taken from its row."""
    spawn = Spawn(
        row.type,
        1,
        row.pool,
        "default",
        row.mode,
        row.image,
        settings,
        database=table.database.path,
        service=row.service,
    )
    if spawn.mode == "docker":
        attached: WorkerProcess = _executor(spawn.mode).attach(row, spawn, table)
        return attached
    from clx.workers.executors.foreign_worker import ForeignWorker

    return ForeignWorker(row, spawn, table)
