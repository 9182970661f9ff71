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
from clx.cli.options import IDENTIFIER, SECONDS, database_option, log_to_terminal, verbose_option
from clx.cli.terminal import echo
from clx.commands import on_database
from clx.visible import visible_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clx.workers.supervision.roster import Member

_LOOK = 0.2
_LAST_WORDS = 2.0  # seconds that the line which tells of a worker's end may come after its row does
_FORMAT = click.option(
    "--format", "format_", type=click.Choice(["table", "json"]), default="table", help="How it is printed."
)


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
@database_option
@_FORMAT
@verbose_option
def list_workers(everybody: bool, db_path: Path | None, format_: str, verbose: bool) -> None:
    """Every registered worker and how it is.

    It is idle, busy, hung (alive but silent, or over its job's time) or dead (gone).

    \b
    Examples:
      clx workers list
      clx workers list --db-path /data/clx_jobs.db --format json
    """
    log_to_terminal(verbose=verbose)
    from clx.cli.output import member_document
    from clx.cli.project import database_path, no_database, open_to_look, services_elsewhere
    from clx.settings.resolve import resolve
    from clx.workers.supervision.roster import roster

    resolved = resolve(Path.cwd())
    path = database_path(resolved, db_path)
    database = open_to_look(resolved, db_path)
    members: list[Member] = []
    if database is not None:
        with database:
            members = roster(database, resolved.settings.jobs, everybody=everybody)
    elsewhere = [str(each) for each in services_elsewhere(path, db_path)]
    if format_ == "json":
        document = {
            "database": str(path),
            "workers": [member_document(member) for member in members],
            "services_elsewhere": elsewhere,
        }
        echo(json.dumps(document, indent=2))
        return
    nobody = no_database(path) if database is None else f"No workers are registered in {path}."
    echo(_table(members) if members else nobody)
    for each in elsewhere:
        echo(f"Services also run on another database: {on_database('clx workers list', each)}")


def _table(members: list[Member]) -> str:
    from clx.cli.output import duration, job_words, print_table

    headings = ("ID", "TYPE", "STATUS", "MODE", "VERSION", "JOBS", "FAILED", "UPTIME", "MEMORY", "KEPT BY", "NOW")
    rows = []
    for member in members:
        row, job = member.row, member.job
        odd = f"odd row: {'; '.join(row.odd)}" if row.odd else ""
        doing = odd or member.reason or (f"job {job.id}: {job_words(job.payload)}" if job is not None else "")
        memory = "–" if member.memory is None else f"{member.memory >> 20} MiB"
        unknown = "Compose or a program" if row.mode == "docker" else "a program"
        keeper = "services" if row.service else f"build {row.batch_id}" if row.batch_id else unknown
        numbers = (str(row.jobs_succeeded + row.jobs_failed), str(row.jobs_failed), duration(member.uptime), memory)
        rows.append((str(row.id), row.type, member.status, row.mode, row.version or "–", *numbers, keeper, doing))
    return print_table(headings, rows)


@command.command("cleanup")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@database_option
@_FORMAT
@verbose_option
def cleanup_workers(dry_run: bool, db_path: Path | None, format_: str, verbose: bool) -> None:
    """Strike off dead workers and end what is left of them.

    Orphan processes and containers of this database are ended, too. Only what CLX started for this database is
    touched, and nothing that a build or services still keep.

    \b
    Examples:
      clx workers cleanup --dry-run
      clx workers cleanup
    """
    log_to_terminal(verbose=verbose)
    from clx.cli.project import database_path, no_database, open_to_change
    from clx.errors import DatabaseError
    from clx.settings.resolve import resolve
    from clx.workers.supervision.roster import cleanup, cleanup_of_missing

    resolved = resolve(Path.cwd())
    path = database_path(resolved, db_path)
    try:
        database = open_to_change(resolved, db_path)
    except DatabaseError:
        found = [] if path.exists() else cleanup_of_missing(path, resolved.settings, dry_run=dry_run)
        if not found:
            raise
    else:
        if database is None:
            found = cleanup_of_missing(path, resolved.settings, dry_run=dry_run)
        else:
            with database:
                found = cleanup(database, resolved.settings, dry_run=dry_run)
    if format_ == "json":
        cleaned = [{"kind": each.kind, "name": each.name, "what": each.what} for each in found]
        echo(json.dumps({"dry_run": dry_run, "cleaned": cleaned}, indent=2))
        return
    for each in found:
        echo(f"{'Would clean up ' if dry_run else ''}{each.kind} {each.name}: {each.what}")
    if not found:
        echo(f"Nothing to clean up.{f' {no_database(path)}' if database is None else ''}")


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
@database_option
@_FORMAT
@verbose_option
def stop_workers(
    worker_ids: tuple[int, ...], timeout: float | None, db_path: Path | None, format_: str, verbose: bool
) -> None:
    """Stop single workers.

    A service worker that is stopped this way is not replaced. A job that is not finished within the timeout (default:
    workers.grace_period) is handed back.

    \b
    Examples:
      clx workers stop 7
      clx workers stop 7 8 --timeout 60
      clx workers stop 7 --format json
    """
    log_to_terminal(verbose=verbose)
    from clx.cli.project import database_path, no_database, open_to_change
    from clx.db.workers import WorkerTable
    from clx.settings.resolve import resolve
    from clx.workers.supervision.roster import stop_worker

    resolved = resolve(Path.cwd())
    grace = resolved.settings.workers.grace_period if timeout is None else timeout
    database = open_to_change(resolved, db_path)
    if database is None:
        raise _unknown(worker_ids[0], no_database(database_path(resolved, db_path)))
    with database:
        table = WorkerTable(database)
        rows = [(worker_id, table.get(worker_id)) for worker_id in worker_ids]
        for worker_id, row in rows:
            if row is None:
                raise _unknown(worker_id)
        stopped: list[dict[str, Any]] = []
        for worker_id, row in rows:
            assert row is not None
            ended = row.ended_at is None and stop_worker(
                row, table, resolved.settings, grace=grace, reason="clx workers stop"
            )
            stopped.append({"id": worker_id, "stopped": ended})
            if format_ == "table":
                echo(f"Worker #{worker_id} {'stopped' if ended else 'had ended already'}.")
    if format_ == "json":
        echo(json.dumps({"workers": stopped}, indent=2))


def _unknown(worker_id: int, why: str = "") -> Exception:
    from clx.cli.project import NAME_IT
    from clx.errors import UsageError

    if why:
        return UsageError(f"There is no worker #{worker_id}. {why}", NAME_IT)
    return UsageError(f"There is no worker #{worker_id}.", "`clx workers list --all` names those there are.")


@command.command("logs")
@click.argument("worker_id", metavar="ID", type=IDENTIFIER, shell_complete=completing.worker_ids(live=False))
@click.option("-f", "--follow", is_flag=True, help="Go on until the worker ends, or Ctrl-C.")
@database_option
@_FORMAT
@verbose_option
def show_logs(worker_id: int, follow: bool, db_path: Path | None, format_: str, verbose: bool) -> None:
    """What one worker logged and its process printed.

    \b
    Examples:
      clx workers logs 7
      clx workers logs 7 -f
      clx workers logs 7 --format json
    """
    log_to_terminal(verbose=verbose)
    from clx.cli.project import database_path, no_database, open_to_look
    from clx.db.workers import WorkerTable
    from clx.settings.resolve import resolve
    from clx.workers.supervision.logs import entries_of, log_folders, log_path

    resolved = resolve(Path.cwd())
    database = open_to_look(resolved, db_path)
    if database is None:
        raise _unknown(worker_id, no_database(database_path(resolved, db_path)))
    with database:
        table = WorkerTable(database)
        row = table.get(worker_id)
        if row is None:
            raise _unknown(worker_id)
        seen = {folder: _size(log_path(folder)) for folder in log_folders(database)}  # what comes later is followed
        over, found = False, 0
        for entry in entries_of(database, seen if follow else {}, worker=worker_id, since=row.started_at / 1000):
            _print_entry(entry, format_)
            over, found = over or _is_last(entry), found + 1
        if format_ == "table":
            found += bool(_print_output(table, worker_id))
        if not found:
            echo(_nothing_of(worker_id, log_path(database.state_dir)), err=True)
        if follow:
            for entry in () if over else _following(table, worker_id, seen):
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


def _print_output(table: Any, worker_id: int) -> bool:
    """The raw output of the process, as long as there is a file of it; whether there was any."""
    from clx.workers.executors.adopted import log_of

    path, said = log_of(worker_id, table), ""
    with contextlib.suppress(OSError):  # removed as soon as the worker has ended well
        said = path.read_text(encoding="utf-8", errors="replace").rstrip() if path.name else ""
    if said:
        echo(f"Output of its process ({path}):")
        echo(said)
    return bool(said)


def _following(table: Any, worker_id: int, seen: Mapping[Path, int]) -> Iterator[dict[str, Any]]:
    """New entries, from that byte of each log on, until the worker has ended; its row says so before its log does.

    Args:
        seen: state directory → bytes of its log.
    """
    from clx.workers.supervision.logs import log_path, matching, open_log

    over, gives_up_at = False, float("inf")
    with contextlib.ExitStack() as stack:
        streams: dict[Path, Any] = {}
        while not over and time.monotonic() < gives_up_at:
            if gives_up_at == float("inf") and not _lives(table, worker_id):
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


def _lives(table: Any, worker_id: int) -> bool:
    row = table.get(worker_id)
    return row is not None and row.ended_at is None
