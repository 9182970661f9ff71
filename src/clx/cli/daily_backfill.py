"""``clx daily backfill``."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import click

from clx.cli.daily_options import flow_argument, runner_of, warn_of_future
from clx.cli.options import verbose_option
from clx.cli.output import Output, duration, format_option
from clx.cli.project import Here, open_or_make
from clx.cli.routine_options import result_alone
from clx.cli.terminal import echo
from clx.commands import on_database
from clx.errors import UsageError
from clx.visible import visible_line

if TYPE_CHECKING:
    from clx.cli.routines_run import Runner
    from clx.daily.backfill import Entered
    from clx.daily.days import DayRow
    from clx.daily.flow import Flow
    from clx.db.jobs import Queue

_MOST = 3660
_ONLY = ("failed", "missing", "partial")
_LOOKS = 0.15
"""Seconds between two looks at the days that run, at least."""


class Days(click.ParamType[list[date]]):
    """Days as they are written: ``2026-11-01..2026-11-27``, both included."""

    name = "days"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[date]:
        """The days, oldest first."""
        if isinstance(value, list):
            return value
        from clx.daily.backfill import days_between

        first, dots, last = value.partition("..")
        try:
            found = days_between(date.fromisoformat(first), date.fromisoformat(last if dots else first))
        except ValueError:
            self.fail(f"{value!r} are no days; write them as 2026-11-01..2026-11-27.", param, ctx)
        if not 1 <= len(found) <= _MOST:
            said = f"are more than {_MOST} days" if found else "end before they begin"
            self.fail(f"{value} {said}.", param, ctx)
        return found


def _only(_context: click.Context, _parameter: click.Parameter, value: str | None) -> list[str]:
    found = [] if value is None else [each.strip() for each in value.split(",")]
    for each in found:
        if each not in _ONLY:
            raise click.BadParameter(f"{each!r} is none of {', '.join(_ONLY)}.")
    return found


@click.command("backfill")
@click.argument("days", metavar="FROM..TO", type=Days())
@flow_argument
@click.option("--only", metavar="STATES", callback=_only, help="Of failed,missing,partial those. [default: all days]")
@click.option("--in-order", is_flag=True, help="Each day once the one before is done.")
@click.option("--at-most", type=click.IntRange(1, 10_000), metavar="N", help="Days that run at a time.")
@click.option("--detach", is_flag=True, help="Only put the days in the queue.")
@click.option("--workers", "count", type=click.IntRange(1, 256), metavar="N", help="Processes for steps.")
@format_option
@verbose_option(passed=True)
def backfill(
    here: Here,
    flow: Flow,
    days: list[date],
    only: list[str],
    in_order: bool,
    at_most: int | None,
    detach: bool,
    count: int | None,
    verbose: bool,
) -> Output:
    """Run the flow for each day from FROM to TO.

    Each day is a job of its own. A day that somebody runs is joined, and of one that is done nothing is done again but
    what has changed. Whatever is killed, the same command goes on where that has stopped. With --in-order, the days
    behind one that fails fail with it, and are not begun; --only failed,missing goes on there.

    --only missing takes days that have never run, or were cancelled.

    \b
    Examples:
      clx daily backfill 2026-11-01..2026-11-27 lab/flow.py
      clx daily backfill 2026-11-01..2026-11-27 lab/flow.py --only failed,missing --in-order
      clx daily backfill 2026-11-01..2026-11-27 lab/flow.py --at-most 4 --detach

    \b
    Exit codes: 0 every day is done, or in the queue (--detach); 1 a day failed or was cancelled;
    2 usage or settings error, or the flow cannot be imported; 3 workers do not start; 130 Ctrl-C: what
    is in the queue stays there.
    """
    if in_order and at_most is not None:
        raise UsageError("--in-order runs one day at a time.", "Leave --at-most out.")
    if detach and count:
        raise UsageError("--detach starts nothing.", "Leave --workers out.")
    warn_of_future(flow, days[-1])
    from clx.daily.backfill import Backfill

    with result_alone(), open_or_make(here.resolved, here.path, starting=not detach) as database:
        runner = runner_of(here, database, flow, count, verbose=verbose)
        asked = Backfill(runner.queue, flow.name, days, only=only, in_order=in_order, at_most=at_most)
        entered = list(asked.enter(runner.files, runner.pool))
        rows = _rows(runner.queue, entered) if detach else _followed(runner, entered)
        see = on_database("clx jobs show", database.path)
    return _output(flow.name, entered, rows, asked.left_out, see if not detach else None)


def _rows(queue: Queue, entered: Sequence[Entered]) -> list[DayRow]:
    from clx.daily.days import row_of

    jobs = {job.id: job for job in queue.get_many(list({each.job for each in entered}))}
    return [row_of(each.day.isoformat(), jobs[each.job]) for each in entered]


def _followed(runner: Runner, entered: Sequence[Entered]) -> list[DayRow]:
    """Watch the days until all have ended."""
    found: dict[int, DayRow] = {}
    if runner.is_served():
        echo("Workers of others serve the table.", err=True)
    try:
        with runner.workers(lambda text: echo(visible_line(text), err=True)) as tend:
            _watch(runner.queue, entered, found, tend)
    except KeyboardInterrupt:
        left = len(entered) - len(found)
        echo(f"{left} day(s) stay in the queue: whoever has workers for it goes on, as this command does.", err=True)
        raise
    return [found[each.job] for each in entered]


def _watch(queue: Queue, entered: Sequence[Entered], found: dict[int, DayRow], tend: Callable[[], None]) -> None:
    from clx.daily.backfill import LIVE

    pause = 0.0
    while left := [each for each in entered if each.job not in found]:
        tend()
        queue.wait([left[0].job], timeout=pause)
        began = time.monotonic()
        for each, row in zip(left, _rows(queue, left), strict=True):
            if row.state not in LIVE:
                found[each.job] = row
                took = "" if row.seconds is None else f" ({duration(row.seconds)})"
                said = f": {row.said}" if row.said else ""
                echo(visible_line(f"[{len(found)}/{len(entered)}] {row.day} {row.state}{took}{said}"), err=True)
        pause = max(_LOOKS, 10 * (time.monotonic() - began))


def _output(
    flow: str, entered: Sequence[Entered], rows: Sequence[DayRow], left_out: Sequence[date], see: str | None
) -> Output:
    """What there is to tell; *see*: the command that shows a job, None where nobody has waited for any."""
    document = {
        "flow": flow,
        "days": [{**row._asdict(), "joined": each.joined} for each, row in zip(entered, rows, strict=True)],
        "left_out": [day.isoformat() for day in left_out],
    }
    without = f"; {len(left_out)} left out" if left_out else ""
    if see is None:
        return Output(document, [f"{flow}: {len(rows)} day(s) are in the queue{without}."])
    failed = [row for row in rows if row.state not in {"done", "partial"}]
    said = [f"{flow}: {len(rows) - len(failed)} day(s) are done, {len(failed)} are not{without}."]
    if failed:
        said.append(f"To see why: {see} {failed[0].job}. To try only those again: --only failed,missing")
    return Output(document, said, exit_code=1 if failed else 0)
