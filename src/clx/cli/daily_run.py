"""``clx daily run``."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from clx.cli.daily_check import lakes_of
from clx.cli.daily_options import Day, flow_argument, runner_of, today, warn_of_future
from clx.cli.daily_work import engine_options, run_on_temporal, told
from clx.cli.next_steps import completed
from clx.cli.options import verbose_option
from clx.cli.output import Output, format_option
from clx.cli.project import Here, open_or_make
from clx.cli.routine_options import result_alone
from clx.errors import RoutineError, UsageError
from clx.visible import visible_line

if TYPE_CHECKING:
    from clx.daily.flow import Flow


@click.command("run")
@flow_argument
@click.option("--date", "day", type=Day(), metavar="DAY", help="The day, as 2026-11-27. [default: today, in its zone]")
@click.option("--workers", "count", type=click.IntRange(1, 256), metavar="N", help="Processes for steps.")
@click.option("--local", is_flag=True, help="In this process; results are kept all the same.")
@engine_options
@format_option
@verbose_option(passed=True)
def run(
    here: Here,
    flow: Flow,
    server: tuple[str, str] | None,
    day: date | None,
    count: int | None,
    local: bool,
    verbose: bool,
) -> Output:
    """Run the flow for a day.

    What has not changed since it last ran is not done again. Workers are started for it, and end with it, unless some
    of this table have the flow already. While somebody runs the same day, this run joins that one.

    With --engine temporal the day is a workflow of a Temporal server, and `clx daily work --engine temporal` does its
    steps.

    \b
    Examples:
      clx daily run lab/flow.py
      clx daily run lab/flow.py --date 2026-11-27
      clx daily run lab/flow.py --date 2026-11-27 --format json
      clx daily run lab/flow.py --engine temporal --address temporal.lab:7233

    \b
    Exit codes: 0 the day is done, also where a fan-out lacks items and has enough others; 1 a step failed;
    2 usage or settings error, or the flow cannot be imported; 3 workers do not start; 4 no Temporal
    server answers; 130 Ctrl-C.
    """
    from clx.daily.registering import workflow_of

    day = day or today(flow)
    warn_of_future(flow, day)
    if server is not None:
        if local or count:
            raise UsageError("--local and --workers are of the engine of CLX.", "Leave them out.")
        with result_alone(), open_or_make(here.resolved, here.path) as database:
            return run_on_temporal(here, database, flow, day, server)
    with (
        result_alone(),
        closing(workflow_of(flow.name)(day)) as call,
        open_or_make(here.resolved, here.path, starting=not local) as database,
    ):
        runner = runner_of(here, database, flow, count, verbose=verbose)
        try:
            found = (runner.local(call) if local else runner.waited(call)).document
        except RoutineError as error:
            if not local:  # which has no jobs to describe
                error.next_step = f"See which step: {_describing(day)}; -v shows the traceback."
            raise
    result = found["result"]
    document = {"flow": flow.name, "day": day.isoformat(), **{k: found[k] for k in ("job", "seconds")}, **result}
    output = told(document)
    return replace(output, asides=[*output.asides, *_not_there(flow, day)])


def _describing(day: date) -> str:
    """The command that tells how a day stands, of the flow that was typed."""
    context = click.get_current_context()
    typed = context.get_parameter_source("file") == ParameterSource.COMMANDLINE
    words = [day.isoformat(), *([str(context.params["file"])] if typed else [])]
    return completed(f"clx daily describe {shlex.join(words)}")


def _not_there(flow: Flow, day: date) -> Iterator[str]:
    """That a folder of the day was removed since it was published: what is kept is not done again."""
    from clx.daily.settling import not_laid_out

    for lake in lakes_of(flow):
        with lake:
            for each in not_laid_out(lake, flow.name, day.isoformat()):
                said = f"Warning: {each.dataset} of {each.day} is not in {each.folder}: {each.why}."
                yield visible_line(f"{said} Lay it out anew: {completed('clx daily check --repair')}")
