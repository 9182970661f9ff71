"""``clx worker``: processes that do jobs with anybody's functions."""

from __future__ import annotations

import click

from clx.cli.options import SECONDS, about_database, verbose_option
from clx.cli.project import Here, open_or_make
from clx.cli.terminal import echo

_EPILOG = """\b
Examples:
  clx worker shop.jobs:handlers                         one process, until Ctrl-C
  clx worker shop.jobs -n 4 --db postgresql://db/shop   four, with all @task functions of shop/jobs.py
  clx worker shop.jobs:handlers --types mail,resize --concurrency 50
  clx worker shop.jobs:handlers --until-idle            do what there is, then end

\b
MODULE:NAME is a mapping {"type": function}, one or several @task functions, or a function that
returns these; the current directory is looked in first.

\b
Exit codes: 0 ended by Ctrl-C or SIGTERM, or idle; 2 usage or settings error, or the functions
cannot be imported; 3 the processes die again and again; 4 database error.
"""


@click.command("worker", epilog=_EPILOG)
@click.argument("functions", metavar="MODULE[:NAME]")
@click.option("-n", "count", type=click.IntRange(1, 256), default=1, metavar="N", help="Processes. [default: 1]")
@click.option(
    "--concurrency", type=click.IntRange(1, 1000), default=1, metavar="N", help="Jobs that each does at a time."
)
@click.option("--types", metavar="A,B", default="", help="Only jobs of these types.")
@click.option("--pool", metavar="P", default="", help="Only jobs of this pool.")
@click.option("--until-idle", is_flag=True, help="End when there is nothing to do.")
@click.option("--timeout", type=SECONDS, metavar="S", help="Seconds jobs have to end. [default: workers.grace_period]")
@about_database
@verbose_option()
@click.pass_context
def command(
    context: click.Context,
    here: Here,
    functions: str,
    count: int,
    concurrency: int,
    types: str,
    pool: str,
    until_idle: bool,
    timeout: float | None,
) -> None:
    """Do jobs with functions of your own, in processes that are kept.

    One that dies is replaced, and its jobs go to others. Ctrl-C or SIGTERM lets them finish what they do.
    """
    from clx.workers.supervision.function_workers import Functions, job_types, keep

    settings = here.resolved.settings
    wanted = Functions(
        target=functions,
        count=count,
        types=tuple(filter(None, map(str.strip, types.split(",")))),
        pool=pool,
        concurrency=concurrency,
        until_idle=until_idle,
        grace=settings.workers.grace_period if timeout is None else timeout,
    )
    found = job_types(wanted)
    with open_or_make(here.resolved, here.path) as database:
        echo(f"{count} worker(s) for {', '.join(found)} at {database.name}", err=True)
        context.exit(keep(database, settings, wanted, lambda text: echo(text, err=True)))
