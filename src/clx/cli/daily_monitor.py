"""``clx daily list|describe|show``: the runs of days, one of them as it stands, and what happened in it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import click

from clx.cli.daily_check import lakes_of
from clx.cli.daily_options import Day, flow_argument
from clx.cli.options import verbose_option
from clx.cli.output import Output, duration, format_option, table
from clx.cli.project import Here
from clx.errors import UsageError
from clx.visible import visible_line

if TYPE_CHECKING:
    from clx.daily.flow import Flow
    from clx.db.database import Database
    from clx.db.models import Job

_KB = 1000
_MOST = 10_000
"""Runs among which those of a state are looked for, newest first."""


@click.command("list")
@flow_argument
@click.option("--state", type=click.Choice(["queued", "running", "done", "partial", "failed", "cancelled"]),
              help="Only those.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1, _MOST), default=20, show_default=True, help="How many, newest first.")
@format_option
@verbose_option()
def list_(here: Here, flow: Flow, state: str | None, limit: int) -> Output:
    """List the runs of days, newest first.

    Those that a later run of their day has made up for are among them.

    \b
    Examples:
      clx daily list lab/flow.py
      clx daily list lab/flow.py --state running

    \b
    Exit codes: 0; 2 usage error; 4 the job table cannot be read.
    """
    from clx.daily.days import row_of
    from clx.daily.history import runs_of

    database = here.look()
    runs: list[dict[str, Any]] = []
    if database is not None:
        with database:
            for job in runs_of(database, flow.name, _MOST if state else limit):
                found = row_of(job.key or "", job)
                if state in {None, found.state}:
                    runs.append({"job": job.id, "day": found.day, "state": found.state, "begun": job.started_at,
                                 "seconds": found.seconds, "said": found.said})  # fmt: skip
    runs = runs[:limit]
    rows = [
        (str(each["job"]), each["day"], each["state"], _moment(each["begun"]), _took(each["seconds"]), each["said"])
        for each in runs
    ]
    none = f"{flow.name} has no such run here." if state else f"{flow.name} has not run here."
    words = table(("JOB", "DAY", "STATE", "BEGUN", "TIME", "MISSING"), rows) if rows else none
    return Output({"flow": flow.name, "runs": runs}, [words])


@click.command("describe")
@click.argument("day", metavar="DAY", type=Day())
@flow_argument
@format_option
@verbose_option()
def describe(here: Here, flow: Flow, day: date) -> Output:
    """Say how a day stands, step by step.

    Each step with its attempts and its machine, why one has failed, and what was published.

    \b
    Examples:
      clx daily describe 2026-11-27 lab/flow.py
      clx daily describe 2026-11-27 lab/flow.py --format json

    \b
    Exit codes: 0; 2 usage error, or it has never run; 4 the job table cannot be read.
    """
    from clx.daily.days import row_of
    from clx.daily.history import published_in, steps_of

    with _opened(here, flow) as database:
        job = _run_of(database, flow, day)
        found, steps = row_of(day.isoformat(), job), steps_of(database, flow, job)
    published: list[Any] = []
    for lake in lakes_of(flow):
        with lake:
            published += published_in(lake, flow, day.isoformat())
    document = {
        "flow": flow.name,
        **found._asdict(),
        "begun": job.started_at,
        "steps": [each._asdict() for each in steps],
        "published": [each._asdict() for each in published],
    }
    return Output(document, list(_described(document)))


@click.command("show")
@click.argument("day", metavar="DAY", type=Day())
@flow_argument
@format_option
@verbose_option()
def show(here: Here, flow: Flow, day: date) -> Output:
    """Show what happened in a day, in its order.

    What was asked, begun, lost, tried again, ended and published, in its newest run.

    \b
    Examples:
      clx daily show 2026-11-27 lab/flow.py

    \b
    Exit codes: 0; 2 usage error, or it has never run; 4 the job table cannot be read.
    """
    from contextlib import ExitStack

    from clx.daily.history import history_of

    with _opened(here, flow) as database, ExitStack() as lakes:
        job = _run_of(database, flow, day)
        found = [lakes.enter_context(each) for each in lakes_of(flow)]
        events = history_of(database, flow, job, found, day.isoformat())
    rows = [
        (_moment(each.at), each.what, each.name, str(each.run or ""), each.host, each.why) for each in events
    ]  # fmt: skip
    document = {"flow": flow.name, "day": day.isoformat(), "job": job.id, "events": [each._asdict() for each in events]}
    return Output(document, [table(("AT", "WHAT", "OF", "RUN", "MACHINE", "WHY"), rows)])


def _opened(here: Here, flow: Flow) -> Database:
    database = here.look()
    if database is None:
        raise UsageError(f"{flow.name} has not run here.", "Run it: clx daily run --date DAY")
    return database


def _run_of(database: Database, flow: Flow, day: date) -> Job:
    """The newest run of a day.

    Raises:
        UsageError: there is none.
    """
    from clx.daily.history import run_of

    found = run_of(database, flow.name, day.isoformat())
    if found is None:
        raise UsageError(
            f"{flow.name} has not run for {day.isoformat()}.", f"Run it: clx daily run --date {day.isoformat()}"
        )
    return found


def _described(document: dict[str, Any]) -> Iterator[str]:
    begun = f", begun {_moment(document['begun'])}" if document["begun"] else ""
    yield visible_line(f"{document['flow']} {document['day']}: {document['state']} (job {document['job']}{begun})")
    rows = [
        (f"{each['step']}[{each['item']}]" if each["item"] else each["step"], each["state"], str(each["runs"] or "–"),
         _took(each["seconds"]), each["host"] or "–", each["why"])
        for each in document["steps"]
    ]  # fmt: skip
    yield table(("STEP", "STATE", "RUNS", "TIME", "MACHINE", "WHY"), rows) if rows else "No step was asked for yet."
    for step, items in document["missing"].items():
        yield visible_line(f"missing of {step}: {', '.join(map(str, items))}")
    for each in document["published"]:
        missing = f", without {', '.join(each['missing'])}" if each["missing"] else ""
        yield visible_line(
            f"{each['dataset']} version {each['version']}: {each['rows']} rows, "
            f"{each['size'] / _KB:.1f} kB{missing}, in {each['folder']}"
        )


def _moment(at: int | None) -> str:
    return "–" if at is None else datetime.fromtimestamp(at / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _took(seconds: float | None) -> str:
    return "–" if seconds is None else duration(seconds)
