"""``clx jobs list|show|logs|retry|cancel|pause|resume``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from clx.cli import completing
from clx.cli.job_logs import show_logs
from clx.cli.next_steps import completed
from clx.cli.options import IDENTIFIER, about_database, verbose_option
from clx.cli.output import Output, duration, format_option, job_words, table
from clx.cli.project import Here
from clx.errors import JobExistsError, UsageError
from clx.visible import visible_line

if TYPE_CHECKING:
    from clx.db.database import Database
    from clx.db.jobs import Queue
    from clx.db.models import Job, JobState

_OVER = {
    "succeeded": "was over already: it succeeded",
    "failed": "was over already: it failed",
    "cancelled": "was cancelled already",
}
_STATES = ["queued", "running", "succeeded", "failed", "cancelled"]


@click.group("jobs")
def command() -> None:
    """The jobs of a database: what they are, why they ran, waited or failed; try again; cancel; pause.

    \b
    Examples:
      clx jobs list --state failed
      clx jobs show 42
      clx jobs retry 42
      clx jobs cancel --queued
      clx jobs pause mail
    """


@command.command("list")
@click.option("--state", "states", multiple=True, type=click.Choice(_STATES), help="Only these. Repeatable.")
@click.option(
    "--type", "type_", metavar="T", shell_complete=completing.job_types, help="Only jobs of this worker type."
)
@click.option(
    "--batch", type=IDENTIFIER, metavar="N", shell_complete=completing.batch_ids, help="Only those of this build."
)
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000_000), default=50, show_default=True, metavar="N", help="The newest N."
)
@about_database
@format_option
@verbose_option()
def list_them(here: Here, states: tuple[JobState, ...], type_: str | None, batch: int | None, limit: int) -> Output:
    """The newest jobs, newest first.

    \b
    Examples:
      clx jobs list
      clx jobs list --state failed --state running --limit 10
      clx jobs list --type notebook --format json
    """
    database = here.look()
    if database is None:
        return Output({"jobs": []}, [here.nobody])
    with database:
        jobs = _queue(database).search(state=states or None, type=type_, batch=batch, limit=limit)
    return Output({"jobs": [_document(job) for job in jobs]}, [_table(jobs) if jobs else "No jobs."])


def _document(job: Job) -> dict[str, Any]:
    """A job; times in seconds UTC."""

    def seconds(at: int | None) -> float | None:
        return None if at is None else at / 1000

    return {
        "id": job.id,
        "type": job.type,
        "state": job.state,
        "what": job_words(job.payload),
        "priority": job.priority,
        "run": job.run,
        "max_runs": job.max_runs,
        "released": job.released,
        "worker": job.worker_id,
        "pool": job.pool,
        "key": job.key,
        "cancel_requested": job.cancel_requested,
        "created_at": seconds(job.created_at),
        "started_at": seconds(job.started_at),
        "finished_at": seconds(job.finished_at),
        "error": job.error,
        "odd": list(job.odd),
        "progress": job.progress,
        "expires_at": seconds(job.expires_at),
        "limit": job.limit,
    }


def _table(jobs: list[Job]) -> str:
    rows = []
    for job in jobs:
        ended = job.finished_at is not None and job.started_at is not None
        took = duration(((job.finished_at or 0) - (job.started_at or 0)) / 1000) if ended else "–"
        message = str((job.error or {}).get("message", "")) if job.state == "failed" else ""
        what = f"{job_words(job.payload)}{': ' if message else ''}{message}"
        rows.append((str(job.id), job.type, job.state, f"{job.run - job.released}/{job.max_runs}", took, what))
    return table(("ID", "TYPE", "STATE", "RUNS", "TIME", "WHAT"), rows)


@command.command("show")
@click.argument("job_id", metavar="ID", type=IDENTIFIER, shell_complete=completing.job_ids())
@about_database
@format_option
@verbose_option(passed=True)
def show(here: Here, job_id: int, verbose: bool) -> Output:
    """Everything about one job.

    Who wanted it, what it waits for, every run and how it ended.

    \b
    Examples:
      clx jobs show 42
      clx jobs show 42 --format json
    """
    from clx.workers.supervision.job_history import job_history

    database = here.look()
    if database is None:
        raise here.unknown(f"job {job_id}")
    with database:
        job = _queue(database).get(job_id)
        if job is None:
            raise here.unknown(f"job {job_id}", "clx jobs list")
        told = [completed(line) for line in job_history(database, job, here.resolved.settings.jobs)]
        runs = _queue(database).runs(job_id)
    document = _document(job) | {"story": told, "runs": runs, "payload": job.payload, "result": job.result}
    return Output(document, _lines(job, told, verbose=verbose))


def _lines(job: Job, told: list[str], *, verbose: bool) -> Iterator[str]:
    yield _table([job])
    if job.progress is not None:
        yield visible_line(f"It has told how far it is: {json.dumps(job.progress, ensure_ascii=False)}")
    yield from map(visible_line, told)
    error = job.error or {}
    if verbose and error.get("traceback"):
        yield error["traceback"]


command.add_command(show_logs)


def _queue(database: Database) -> Queue:
    from clx.db.jobs import Queue

    return Queue(database)


@command.command("retry")
@click.argument(
    "job_ids", metavar="ID...", nargs=-1, type=IDENTIFIER, shell_complete=completing.job_ids("failed", "cancelled")
)
@click.option("--failed", is_flag=True, help="Every failed job.")
@about_database
@format_option
@verbose_option()
def retry_jobs(here: Here, job_ids: tuple[int, ...], failed: bool) -> Output:
    """Queue failed or cancelled jobs again. A build does the same by itself when it is run again.

    Of several that ask the same question (a deck that failed in two builds) the newest is queued.

    \b
    Examples:
      clx jobs retry 42 43
      clx jobs retry --failed
      clx jobs retry --failed --format json
    """
    database, ids = _chosen(here, job_ids, "failed" if failed else None, "--failed")
    if database is None:
        return _changed("queued", [], {}, here.nobody)
    with database:
        queue = _queue(database)
        before = {job.id: job for job in queue.get_many(ids)}
        done = [id_ for id_ in ids if before[id_].state == "succeeded"]
        if done:
            raise UsageError(
                f"Job {done[0]} succeeded: there is nothing to try again.",
                "Name the others alone. `clx build --force` runs everything again.",
            )
        left = _left_out(queue, list(before.values()))
        try:
            queued = queue.retry([id_ for id_ in ids if id_ not in left])
        except JobExistsError as error:
            raise UsageError(
                f"Job {error.job_id}, which asks the same question as one of these, was queued at this moment.",
                "Type the same again.",
            ) from error
    for id_ in ids:
        if id_ not in left and id_ not in queued:
            left[id_] = f"Job {id_} {'runs' if before[id_].state == 'running' else 'was queued'} already."
    return _changed("queued", queued, left, f"{len(queued)} job(s) queued again{_named(queued)}.")


def _changed(key: str, changed: list[int], left: dict[int, str], said: str) -> Output:
    """What was done to the jobs *changed*, and why the others were left as they are, in the order of their ids."""
    others = [{"id": id_, "reason": left[id_]} for id_ in sorted(left)]
    return Output({key: changed, "left": others}, [said, *(left[id_] for id_ in sorted(left))])


def _left_out(queue: Queue, jobs: list[Job]) -> dict[int, str]:
    """Which of *jobs* are not to be queued again because another asks the same question, each with that in words.

    Only one job of a pool and key may live: one that does already, else the newest of those that were chosen.
    """
    over = [job for job in jobs if job.key is not None and job.state in {"failed", "cancelled"}]
    newest = {(job.pool, job.key): job.id for job in sorted(over, key=lambda job: job.id)}
    live = {}
    for pool, key in newest:
        for job in queue.search(pool=pool, key=key, state=("queued", "running"), limit=1):
            live[pool, key] = job
    left = {}
    for job in over:
        question = (job.pool, job.key)
        if question in live:
            other = live[question]
            state = "runs" if other.state == "running" else "waits"
            left[job.id] = f"Job {job.id} asks the same question as job {other.id}, which {state} already."
        elif newest[question] != job.id:
            left[job.id] = f"Job {job.id} asks the same question as job {newest[question]}."
    return left


@command.command("cancel")
@click.argument(
    "job_ids", metavar="ID...", nargs=-1, type=IDENTIFIER, shell_complete=completing.job_ids("queued", "running")
)
@click.option("--queued", is_flag=True, help="Every job that waits.")
@about_database
@format_option
@verbose_option()
def cancel_jobs(here: Here, job_ids: tuple[int, ...], queued: bool) -> Output:
    """Cancel jobs that wait or run.

    Those that wait end at once, those that run as soon as their worker hears of it.

    \b
    Examples:
      clx jobs cancel 42
      clx jobs cancel --queued
      clx jobs cancel 42 --format json
    """
    database, ids = _chosen(here, job_ids, "queued" if queued else None, "--queued")
    if database is None:
        return _changed("cancelled", [], {}, here.nobody)
    with database:
        queue = _queue(database)
        before = queue.get_many(ids)
        queue.cancel(ids)
        now = {job.id: job.state for job in queue.get_many(ids)}
    done = [job.id for job in before if job.state == "queued" and now.get(job.id) == "cancelled"]
    left = {}
    for job in before:
        if job.id not in done:
            # one that ran and is cancelled by now was stopped by its worker at once
            stopped = job.state == "running" and now.get(job.id) in {"running", "cancelled"}
            runs = f"runs; worker #{job.worker_id} is told to stop it"
            left[job.id] = f"Job {job.id} {runs if stopped else _OVER.get(now.get(job.id, ''), 'has begun meanwhile')}."
    return _changed("cancelled", done, left, f"{len(done)} job(s) cancelled{_named(done)}.")


_POOL = click.option("--pool", default="", metavar="POOL", help="Only of this pool; without, of the usual one.")


@contextmanager
def _queue_there(here: Here, change: str) -> Iterator[Queue]:
    """The queue, to make a *change* that is said in one word, such as ``pause``; nothing is made where none is."""
    database = here.change()
    if database is None:
        raise UsageError(f"There is nothing to {change}. {here.nobody}", "Name another by --db-path.")
    with database:
        yield _queue(database)


@command.command("pause")
@click.argument("type_", metavar="TYPE", shell_complete=completing.job_types)
@_POOL
@about_database
@format_option
@verbose_option()
def pause_type(here: Here, type_: str, pool: str) -> Output:
    """Let nobody begin jobs of a type, until they are resumed. Those that run go on; more may be queued.

    \b
    Examples:
      clx jobs pause mail
      clx jobs pause mail --pool eu
      clx jobs pause mail --format json
    """
    with _queue_there(here, "pause") as queue:
        is_new = queue.pause(type_, pool)
    said = f"Jobs of {_of(type_, pool)} are paused{'' if is_new else ' already'}."
    return Output({"type": type_, "pool": pool, "paused": True, "changed": is_new}, [visible_line(said)])


@command.command("resume")
@click.argument("type_", metavar="TYPE", shell_complete=completing.job_types)
@_POOL
@about_database
@format_option
@verbose_option()
def resume_type(here: Here, type_: str, pool: str) -> Output:
    """Let jobs of a paused type be begun again.

    \b
    Examples:
      clx jobs resume mail
      clx jobs resume mail --pool eu
      clx jobs resume mail --format json
    """
    with _queue_there(here, "resume") as queue:
        is_new = queue.resume(type_, pool)
        others = ", ".join(_of(each.type, each.pool) for each in queue.paused())
    said = f"Jobs of {_of(type_, pool)} go on." if is_new else f"Jobs of {_of(type_, pool)} were not paused."
    left = [visible_line(f"Paused: {others}.")] if others else []
    return Output({"type": type_, "pool": pool, "paused": False, "changed": is_new}, [visible_line(said), *left])


def _of(type_: str, pool: str) -> str:
    return f"{type_} (pool {pool})" if pool else type_


def _chosen(
    here: Here, job_ids: tuple[int, ...], state: JobState | None, option: str
) -> tuple[Database | None, list[int]]:
    """The database and the ids that were asked for, each of which exists."""
    if not job_ids and state is None:
        raise UsageError("No job was named.", f"Name some by their id, or use {option}.")
    database = here.change()
    if database is None:
        if job_ids:
            raise here.unknown(f"job {job_ids[0]}")
        return None, []
    known = {job.id for job in _queue(database).get_many(job_ids)}
    missing = [id_ for id_ in job_ids if id_ not in known]
    if missing:
        database.close()
        raise here.unknown(f"job {missing[0]}", "clx jobs list")
    found = [job.id for job in _queue(database).search(state=state, limit=1 << 30)] if state else []
    return database, sorted({*job_ids, *found})


def _named(ids: list[int]) -> str:
    shown = ", ".join(map(str, ids[:10]))
    return f": {shown}{', …' if len(ids) > 10 else ''}" if ids else ""
