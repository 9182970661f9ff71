"""``clx daily work``, and days that run on Temporal."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from clx.cli.daily_options import flow_argument
from clx.cli.options import verbose_option
from clx.cli.output import Output, duration
from clx.cli.project import Here, open_or_make
from clx.cli.routine_options import files_of
from clx.cli.terminal import echo
from clx.errors import ToolMissingError, UsageError

if TYPE_CHECKING:
    from clx.daily.flow import Flow
    from clx.db.database import Database

F = TypeVar("F", bound=Callable[..., Any])
_ADDRESS = "localhost:7233"


def engine_options(command: F) -> F:
    """``--engine``, ``--address`` and ``--namespace``; the command gets ``server``: None, or both of Temporal's."""

    @wraps(command)
    def run(*arguments: Any, engine: str, address: str | None, namespace: str | None, **options: Any) -> Any:
        if engine != "temporal" and (address or namespace):
            raise UsageError("--address and --namespace are of a Temporal server.", "Say --engine temporal, too.")
        server = (address or _ADDRESS, namespace or "default") if engine == "temporal" else None
        return command(*arguments, server=server, **options)

    for option in (
        click.option("--namespace", metavar="NAME", help="Of the Temporal server. [default: default]"),
        click.option("--address", metavar="HOST:PORT", help=f"Of the Temporal server. [default: {_ADDRESS}]"),
        click.option(
            "--engine", type=click.Choice(["clx", "temporal"]), default="clx", show_default=True, help="What runs it."
        ),
    ):
        run = option(run)
    return run  # type: ignore[return-value]


def run_on_temporal(here: Here, database: Database, flow: Flow, day: date, server: tuple[str, str]) -> Output:
    """Run a day on a Temporal server, and wait for it."""
    _require()
    import asyncio

    from clx.daily.registering import tasks_of
    from clx.daily.temporal.client import connected, run_day
    from clx.daily.temporal.plan import document_of

    began, name = time.monotonic(), f"{flow.name}/{day.isoformat()}"
    plan = document_of(flow, day, tasks_of(flow), files_of(here, database))

    async def go() -> tuple[dict[str, Any], str]:
        client = await connected(*server)
        echo(f"{name} runs on Temporal at {server[0]}, wherever `clx daily work --engine temporal` does.", err=True)
        return await run_day(client, plan, day.isoformat())

    result, run = asyncio.run(go())
    seconds = round(time.monotonic() - began, 3)
    document = {"flow": flow.name, "day": day.isoformat(), "job": None, "seconds": seconds, **result}
    return told({**document, "workflow": name, "run": run})


def told(document: dict[str, Any]) -> Output:
    """That a day is done, and what it lacks."""
    lacks = [f"{step} lacks {', '.join(map(str, items))}" for step, items in document["missing"].items()]
    done = f"{document['flow']} of {document['day']} is done ({duration(document['seconds'])})"
    said = done + "".join(f"; {each}" for each in lacks) + "."
    return Output(document, [said], [f"{step}: {why}" for step, why in document["errors"].items()])


@click.command("work")
@flow_argument
@engine_options
@click.option("--workers", "count", type=click.IntRange(1, 256), metavar="N", help="Steps at a time.")
@click.option("--pool", "pools", multiple=True, metavar="NAME", help="Only steps of this pool, and no days (Temporal).")
@verbose_option()
@click.pass_context
def work(
    context: click.Context,
    here: Here,
    flow: Flow,
    server: tuple[str, str] | None,
    count: int | None,
    pools: tuple[str, ...],
) -> None:
    """Run days and steps that others ask for, until Ctrl-C.

    On the engine of CLX each step has a process, and which pools this machine serves is the setting python.pools. On
    Temporal steps are threads of this process, one at a time unless --workers says otherwise.

    \b
    Examples:
      clx daily work lab/flow.py
      clx daily work lab/flow.py --engine temporal --address temporal.lab:7233
      clx daily work lab/flow.py --engine temporal --pool gpu

    \b
    Exit codes: 0 ended by Ctrl-C or SIGTERM; 2 usage or settings error, or the flow cannot be
    imported; 3 the processes die again and again; 4 database error, or no Temporal server answers.
    """
    with open_or_make(here.resolved, here.path, starting=server is None) as database:
        if server is None:
            if pools:
                raise UsageError("--pool is for Temporal.", "Set python.pools on this machine.")
            context.exit(_work_here(here, database, flow, count))
        _work_on_temporal(here, database, flow, server, count or 1, pools or None)


def _work_here(here: Here, database: Database, flow: Flow, count: int | None) -> int:
    from clx.cli.routines_run import keep_working
    from clx.routines.registry import known

    whom, path = (flow.name, "clx daily work"), (str(flow.file.parent),)
    return keep_working(here, database, whom, (flow.file.stem,), count, known().values(), path=path)


def _work_on_temporal(
    here: Here, database: Database, flow: Flow, server: tuple[str, str], count: int, pools: tuple[str, ...] | None
) -> None:
    _require()
    has = sorted({each.pool for each in flow.order if each.pool})
    if unknown := [each for each in pools or () if each not in has]:
        raise UsageError(f"{flow.name} has no pool {unknown[0]!r}.", f"It has: {', '.join(has) or 'none'}.")
    import asyncio

    from clx.daily.registering import tasks_of
    from clx.daily.temporal.client import connected
    from clx.daily.temporal.worker import serve

    async def go() -> None:
        client = await connected(*server)
        echo(f"Worker for {flow.name} on Temporal at {server[0]}", err=True)
        grace = here.resolved.settings.workers.grace_period
        await serve(client, flow, tasks_of(flow), files_of(here, database), pools=pools, count=count, grace=grace)

    asyncio.run(go())


def _require() -> None:
    from importlib.util import find_spec

    if find_spec("temporalio") is None:
        raise ToolMissingError("temporalio is not installed.", "Type: pip install 'clx-build[temporal]'")
