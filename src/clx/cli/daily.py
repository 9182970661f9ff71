"""``clx daily``: flows of a day."""

from __future__ import annotations

import click

from clx.cli import daily_backfill, daily_check, daily_look, daily_monitor, daily_new, daily_run, daily_work


@click.group("daily")
def command() -> None:
    """Run the flow of a day, over machines, into a lake.

    A flow is a file of Python: functions, and steps with their inputs. A day is done once, and what has not changed
    is not done again.

    \b
    Examples:
      clx daily new lab
      clx daily run lab/flow.py --date 2026-11-27
      clx daily status lab/flow.py
      clx daily why lab/lake/clean/gold/aggregated/2026/11/27/job_1.parquet
    """


for each in (
    daily_new.new, daily_run.run, daily_backfill.backfill, daily_work.work, daily_look.status, daily_look.why,
    daily_check.check, daily_monitor.list_, daily_monitor.describe, daily_monitor.show,
):  # fmt: skip
    command.add_command(each)
