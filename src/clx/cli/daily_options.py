"""What the commands of ``clx daily`` share: the flow that a file is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from clx.cli.next_steps import about
from clx.cli.options import database_option
from clx.cli.project import Here
from clx.cli.terminal import echo
from clx.errors import ClxError, UsageError
from clx.visible import visible_line

if TYPE_CHECKING:
    from clx.cli.routines_run import Runner
    from clx.daily.flow import Flow
    from clx.db.database import Database

F = TypeVar("F", bound=Callable[..., Any])


class Day(click.ParamType[date]):
    """A day as it is written: ``2026-11-27``."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """The day."""
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no day; write it as 2026-11-27.", param, ctx)


def flow_argument(command: F) -> F:
    """FLOW and ``--flow``; the command gets ``flow``, and ``here``, the project that its file lies in."""

    @wraps(command)
    def run(*arguments: Any, file: Path, flow_name: str | None, db_path: Path | None, **options: Any) -> Any:
        here = Here(db_path, start=file.absolute().parent)
        _keep(file, None if db_path else here)
        return command(*arguments, here=here, flow=flow_in(file.absolute(), flow_name), **options)

    named = click.option("--flow", "flow_name", metavar="NAME", help="Which flow, where the file has several.")
    path = click.argument("file", metavar="FLOW", type=click.Path(path_type=Path), default="flow.py")
    return path(named(database_option(run)))  # type: ignore[return-value]


def _keep(file: Path, here: Here | None) -> None:
    """Have what is told to type next be about this flow, and about its table where that is not this directory's."""
    source = click.get_current_context().get_parameter_source("file")

    def found() -> Path | None:
        with suppress(ClxError):  # told by whoever needs it
            if here is not None and Here().path != here.path:
                return here.path
        return None

    about(file if source == ParameterSource.COMMANDLINE else None, found)


def flow_in(file: Path, name: str | None) -> Flow:
    """The flow that a file of Python is.

    Raises:
        UsageError: there is no such file, it cannot be imported, or it has no flow, or not one of that name.
    """
    import sys

    from clx.cli.routine_options import result_alone
    from clx.daily import registering
    from clx.workers.importing import imported

    if not file.is_file():
        raise UsageError(f"There is no flow {file}.", "Make one: clx daily new DIRECTORY")
    if file.suffix != ".py" or "." in file.stem:
        raise UsageError(f"Python cannot import {file}.", "Call it NAME.py, with no other dot.")
    sys.path.insert(0, str(file.parent))
    with result_alone():
        module = imported(file.stem)
    if Path(getattr(module, "__file__", None) or "").absolute() != file:
        raise UsageError(f"Python has another module {file.stem} than {file}.", "Give the file another name.")
    from clx.daily.flow import Flow

    found = {each.name: each for each in vars(module).values() if isinstance(each, Flow)}
    found = {each: flow for each, flow in found.items() if registering.known().get(each) is flow}
    if name is not None and name not in found:
        raise UsageError(f"{file} has no flow {name!r}.", f"It has: {', '.join(found) or 'none'}.")
    if name is None and len(found) != 1:
        step = f"Say which: --flow {' or --flow '.join(found)}" if found else 'Write flow = Flow("NAME", [Step(…), …]).'
        raise UsageError(f"{file} has {'several flows' if found else 'no flow'}.", step)
    return found[name or next(iter(found))]


def runner_of(here: Here, database: Database, flow: Flow, count: int | None, *, verbose: bool) -> Runner:
    """What runs days of *flow* on workers of its own, *count* of them for steps, unless others have it."""
    from clx.cli.routines_run import Runner
    from clx.daily.registering import workflow_of
    from clx.routines.registry import known

    return Runner(
        *(here, database, workflow_of(flow.name), known(), (flow.file.stem,), count),
        verbose=verbose, path=(str(flow.file.parent),), work="clx daily work",
    )  # fmt: skip


def today(flow: Flow) -> date:
    """The day it is in the zone of *flow*."""
    from clx.db.schedules.cron import zone_of

    return datetime.now(UTC).astimezone(zone_of(flow.zone)).date()


def warn_of_future(flow: Flow, day: date) -> None:
    """Say that *day* is yet to come where it is: a day that was mistyped is not run when it has come."""
    with suppress(ClxError):  # a zone that this machine does not know is told by `clx doctor --daily`
        if day > today(flow):
            said = f"{day.isoformat()} is yet to come in {flow.zone}; what is done now is not done again on that day."
            echo(visible_line(f"Warning: {said}"), err=True)
