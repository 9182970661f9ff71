"""``clx work wait|logs``: until works have ended, and what their attempts have said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from clx.cli import completing
from clx.cli.job_logs import run_lines
from clx.cli.options import SECONDS, verbose_option
from clx.cli.output import Output, format_option
from clx.cli.work_bulk import named
from clx.cli.work_display import overview
from clx.cli.work_options import There, about_works
from clx.errors import EXIT_DONE, EXIT_JOB_FAILED, EXIT_TIMEOUT
from clx.visible import visible_line

if TYPE_CHECKING:
    from clx.work.place import Store


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
@about_works
@format_option
@verbose_option()
def logs(there: There, work_id: str) -> Output:
    """What the attempts of a work have said, the oldest first.

    Of a long output beginning and end are kept.

    \b
    Examples:
      clx work logs 68b1c2d3e4f5a6b7c8d9e0f1
      clx work logs 68b1c2d3e4f5a6b7c8d9e0f1 --format json
    """
    with there.look() as store:
        if store is None:
            raise there.unknown(work_id, is_there=False)
        named(there, store, [work_id])
        runs = store.runs(work_id)
    told = [{"run": run["run"], "outcome": run["outcome"], "output": str(run.get("stderr") or "")} for run in runs]
    has_said = any(run["output"] for run in told)
    asides = [] if has_said else [visible_line(f"Work {work_id} has written nothing.")]
    return Output({"work": work_id, "runs": told}, run_lines(told), asides)
