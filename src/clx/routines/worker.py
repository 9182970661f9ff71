"""The entry point of workers for routines: ``python -m clx.routines.worker KIND --db PATH --settings JSON``.

KIND is ``python``, one that runs tasks, or ``workflow``, a host of workflows. Which routines there are the modules say
that ``python.modules`` names: they are imported once, their routines are registered, and nothing else is claimed.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import Any

import msgspec

from clx.artifacts.store import ArtifactStore
from clx.db.apart import state_directory
from clx.db.database import Database
from clx.db.jobs import Queue
from clx.db.workers import WorkerTable, register_this_process
from clx.errors import EXIT_DONE, ClxError, WorkerStartupError
from clx.platforms import offspring, system
from clx.platforms.container import IMAGE_VARIABLE, own_container_id
from clx.remote.stores import open_store, own_token
from clx.settings.schema import ROUTINE_WORKERS, Settings
from clx.workers.container_env import MACHINE_VARIABLE, database_inside
from clx.workers.functions import end_with_starter
from clx.workers.logs import logged
from clx.workers.platforms import database_options, with_journal_mode
from clx.workers.pools import artifacts_pool
from clx.workers.process.watchdog import deregister

log = logging.getLogger("clx.worker")

_NO_TASK = "task:"
"""A job type that there is none of, for a worker whose modules have no task."""


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m clx.routines.worker", description=__doc__)
    parser.add_argument("type", choices=ROUTINE_WORKERS)
    database = database_inside()
    parser.add_argument("--db", required=database is None, default=database, type=Path, help="the job table")
    parser.add_argument("--pool", help="take this pool's jobs (default: those whose artifacts are found here)")
    parser.add_argument("--mode", choices=("direct", "docker"), default="direct")
    parser.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--service", help="the service this worker belongs to")
    parser.add_argument("--config-source", default="default", help="where its settings came from")
    parser.add_argument("--log", help="name of the file in the log directory that takes its output")
    parser.add_argument("--settings", required=True, help="resolved settings as JSON")
    parser.add_argument("--lifeline", action="store_true", help="end when standard input reaches its end")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Be one worker; returns its exit code."""
    arguments = _arguments(argv)
    settings = msgspec.json.decode(arguments.settings, type=Settings)
    logging.basicConfig(
        level=settings.logging.level.upper(), format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    if not offspring.CAN_FORK:
        raise WorkerStartupError("Workers of tasks need Linux or macOS.", "Use WSL on Windows.")
    if arguments.lifeline:
        end_with_starter()
    contained = arguments.mode == "docker"
    settings = with_journal_mode(settings, arguments.db, containers=contained, keep=contained)
    with Database.open(arguments.db, **database_options(settings)) as database:
        token = own_token(settings.artifacts)
        store = open_store(database.state.shared / "artifacts", settings.artifacts, token=token)
        pool = artifacts_pool(arguments.db, settings) if arguments.pool is None else arguments.pool
        serve = _serve_tasks if arguments.type == "python" else _serve_workflows
        serve(database, settings, store, pool, _row(arguments), token)
    return EXIT_DONE


def _row(arguments: argparse.Namespace) -> dict[str, Any]:
    """What its row in the table is to say besides what it takes."""
    found = {
        "mode": arguments.mode, "service": arguments.service, "config_source": arguments.config_source,
        "log": arguments.log,
    }  # fmt: skip
    if arguments.mode == "docker":
        found |= {"container_id": own_container_id(), "image": os.environ.get(IMAGE_VARIABLE)}
        if MACHINE_VARIABLE in os.environ:
            found["host"] = os.environ[MACHINE_VARIABLE]
    return found


def _serve_tasks(
    database: Database, settings: Settings, store: ArtifactStore, pool: str, row: dict[str, Any], token: str
) -> None:
    from clx.routines.tasks.parent import TaskWorker
    from clx.routines.tasks.process import TaskProcess

    process = TaskProcess(
        _spec(database, settings, store, token), database.state.path, settings.workers.startup_timeout
    )
    try:
        system.hold_back_signals(hold=True)  # from its row on it ends in order; it lets them through when it serves
        worker = TaskWorker(
            Queue(database), process.ids or [_NO_TASK], settings, store, pool=pool, row=row | {"routines": process.ids}
        )
        with logged(database.state.path, settings.logging.level, worker=worker.worker, type="python"):
            log.info(
                "worker %s started: %s task(s), %s, settings from %s",
                *(worker.worker, len(process.ids), process.way, row["config_source"]),
                extra={"action": "worker_started", "routines": process.ids, "config_source": row["config_source"]},
            )
            done = worker.serve(process)
            log.info(
                "worker %s ended after %s jobs", worker.worker, done, extra={"action": "worker_stopped", "jobs": done}
            )
    finally:
        process.close()


def _spec(database: Database, settings: Settings, store: ArtifactStore, token: str) -> dict[str, Any]:
    """What the processes that run tasks are told; by a socket, where nobody else reads it."""
    python = settings.python
    return {
        "modules": python.modules, "path": python.path, "pools": python.pools, "start": python.start,
        "recycle": python.recycle_mb << 20,
        "directory": str(directory(database.path, settings)), "level": settings.logging.level.upper(),
        "store": str(store.root), "artifacts": msgspec.to_builtins(settings.artifacts), "token": token,
    }  # fmt: skip


def directory(database: Path, settings: Settings) -> Path:
    """The current directory of tasks: the project's, as far as it can be told."""
    state = state_directory(database)
    for each in (*([state.parent] if state.name == ".clx" else []), *map(Path, settings.python.path), state):
        if each.is_dir():
            return each
    return Path.cwd()


def _serve_workflows(
    database: Database, settings: Settings, store: ArtifactStore, pool: str, row: dict[str, Any], _token: str
) -> None:
    from clx.routines.announcing import announce
    from clx.routines.host import Host
    from clx.routines.registry import load
    from clx.routines.sources import note_sources

    routines = load(settings.python.modules, settings.python.path)
    note_sources(routines.values())
    ids = sorted(id_ for id_, each in routines.items() if not each.is_task)
    os.chdir(directory(database.path, settings))
    announce(Queue(database), routines.values(), pool)
    worker = register_this_process(database, "workflow", pool, **row, routines=ids)
    with logged(database.state.path, settings.logging.level, worker=worker, type="workflow"):
        log.info(
            "worker %s started: %s workflow(s), settings from %s", worker, len(ids), row["config_source"],
            extra={"action": "worker_started", "routines": ids, "config_source": row["config_source"]},
        )  # fmt: skip
        reason, lease = "it failed", int(settings.jobs.lease * 1000)
        try:
            concurrency = settings.workers.workflow.concurrency
            host = Host(Queue(database), worker, routines, pool, store, concurrency=concurrency, lease=lease)
            reason = host.run()
        finally:
            deregister(WorkerTable(database), worker, reason)


if __name__ == "__main__":
    try:
        code = main()
    except ClxError as failure:
        print(f"Error: {failure}", file=sys.stderr)  # noqa: T201
        code = failure.exit_code
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)
