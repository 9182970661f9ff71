"""``clx work``: works deposited, found, waited for, changed; everything about one."""

from __future__ import annotations

import click

from clx.cli import completing
from clx.cli.options import verbose_option
from clx.cli.output import Output, format_option
from clx.cli.work_bulk import cancel, remove, retry
from clx.cli.work_deposit import deposit
from clx.cli.work_display import told
from clx.cli.work_options import There, about_works
from clx.cli.work_run import run
from clx.cli.work_search import search
from clx.cli.work_wait import logs, wait
from clx.cli.work_workspace import workspace


@click.group("work")
def command() -> None:
    """Works: everything about one piece of work, from its deposit to its results.

    \b
    Examples:
      clx work deposit --pipeline detect --param threshold=5 --tag night
      clx work search --pipeline detect --status failure
      clx work show 68b1c2d3e4f5a6b7c8d9e0f1
      clx work run detect shop.detect.main
      clx work retry --pipeline detect --ended-since 2h
    """


@click.command("show")
@click.argument("work_id", metavar="ID", shell_complete=completing.work_ids())
@about_works
@format_option
@verbose_option()
def show(there: There, work_id: str) -> Output:
    """Everything about one work.

    Its fields, its attempts and how they ended, its results.

    \b
    Examples:
      clx work show 68b1c2d3e4f5a6b7c8d9e0f1
      clx work show 68b1c2d3e4f5a6b7c8d9e0f1 --format json
    """
    with there.look() as store:
        if store is None:
            raise there.unknown(work_id, is_there=False)
        found = store.get(work_id)
        if found is None:
            raise there.unknown(work_id)
        runs = store.runs(work_id)
    return Output({**found.document, "job": found.job_id, "runs": runs}, told(found.document, runs))


for each in (deposit, run, search, show, wait, logs, cancel, retry, remove, workspace):
    command.add_command(each)
