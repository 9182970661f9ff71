"""``clx work wait|logs``: until works have ended, and what their attempts have said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from clx.cli import completing
from clx.cli.job_logs import follow_job, run_lines, told
from clx.cli.options import SECONDS, verbose_option
from clx.cli.output import Output, format_choice, format_option
from clx.cli.terminal import echo
from clx.cli.work_bulk import named
from clx.cli.work_display import overview
from clx.cli.work_options import There, about_works
from clx.errors import EXIT_DONE, EXIT_JOB_FAILED, EXIT_TIMEOUT
from clx.visible import visible_line

if TYPE_CHECKING:
    from clx.work.place import Store

_LOOK = 5.0
"""Seconds after which attempts that have ended are looked for, of a work that goes on at a server."""


@click.command("wait")
@click.argument(
    "ids", metavar="ID...", nargs=-1, required=True, shell_complete=completing.work_ids("queued", "running")
)
@click.option("--timeout", type=SECONDS, metavar="S", help="Seconds to wait at most. [default: as long as it takes]")
@about_works
@format_option
@verbose_option()
def wait(there: There, ids: tuple[str, ...], timeout: float | None) -> Output:
    """Wait until works have ended, and show what became of them.

    \b
    Examples:
      clx work wait 68b1c2d3e4f5a6b7c8d9e0f1
      clx work wait $(clx work deposit --pipeline detect) --timeout 600 && echo done
      clx work wait 68b1c2d3e4f5a6b7c8d9e0f1 --format json

    \b
    Exit codes: 0 all have succeeded; 1 one has failed or was cancelled; 2 usage or settings error,
    or there is no such work; 4 database error; 124 one has not ended in time.
    """
    with there.change() as store:
        if store is None:
            raise there.unknown(ids[0], is_there=False)
        return waited(store, named(there, store, ids), timeout)


def waited(store: Store, ids: Sequence[str], timeout: float | None = None) -> Output:
    """Works once they have ended, or the time is over; the exit code says how."""
    found = [each.document for each in store.wait(ids, timeout)]
    statuses = {str(each["status"]) for each in found}
    if statuses & {"queued", "running"}:
        code = EXIT_TIMEOUT
    else:
        code = EXIT_DONE if statuses == {"success"} and len(found) == len(set(ids)) else EXIT_JOB_FAILED
    return Output({"works": found}, [overview(found)], exit_code=code)


@click.command("logs")
@click.argument("work_id", metavar="ID", shell_complete=completing.work_ids())
@click.option("-f", "--follow", "follows", is_flag=True, help="Go on until the work has ended, or Ctrl-C.")
@about_works
@format_choice
@verbose_option()
def logs(there: There, work_id: str, follows: bool, format_: str) -> None:
    """What the attempts of a work have said, the oldest first.

    Of a long output beginning and end are kept. One that runs can be followed on the machine that it runs on; elsewhere
    the output of an attempt is there when it has ended.

    \b
    Examples:
      clx work logs 68b1c2d3e4f5a6b7c8d9e0f1
      clx work logs 68b1c2d3e4f5a6b7c8d9e0f1 -f
      clx work logs 68b1c2d3e4f5a6b7c8d9e0f1 --format json
    """
    with there.look() as store:
        if store is None:
            raise there.unknown(work_id, is_there=False)
        named(there, store, [work_id])
        if follows and format_ != "json":
            _follow(there, store, work_id)
            return
        runs = [_told(there, store, run) for run in store.runs(work_id)]
    has_said = any(run["output"] for run in runs)
    asides = [] if has_said else [visible_line(f"Work {work_id} has written nothing.")]
    Output({"work": work_id, "runs": runs}, run_lines(runs), asides).show(format_)


def _told(there: There, store: Store, run: dict[str, Any]) -> dict[str, Any]:
    queue = there.queue_of(store)
    if queue is not None:
        return told(there.resolved, queue, run)
    return {"run": run["run"], "outcome": run["outcome"], "output": str(run.get("stderr") or "")}


def _follow(there: There, store: Store, work_id: str) -> None:
    """Write what comes until the work has ended: of a server's, each attempt when that has ended."""
    found, queue = store.get(work_id), there.queue_of(store)
    if found is not None and queue is not None:
        follow_job(there.resolved, queue, found.job_id)
        return
    over: set[int] = set()
    while True:
        is_live = found is not None and found.document["status"] in {"queued", "running"}
        for run in store.runs(work_id):
            if run["run"] not in over:
                over.add(run["run"])
                echo(str(run.get("stderr") or ""), nl=False)
        if not is_live:
            return
        store.wait([work_id], timeout=_LOOK)
        found = store.get(work_id)
