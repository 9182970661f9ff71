"""``clx schedules add|list|show|pause|resume|run|backfill|remove``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clx.cli import completing
from clx.cli.options import Number, about_database, verbose_option
from clx.cli.output import Output, format_option, table
from clx.cli.project import Here, open_or_make
from clx.db.clock import now_ms
from clx.db.durations import counted
from clx.errors import QueueError, UsageError
from clx.settings.problems import shortened
from clx.visible import visible_line

if TYPE_CHECKING:
    from clx.db.database import Database
    from clx.db.schedules.models import Fire, Schedule
    from clx.db.schedules.table import Schedules

_DAY = 24 * 3600 * 1000
_DATE = "2026-11-30"
_NEXT = 5
_PARTS = re.compile(r"\.\d+")
_name = click.argument("name", metavar="NAME", shell_complete=completing.schedule_names)


@click.group("schedules")
def command() -> None:
    """Jobs that are queued at times: every day, every Monday, every five minutes.

    Whoever works on the database fires what is due: consumers, workers, services, builds. Each time is fired once,
    also where several do so at once or one is killed.

    \b
    Examples:
      clx schedules add nightly "0 6 * * *" --type report --zone Europe/Berlin
      clx schedules list
      clx schedules show nightly
      clx schedules backfill nightly 2026-11-01 2026-11-07 --only-missing
    """


@command.command("add")
@click.argument("name", metavar="NAME", shell_complete=completing.schedule_names)
@click.argument("cron", metavar="CRON")
@click.option(
    "--type", "type_", required=True, metavar="T", shell_complete=completing.job_types, help="The type of the job."
)
@click.option("--payload", default="{}", metavar="JSON|@FILE", help="Its payload, a JSON object; @FILE reads a file.")
@click.option("--zone", default="UTC", show_default=True, metavar="ZONE", shell_complete=completing.time_zones,
              help="The time zone by whose clock CRON is read.")  # fmt: skip
@click.option("--overlap", type=click.Choice(["skip", "queue", "cancel"]),
              help="When the job before still waits or runs: leave this time out, wait for it, or cancel it. "
              "[default: skip; queue with --catch-up all]")  # fmt: skip
@click.option("--catch-up", type=click.Choice(["none", "last", "all"]), default="last", show_default=True,
              help="Which of the times that nobody was there for are fired later.")  # fmt: skip
@click.option("--window", type=Number(0, 36_500), default=7, show_default=True, metavar="DAYS",
              help="How late that may be.")  # fmt: skip
@click.option("--ends", metavar="DATE", help="The last day on which it fires, or the last moment.")
@click.option("--pool", default="", metavar="POOL", help="Which workers may take the job.")
@click.option("--priority", type=click.IntRange(1, 5), default=3, show_default=True, help="5 is claimed first.")
@click.option("--max-runs", type=click.IntRange(1, 1_000_000), default=3, show_default=True, metavar="N",
              help="Runs that the job gets before it has failed.")  # fmt: skip
@click.option("--timeout", type=Number(0.001, 1e9), metavar="SECONDS", help="How long one run may take.")
@click.option("--key", metavar="KEY", help="The key of the job; {data_date} and {fire_at} in it are replaced.")
@click.option("--limit", metavar="NAME", shell_complete=completing.limit_names,
              help="The limit of which the job is (`clx limits`).")  # fmt: skip
@click.option("--paused", is_flag=True, help="Fire nothing before `clx schedules resume`.")
@click.option("--replace", is_flag=True, help="Take the place of the schedule of that name, if there is one.")
@about_database
@format_option
@verbose_option()
def add(here: Here, name: str, cron: str, replace: bool, **options: Any) -> Output:
    """Queue a job at the times that CRON says.

    CRON has five fields: minute, hour, day of month, month, day of week; or it is @hourly, @daily, @weekly, @monthly,
    @yearly. The payload gets "schedule" with the "fire_at" and the "data_date" of each time.

    \b
    Examples:
      clx schedules add nightly "0 6 * * *" --type report --zone Europe/Berlin
      clx schedules add sync "*/5 * * * *" --type sync --payload '{"from": "shop"}' --catch-up none
      clx schedules add closing "0 18 * * MON-FRI" --type close --catch-up all --window 14
    """
    schedule = _schedule(name, cron, **options)
    with open_or_make(here.resolved, here.path) as database:
        schedules = _schedules(database)
        added = schedules.add(schedule, replace=replace)
        document = _document(schedules, added)
    return Output(document, [visible_line(f"{added.name} {_when(added)}.")])


def _schedule(
    name: str, cron: str, *, type_: str, payload: str, window: float, timeout: float | None, ends: str | None,
    pool: str, priority: int, max_runs: int, key: str | None,
    limit: str | None, **options: Any,
) -> Schedule:  # fmt: skip
    from clx.db.models import NewJob
    from clx.db.schedules.models import Schedule

    job = NewJob(
        type_, _payload(payload), pool=pool, priority=priority, max_runs=max_runs, key=key, limit=limit,
        timeout=None if timeout is None else round(timeout * 1000),
    )  # fmt: skip
    ends_at = None if ends is None else _moment(ends, options["zone"], is_end=True)
    options["overlap"] = options["overlap"] or ""
    return Schedule(name, cron, job, window=round(window * _DAY), ends_at=ends_at, **options)


def _payload(text: str) -> Any:
    from clx.regular import read_regular

    try:
        given = read_regular(Path(text[1:])) if text.startswith("@") else text
        found = json.loads(given)
    except OSError as error:
        raise UsageError(f"{text[1:]} cannot be read: {error.strerror}.", "Name a file with a JSON object.") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"The payload is no JSON: {shortened(str(error))}.", """Write '{"name": "value"}'."""
        ) from error
    if not isinstance(found, dict):
        raise UsageError("The payload is no JSON object.", """Write '{"name": "value"}'.""")
    return found


def _moment(text: str, zone: str, *, is_end: bool = False) -> int:
    """A date, or a date and time, on the clock of *zone*, as milliseconds UTC; *is_end*: a date means its end."""
    from clx.db.schedules.cron import zone_of

    try:
        found = datetime.fromisoformat(text)
        if is_end and len(text) <= len(_DATE):
            found = found.replace(hour=23, minute=59, second=59, microsecond=999_000)
        if found.tzinfo is None:
            found = found.replace(tzinfo=zone_of(zone), fold=int(is_end))
        return max(0, round(found.timestamp() * 1000))
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f'"{shortened(text)}" is no date.', f"Write {_DATE}, or {_DATE}T06:00 for a time of that day."
        ) from error


def _schedules(database: Database) -> Schedules:
    from clx.db.jobs import Queue

    return Queue(database).schedules


@contextmanager
def _changing(here: Here, name: str) -> Iterator[Schedules]:
    database = here.change()
    if database is None:
        raise here.unknown(f"schedule {shortened(name)}")
    with database:
        yield _schedules(database)


# -- saying what there is -----------------------------------------------------------------------


def _words(at: int, zone: str) -> str:
    """A moment by the clock of *zone*, with its offset."""
    from clx.db.schedules.documents import on_its_clock

    local = on_its_clock(at, zone)
    return _shown(local.isoformat()) if local.second else local.isoformat(" ", "minutes")


def _shown(moment: str) -> str:
    """The moment of a document as people write it, without parts of a second."""
    return _PARTS.sub("", moment).replace("T", " ", 1)


def _minute(moment: str) -> str:
    return datetime.fromisoformat(moment).isoformat(" ", "minutes")


def _when(schedule: Schedule) -> str:
    """When it fires next, as the end of a sentence."""
    if schedule.next_at is None:
        return "has ended"
    moment = f"{_words(schedule.next_at, schedule.zone)} ({schedule.zone})"
    if schedule.paused:
        return f"is paused; its next time is {moment}"
    if schedule.next_at <= now_ms():
        return f"is due since {moment}: it waits for its last job, or no consumer, worker, service or server is there"
    return f"fires next at {moment}"


def _document(schedules: Schedules, schedule: Schedule) -> dict[str, Any]:
    """A schedule and its last fire."""
    from clx.db.schedules.documents import schedule_document

    last = schedules.fires(schedule.name, 1)
    return schedule_document(schedule, last[0] if last else None)


def _fire_document(fire: Fire, zone: str) -> dict[str, Any]:
    from clx.db.schedules.documents import fire_document

    return fire_document(fire, zone)


def _outcome(fire: dict[str, Any] | None) -> str:
    if fire is None:
        return "–"
    if fire["job_id"] is None:
        return str(fire["outcome"])
    return f"job {fire['job_id']} {fire['state'] or 'pruned'}"


@command.command("list")
@about_database
@format_option
@verbose_option()
def list_them(here: Here) -> Output:
    """Every schedule, its next time and its last one.

    \b
    Examples:
      clx schedules list
      clx schedules list --format json
    """
    database = here.look()
    if database is None:
        return Output({"schedules": []}, [here.nobody])
    with database:
        schedules = _schedules(database)
        found = schedules.list()
        documents = [_document(schedules, each) for each in found]
    rows = [
        (each.name, each.cron, each.zone, each.job.type, _next(each), _outcome(document["last"]))
        for each, document in zip(found, documents, strict=True)
    ]
    words = table(("NAME", "CRON", "ZONE", "TYPE", "NEXT", "LAST"), rows) if rows else "No schedules."
    return Output({"schedules": documents}, [words])


def _next(schedule: Schedule) -> str:
    if schedule.next_at is None:
        return "ended"
    due = "due " if schedule.next_at <= now_ms() else ""
    return "paused" if schedule.paused else f"{due}{_words(schedule.next_at, schedule.zone)}"


@command.command("show")
@_name
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), default=10, show_default=True, metavar="N", help="The latest N fires."
)
@about_database
@format_option
@verbose_option()
def show(here: Here, name: str, limit: int) -> Output:
    """Everything about one schedule.

    Its next times, and what became of its last ones.

    \b
    Examples:
      clx schedules show nightly
      clx schedules show nightly --limit 100 --format json
    """
    from clx.db.schedules.documents import on_its_clock
    from clx.db.schedules.table import refusal

    database = here.look()
    if database is None:
        raise here.unknown(f"schedule {shortened(name)}")
    with database:
        schedules = _schedules(database)
        schedule = schedules.get(name)
        document = _document(schedules, schedule)
        fires = [_fire_document(fire, schedule.zone) for fire in schedules.fires(name, limit)]
        counts = schedules.counts(name)
        why = refusal(database, schedule)
    times = [schedule.next_at, *islice(schedule.fires_after(schedule.next_at), _NEXT - 1)] if schedule.next_at else []
    document |= {
        "times": [on_its_clock(at, schedule.zone).isoformat() for at in times],
        "fires": fires,
        "counts": counts,
    }
    document["refusal"] = None if why is None else why.fact
    lines = [*_lines(schedule, document)]
    if why is not None:
        lines[0] = visible_line(f"{schedule.name} cannot queue its job: {why.fact} {why.next_step}")
    return Output(document, lines)


def _lines(schedule: Schedule, document: dict[str, Any]) -> Iterator[str]:
    yield visible_line(f"{schedule.name} {_when(schedule)}.")
    yield visible_line(f"Cron: {schedule.cron}")
    yield visible_line(f"Queues: {schedule.job.type} {json.dumps(document['job']['payload'], ensure_ascii=False)}")
    days = counted(document["window"] / _DAY, "day")
    yield f"Overlap: {schedule.overlap}. Catch-up: {schedule.catch_up}, within {days}."
    if schedule.ends_at is not None:
        yield f"Ends: {_words(schedule.ends_at, schedule.zone)}"  # type: ignore[arg-type]
    if document["times"]:
        yield "Next: " + ", ".join(map(_minute, document["times"]))
    if document["fires"]:
        rows = [(_shown(fire["at"]), fire["outcome"], _outcome(fire)) for fire in document["fires"]]
        yield table(("TIME", "OUTCOME", "JOB"), [(at, out, job if job != out else "–") for at, out, job in rows])
    missed = document["counts"].get("missed", 0)
    if missed:
        why = "nobody was there" if document["refusal"] is None else "nobody was there, or its job could not go in"
        yield f"{missed} of its times were missed: {why}. `clx schedules backfill` queues them."


# -- changing -----------------------------------------------------------------------------------


@command.command("pause")
@_name
@about_database
@format_option
@verbose_option()
def pause(here: Here, name: str) -> Output:
    """Fire a schedule no more until it is resumed.

    \b
    Examples:
      clx schedules pause nightly
    """
    with _changing(here, name) as schedules:
        schedules.pause(name)
        found = schedules.get(name)
        return Output(_document(schedules, found), [visible_line(f"{name} {_when(found)}.")])


@command.command("resume")
@_name
@about_database
@format_option
@verbose_option()
def resume(here: Here, name: str) -> Output:
    """Fire a paused schedule again, from its next time on.

    \b
    Examples:
      clx schedules resume nightly
    """
    with _changing(here, name) as schedules:
        found = schedules.resume(name)
        return Output(_document(schedules, found), [visible_line(f"{name} {_when(found)}.")])


@command.command("run")
@_name
@about_database
@format_option
@verbose_option()
def run(here: Here, name: str) -> Output:
    """Queue the job of a schedule now; its own times stay as they are.

    \b
    Examples:
      clx schedules run nightly
    """
    with _changing(here, name) as schedules:
        fire = schedules.run(name)
        document = _fire_document(fire, schedules.get(name).zone)
        return Output(document, [f"Job {fire.job_id} was queued."])


@command.command("backfill")
@_name
@click.argument("start", metavar="FROM")
@click.argument("end", metavar="TO")
@click.option(
    "--at-most", type=click.IntRange(1, 1_000_000), metavar="N", help="Queue the N oldest, and say how many are left."
)
@click.option("--only-missing", is_flag=True, help="Only times whose job has not succeeded, or that had none.")
@about_database
@format_option
@verbose_option()
def backfill(here: Here, name: str, start: str, end: str, at_most: int | None, only_missing: bool) -> Output:
    """Queue the jobs of times that are over, oldest first.

    Each is told its own date. FROM and TO are dates, both included, or moments, on the clock of the schedule's zone.

    \b
    Examples:
      clx schedules backfill nightly 2026-11-01 2026-11-07
      clx schedules backfill nightly 2026-01-01 2026-11-30 --only-missing --at-most 30
    """
    with _changing(here, name) as schedules:
        zone = schedules.get(name).zone
        first, last = _moment(start, zone), _moment(end, zone, is_end=True)
        if first > last:
            raise QueueError(f"{start} is later than {end}.", f"Write: clx schedules backfill {name} {end} {start}")
        done = schedules.backfill(name, first, last, only_missing=only_missing, at_most=at_most)
    document = {
        "queued": [_fire_document(fire, zone) for fire in done.queued],
        "there": done.there,
        "left": done.left,
    }
    return Output(document, _filled(document))


def _filled(document: dict[str, Any]) -> Iterator[str]:
    queued = document["queued"]
    span = f": {_minute(queued[0]['at'])} to {_minute(queued[-1]['at'])}" if queued else ""
    yield f"{len(queued)} job(s) queued{span}."
    if document["there"]:
        yield f"{document['there']} time(s) left alone: their job waits, runs, or is done."
    if document["left"]:
        yield f"{document['left']} time(s) left: type the same again with --only-missing."


@command.command("remove")
@_name
@about_database
@format_option
@verbose_option()
def remove(here: Here, name: str) -> Output:
    """Take a schedule away. Jobs that it has queued stay.

    \b
    Examples:
      clx schedules remove nightly
    """
    with _changing(here, name) as schedules:
        schedules.remove(name)
    return Output({"removed": name}, [visible_line(f"{name} was removed.")])
