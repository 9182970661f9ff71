"""The one entry point of every worker, in a subprocess and in a container alike.

``python -m clx.workers TYPE --db PATH`` registers itself, serves, and deregisters.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import sys
from pathlib import Path

import msgspec

from clx import __version__
from clx.db.database import Database
from clx.db.workers import WorkerTable
from clx.errors import EXIT_DONE, ClxError
from clx.settings.schema import Settings
from clx.workers.identity import process_identity
from clx.workers.kinds import KINDS, pool_name
from clx.workers.loop import Post, Worker

log = logging.getLogger("clx.worker")


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m clx.workers", description=__doc__)
    parser.add_argument("type", choices=sorted(KINDS))
    parser.add_argument("--db", required=True, type=Path, help="the job table")
    parser.add_argument("--pool", help="take this pool's jobs (default: those of this version and these tools)")
    parser.add_argument("--mode", choices=("direct", "docker"), default="direct")
    parser.add_argument("--batch", type=int, help="the batch this worker belongs to")
    parser.add_argument("--service", help="the service this worker belongs to")
    parser.add_argument("--config-source", default="default", help="where its settings came from")
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
    kind = KINDS[arguments.type]
    pool = arguments.pool or pool_name(arguments.mode, kind.fingerprint(settings))
    with Database.open(arguments.db, **database_options(settings)) as database:
        table = WorkerTable(database)
        worker_id = table.register(
            type=kind.name,
            pool=pool,
            mode=arguments.mode,
            host=platform.node(),
            pid=os.getpid(),
            identity=process_identity(),
            version=__version__,
            batch_id=arguments.batch,
            service=arguments.service,
            config_source=arguments.config_source,
        )
        log.info("worker %s started: %s, %s, settings from %s", worker_id, kind.name, pool, arguments.config_source)
        post = Post(worker_id, kind.name, pool, settings.workers.grace_period)
        worker = Worker(database, post, lambda: kind.make_converter(settings), settings.jobs)
        if arguments.lifeline:
            worker.hold(sys.stdin.fileno())
        reason = "it failed"
        try:
            reason = worker.run()
        finally:
            table.end(worker_id, reason)
            log.info("worker %s ends: %s", worker_id, reason)
    return EXIT_DONE


def database_options(settings: Settings) -> dict[str, object]:
    """How *settings* say the database is opened."""
    mode = "wal" if settings.database.journal_mode == "auto" else settings.database.journal_mode
    return {"journal_mode": mode, "busy_timeout": settings.database.busy_timeout}


if __name__ == "__main__":
    try:
        code = serve()
    except ClxError as failure:
        print(failure, file=sys.stderr)  # noqa: T201
        code = failure.exit_code
    sys.exit(code)
