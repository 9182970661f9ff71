"""``clx daily status|why``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clx.cli.daily_options import flow_argument
from clx.cli.options import verbose_option
from clx.cli.output import Output, duration, format_option, table
from clx.cli.project import Here
from clx.visible import visible_line

if TYPE_CHECKING:
    from clx.daily.flow import Flow
    from clx.daily.why import Made


@click.command("status")
@flow_argument
@click.option("--days", type=click.IntRange(1, 3660), default=14, show_default=True, help="How many, newest first.")
@format_option
@verbose_option()
def status(here: Here, flow: Flow, days: int) -> Output:
    """Show what became of each day.

    \b
    Examples:
      clx daily status lab/flow.py
      clx daily status lab/flow.py --days 365 --format json

    \b
    Exit codes: 0; 2 usage error; 4 the job table cannot be read.
    """
    from clx.daily.days import days_of

    database = here.look()
    if database is None:
        return Output({"flow": flow.name, "days": []}, [f"{flow.name} has not run here."])
    with database:
        found = days_of(database, flow.name)[:days]
    rows = [
        (each.day, each.state, str(each.job), "–" if each.seconds is None else duration(each.seconds), each.said)
        for each in found
    ]
    words = table(("DAY", "STATE", "JOB", "TIME", "MISSING"), rows) if rows else f"{flow.name} has not run here."
    return Output({"flow": flow.name, "days": [each._asdict() for each in found]}, [words])


@click.command("why")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@format_option
@verbose_option()
def why(path: Path) -> Output:
    """Say which run, inputs and code made a file of the lake.

    Down to what came in, as it was noted when each version was published.

    \b
    Examples:
      clx daily why lab/lake/clean/gold/aggregated/2026/11/27/job_1.parquet

    \b
    Exit codes: 0; 1 the file is not what was published; 2 it is none of a lake; 4 the job table cannot be read.
    """
    from clx.daily.why import origin

    made = origin(path.absolute())
    return Output(made.document(), list(_lines(made, "")), exit_code=0 if made.is_whole else 1)


def _lines(made: Made, indent: str) -> Iterator[str]:
    if made.job is not None:
        yield visible_line(f"{indent}{made.flow}.{made.step} (job {made.job}, code {made.code}) made {made.name}…")
    else:
        yield from _published(made, indent)
    for name, value in made.values.items():
        yield visible_line(f"{indent}  {name} = {value}")
    for lacking in made.missing:
        yield visible_line(f"{indent}  missing: {lacking}")
    for each in made.inputs:
        yield from _lines(each, indent + "  ")


def _published(made: Made, indent: str) -> Iterator[str]:
    said = f"{made.name} version {made.version}"
    by = f" by {made.flow}.{made.step}, code {made.code}" if made.flow else ", outside of a flow"
    yield visible_line(f"{indent}{said}: {made.rows} rows, {made.at}{by}{f', on {made.host}' if made.host else ''}")
    if not made.is_whole:
        yield visible_line(f"{indent}  NOT what was published: its bytes differ.")
        yield f"{indent}  Lay it out anew, where its flow is: clx daily check --repair"
