"""The one entry point of every worker, in a subprocess and in a container alike.

``python -m clx.workers TYPE --db PATH`` registers itself, serves, and deregisters.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec

from clx.artifacts.store import ArtifactStore
from clx.db.database import Database
from clx.db.wait import Bells
from clx.db.workers import WorkerTable, register_this_process
from clx.errors import EXIT_DONE, ClxError
from clx.jobtypes.registry import JOB_TYPES
from clx.platforms import system
from clx.platforms.container import IMAGE_VARIABLE, own_container_id
from clx.remote.stores import open_store, own_token
from clx.settings.schema import Settings
from clx.workers.container_env import MACHINE_VARIABLE, database_inside
from clx.workers.logs import logged
from clx.workers.platforms import database_options, with_journal_mode
from clx.workers.pools import pool_of
from clx.workers.process.await_pool import UNRESOLVED, await_pool
from clx.workers.process.directories import work_directory
from clx.workers.process.loop import Worker
from clx.workers.process.watchdog import Assignment, deregister

log = logging.getLogger("clx.worker")


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m clx.workers", description=__doc__)
    parser.add_argument("type", choices=sorted(JOB_TYPES))
    database = database_inside()
    parser.add_argument("--db", required=database is None, default=database, type=Path, help="the job table")
    parser.add_argument("--pool", help="take this pool's jobs (default: those of this version and these tools)")
    parser.add_argument("--mode", choices=("direct", "docker"), default="direct")
    parser.add_argument("--batch", type=int, help="the batch this worker belongs to")
    parser.add_argument("--service", help="the service this worker belongs to")
    parser.add_argument("--config-source", default="default", help="where its settings came from")
    parser.add_argument("--log", help="name of the file in the log directory that takes its output")
    parser.add_argument("--settings", help="resolved settings as JSON")
    parser.add_argument("--lifeline", action="store_true", help="end when standard input reaches its end")
    return parser.parse_args(argv)


def _settings(text: str | None) -> Settings:
    if text is not None:
        return msgspec.json.decode(text, type=Settings)
    from clx.settings.resolve import resolve

    return resolve(Path.cwd()).settings


def serve(argv: list[str] | None = None) -> int:
    """Run one worker; returns its exit code."""
    arguments = _arguments(argv)
    settings = _settings(arguments.settings)
    logging.basicConfig(
        level=settings.logging.level.upper(), format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    contained = arguments.mode == "docker"
    settings = with_journal_mode(settings, arguments.db, containers=contained, keep=contained)
    with Database.open(arguments.db, **database_options(settings)) as database:
        token = own_token(settings.artifacts)
        store = open_store(database.state.shared / "artifacts", settings.artifacts, token=token)
        pool = arguments.pool or _own_pool(arguments, settings)
        system.hold_back_signals(hold=True)  # from its row on it ends in order; the loop lets them through
        worker_id = _register(database, arguments, pool)
        with logged(database.state.path, settings.logging.level, worker=worker_id, type=arguments.type):
            assignment = _assignment(database, worker_id, pool, arguments, settings)
            if assignment is not None:
                _serve(database, assignment, arguments, settings, store)
    return EXIT_DONE


def _own_pool(arguments: argparse.Namespace, settings: Settings) -> str:
    if arguments.mode == "docker":
        return UNRESOLVED
    return pool_of(arguments.mode, JOB_TYPES[arguments.type].fingerprint(settings), arguments.db, settings)


def _assignment(
    database: Database, worker_id: int, pool: str, arguments: argparse.Namespace, settings: Settings
) -> Assignment | None:
    """Where the worker serves; None when it is told to end before it knows."""
    table, type_ = WorkerTable(database), arguments.type
    if pool == UNRESOLVED:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_DONE))
        system.hold_back_signals(hold=False)
        found = None
        try:
            with Bells(database, [type_]) as bells:
                found = await_pool(table, worker_id, settings.jobs.heartbeat, bells)
        finally:
            if found is None:
                deregister(table, worker_id, "SIGTERM")
        if found is None:
            return None
        pool = found
    batch = arguments.batch if arguments.mode == "docker" else None
    lifeline = sys.stdin.fileno() if arguments.lifeline else None
    return Assignment(worker_id, type_, pool, settings.workers.grace_period, batch, lifeline)


def _register(database: Database, arguments: argparse.Namespace, pool: str) -> int:
    of_container: dict[str, Any] = {"container_id": own_container_id(), "image": os.environ.get(IMAGE_VARIABLE)}
    if MACHINE_VARIABLE in os.environ:
        of_container["host"] = os.environ[MACHINE_VARIABLE]
    return register_this_process(
        *(database, arguments.type, pool, arguments.mode),
        batch_id=arguments.batch,
        service=arguments.service,
        config_source=arguments.config_source,
        log=arguments.log,
        **(of_container if arguments.mode == "docker" else {}),
    )


def _serve(
    database: Database,
    assignment: Assignment,
    arguments: argparse.Namespace,
    settings: Settings,
    store: ArtifactStore,
) -> None:
    log.info(
        "worker %s started: %s, %s, settings from %s",
        *(assignment.worker_id, assignment.type, assignment.pool, arguments.config_source),
        extra={"action": "worker_started", "mode": arguments.mode, "config_source": arguments.config_source},
    )  # fmt: skip
    job_type, scratch = JOB_TYPES[assignment.type], work_directory(database, assignment.worker_id) / "scratch"
    worker = Worker(database, assignment, lambda: job_type.make_converter(settings, scratch), settings.jobs, store)
    reason = "it failed"
    try:
        reason = worker.run()
    finally:
        deregister(WorkerTable(database), assignment.worker_id, reason)


if __name__ == "__main__":
    try:
        code = serve()
    except ClxError as failure:
        print(failure, file=sys.stderr)  # noqa: T201
        code = failure.exit_code
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)  # all is closed: taking libraries and MathJax's engine apart would hold up the end of a build
