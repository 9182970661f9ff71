"""``clx workers list|cleanup|stop|logs``."""

from __future__ import annotations

import contextlib
import json
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clx.cli import completing
from clx.cli.options import IDENTIFIER, SECONDS, about_database, verbose_option
from clx.cli.output import (
    Output,
    duration,
    format_choice,
    format_option,
    job_words,
    member_document,
    print_json,
    table,
)  # fmt: skip
from clx.cli.project import Here
from clx.cli.terminal import echo
from clx.commands import database_name, on_database
from clx.errors import DatabaseError
from clx.visible import visible_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clx.workers.supervision.status import WorkerStatus

_LOOK = 0.2
_LAST_WORDS = 2.0  # seconds that the line which tells of a worker's end may come after its row does


@click.group("workers")
def command() -> None:
    """The workers of a database: who is there, how they are, and how to be rid of them.

    \b
    Examples:
      clx workers list
      clx workers list --all --format json
      clx workers cleanup --dry-run
      clx workers stop 7
      clx workers logs 7 -f
    """


@command.command("list")
@click.option("--all", "everybody", is_flag=True, help="Also those that have ended.")
@about_database
@format_option
@verbose_option()
def list_workers(here: Here, everybody: bool) -> Output:
    """Every registered worker and how it is.

    It is idle, busy, hung (alive but silent, or over its job's time) or dead (gone). Workers on a database of a server
    may be on several machines: each names its own.

    \b
    Examples:
      clx workers list
      clx workers list --db-path /data/clx_jobs.db --format json
    """
    from clx.workers.supervision.status import worker_statuses

    database = here.look()
    members: list[WorkerStatus] = []
    if database is not None:
        with database:
            members = worker_statuses(database, here.resolved.settings.jobs, everybody=everybody)
    elsewhere = here.services_elsewhere()
    document = {
        "database": database_name(here.path),
        "workers": [member_document(member) for member in members],
        "services_elsewhere": [str(each) for each in elsewhere],
    }
    nobody = here.nobody if database is None else f"No workers are registered in {database_name(here.path)}."
    others = (f"Services also run on another database: {on_database('clx workers list', each)}" for each in elsewhere)
    return Output(document, [_table(members) if members else nobody, *others])


def _table(members: list[WorkerStatus]) -> str:
    headings = ["ID", "TYPE", "STATUS", "MODE", "VERSION", "JOBS", "FAILED", "UPTIME", "MEMORY", "KEPT BY", "NOW"]
    machines = any(member.row.elsewhere_too for member in members)
    headings[3:3] = ["MACHINE"] if machines else []
    rows = []
    for member in members:
        row, job = member.row, member.job
        odd = f"odd row: {'; '.join(row.odd)}" if row.odd else ""
        doing = odd or member.reason or (f"job {job.id}: {job_words(job.payload)}" if job is not None else "")
        memory = "–" if member.memory is None else f"{member.memory >> 20} MiB"
        unknown = "Compose or a program" if row.mode == "docker" else "a program"
        keeper = "services" if row.service else f"build {row.batch_id}" if row.batch_id else unknown
        numbers = (str(row.jobs_succeeded + row.jobs_failed), str(row.jobs_failed), duration(member.uptime), memory)
        machine = (f"{row.host} (here)" if member.is_here else row.host,) if machines else ()
        known = (str(row.id), row.type, member.status, *machine, row.mode, row.version or "–")
        rows.append((*known, *numbers, keeper, doing))
    return table(headings, rows)


@command.command("cleanup")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@about_database
@format_option
@verbose_option()
def cleanup_workers(here: Here, dry_run: bool) -> Output:
    """Strike off dead workers and end what is left of them.

    Orphan processes and containers of this database are ended, too. Only what CLX started for this database is
    touched, and nothing that a build or services still keep.

    \b
    Examples:
      clx workers cleanup --dry-run
      clx workers cleanup
    """
    from clx.workers.supervision.cleanup import cleanup, cleanup_of_missing

    path, settings = here.path, here.resolved.settings
    try:
        database = here.change()
    except DatabaseError:
        found = [] if path.exists() else cleanup_of_missing(path, settings, dry_run=dry_run)
        if not found:
            raise
    else:
        if database is None:
            found = cleanup_of_missing(path, settings, dry_run=dry_run)
        else:
            with database:
                found = cleanup(database, settings, dry_run=dry_run)
    cleaned = [{"kind": each.kind, "name": each.name, "what": each.what} for each in found]
    lines = [f"{'Would clean up ' if dry_run else ''}{each.kind} {each.name}: {each.what}" for each in found]
    nothing = f"Nothing to clean up.{'' if found or database else f' {here.nobody}'}"
    return Output({"dry_run": dry_run, "cleaned": cleaned}, lines or [nothing])


@command.command("stop")
@click.argument(
    "worker_ids",
    metavar="ID...",
    nargs=-1,
    type=IDENTIFIER,
    required=True,
    shell_complete=completing.worker_ids(live=True),
)
@click.option("--timeout", type=SECONDS, metavar="S", help="Seconds it has to finish its job.")
@about_database
@format_choice
@verbose_option()
def stop_workers(here: Here, worker_ids: tuple[int, ...], timeout: float | None, format_: str) -> None:
    """Stop single workers.

    A service worker that is stopped this way is not replaced. A job that is not finished within the timeout (default:
    workers.grace_period) is handed back.

    \b
    Examples:
      clx workers stop 7
      clx workers stop 7 8 --timeout 60
      clx workers stop 7 --format json
    """
    from clx.db.workers import WorkerTable
    from clx.workers.supervision.cleanup import stop_worker

    settings = here.resolved.settings
    grace = settings.workers.grace_period if timeout is None else timeout
    database = here.change()
    if database is None:
        raise here.unknown(f"worker #{worker_ids[0]}")
    with database:
        workers = WorkerTable(database)
        rows = [(worker_id, workers.get(worker_id)) for worker_id in worker_ids]
        for worker_id, row in rows:
            if row is None:
                raise here.unknown(f"worker #{worker_id}", "clx workers list --all")
        stopped: list[dict[str, Any]] = []
        for worker_id, row in rows:
            assert row is not None
            ended = row.ended_at is None and stop_worker(row, workers, settings, grace=grace, reason="clx workers stop")
            stopped.append({"id": worker_id, "stopped": ended})
            if format_ == "table":
                echo(f"Worker #{worker_id} {'stopped' if ended else 'had ended already'}.")
    if format_ == "json":
        print_json({"workers": stopped})


@command.command("logs")
@click.argument("worker_id", metavar="ID", type=IDENTIFIER, shell_complete=completing.worker_ids(live=False))
@click.option("-f", "--follow", is_flag=True, help="Go on until the worker ends, or Ctrl-C.")
@about_database
@format_choice
@verbose_option()
def show_logs(here: Here, worker_id: int, follow: bool, format_: str) -> None:
    """What one worker logged and its process printed.

    \b
    Examples:
      clx workers logs 7
      clx workers logs 7 -f
      clx workers logs 7 --format json
    """
    from clx.db.workers import WorkerTable
    from clx.workers.logs import entries_of, log_folders, log_path

    database = here.look()
    if database is None:
        raise here.unknown(f"worker #{worker_id}")
    with database:
        workers = WorkerTable(database)
        row = workers.get(worker_id)
        if row is None:
            raise here.unknown(f"worker #{worker_id}", "clx workers list --all")
        seen = {folder: _size(log_path(folder)) for folder in log_folders(database)}  # what comes later is followed
        over, found = False, 0
        for entry in entries_of(database, seen if follow else {}, worker=worker_id, since=row.started_at / 1000):
            _print_entry(entry, format_)
            over, found = over or _is_last(entry), found + 1
        if format_ == "table":
            found += bool(_print_output(workers, worker_id))
        if not found:
            echo(_nothing_of(worker_id, log_path(database.state.path)), err=True)
        if follow:
            for entry in () if over else _following(workers, worker_id, seen):
                _print_entry(entry, format_)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _nothing_of(worker_id: int, path: Path) -> str:
    if not path.exists():
        return f"There is no log of worker #{worker_id} any more: {path} was removed."
    return f"{path} says nothing of worker #{worker_id}: it was removed since, or logging.level leaves it out."


def _print_entry(entry: dict[str, Any], format_: str) -> None:
    if format_ == "json":
        echo(json.dumps(entry))
        return
    at = datetime.fromtimestamp(entry["at"]).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    echo(f"{at} {entry['level'].upper():<7} {visible_line(entry['message'])}")
    for key in ("stderr", "traceback"):
        if entry.get(key):
            echo("\n".join(f"    {line}" for line in str(entry[key]).splitlines()))


def _print_output(workers: Any, worker_id: int) -> bool:
    """The raw output of the process, as long as there is a file of it; whether there was any."""
    from clx.workers.executors.foreign_worker import log_of

    path, said = log_of(worker_id, workers), ""
    with contextlib.suppress(OSError):  # removed as soon as the worker has ended well
        said = path.read_text(encoding="utf-8", errors="replace").rstrip() if path.name else ""
    if said:
        echo(f"Output of its process ({path}):")
        echo(said)
    return bool(said)


def _following(workers: Any, worker_id: int, seen: Mapping[Path, int]) -> Iterator[dict[str, Any]]:
    """New entries, from the byte of each log on that was *seen*, until the worker has ended.

    Its row says so before its log does.
    """
    from clx.workers.logs import log_path, matching, open_log

    over, gives_up_at = False, float("inf")
    with contextlib.ExitStack() as stack:
        streams: dict[Path, Any] = {}
        while not over and time.monotonic() < gives_up_at:
            if gives_up_at == float("inf") and not _lives(workers, worker_id):
                gives_up_at = time.monotonic() + _LAST_WORDS
            for folder, start in seen.items():
                if folder not in streams and (stream := open_log(log_path(folder))) is not None:
                    streams[folder] = stack.enter_context(stream)
                    stream.seek(start)
            for entry in (entry for stream in streams.values() for entry in matching(stream, worker_id)):
                yield entry
                over = over or _is_last(entry)
            time.sleep(0 if over else _LOOK)


def _is_last(entry: dict[str, Any]) -> bool:
    """Whether it tells of the end of its worker."""
    return entry.get("action") in {"worker_stopped", "worker_dead"}


def _lives(workers: Any, worker_id: int) -> bool:
    row = workers.get(worker_id)
    return row is not None and row.ended_at is None
