"""``clx jobs logs``: what the runs of a task have written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from clx.cli import completing
from clx.cli.options import IDENTIFIER, about_database, verbose_option
from clx.cli.output import Output, format_choice
from clx.cli.project import Here
from clx.cli.terminal import echo
from clx.errors import ArtifactError, ClxError

if TYPE_CHECKING:
    from clx.db.jobs import Queue
    from clx.settings.resolve import Resolved

_LOOK = 0.2
"""Seconds between two looks at a run that goes on."""


@click.command("logs")
@click.argument("job_id", metavar="ID", type=IDENTIFIER, shell_complete=completing.job_ids())
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended, or Ctrl-C.")
@about_database
@format_choice
@verbose_option()
def show_logs(here: Here, job_id: int, follow: bool, format_: str) -> None:
    """What a task has written, on any machine.

    Standard output, standard error and logging; of a long output beginning and end are kept. One that runs can be
    followed on its own machine; elsewhere its output is there when it has ended.

    \b
    Examples:
      clx jobs logs 42
      clx jobs logs 42 -f
      clx jobs logs 42 --format json
    """
    from clx.db.jobs import Queue

    database = here.look()
    if database is None:
        raise here.unknown(f"job {job_id}")
    with database:
        queue = Queue(database)
        if queue.get(job_id) is None:
            raise here.unknown(f"job {job_id}", "clx jobs list")
        if follow and format_ != "json":
            follow_job(here.resolved, queue, job_id)
            return
        runs = [told(here.resolved, queue, run) for run in queue.runs(job_id)]
        lines = list(run_lines(runs))
        running = _live(queue, job_id, 0)
        Output(
            {"job": job_id, "runs": runs, "running": running[1] or None}, [*lines, *filter(None, [running[1]])]
        ).show(format_)
        if not lines and not running[1] and format_ != "json":
            echo(f"Job {job_id} has written nothing.", err=True)


def told(resolved: Resolved, queue: Queue, run: dict[str, Any]) -> dict[str, Any]:
    """What a run has written, whole."""
    return {"run": run["run"], "outcome": run["outcome"], "output": _whole(resolved, queue, run)}


def _whole(resolved: Resolved, queue: Queue, run: dict[str, Any]) -> str:
    """All that is kept of what a run wrote."""
    from clx.remote.stores import open_store
    from clx.workers.run_logs import named

    held = str(run["stderr"] or "")
    digest = named(held)
    if digest is None:
        return held
    store = open_store(queue.database.state.shared / "artifacts", resolved.settings.artifacts)
    try:
        store.bring(digest)
        return store.get_bytes(digest).decode("utf-8", "replace")
    except (ArtifactError, ClxError, OSError) as error:  # its end is in the row
        return f"{held}\n(its beginning is not here: {error})"


def run_lines(runs: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What runs have said, each below its number where there are several."""
    for run in runs:
        if run["output"]:
            if len(runs) > 1:
                yield f"--- run {run['run']}, {run['outcome']} ---"
            yield run["output"].rstrip("\n")


def _live(queue: Queue, job_id: int, start: int) -> tuple[int, str]:
    """Which run goes on, 0 for none, and what it has written from a byte of its file on."""
    from clx.regular import open_regular
    from clx.workers.run_logs import live_log

    job = queue.get(job_id)
    if job is None or job.state != "running":
        return 0, ""
    try:
        with open_regular(live_log(queue.database.state.path, job_id, job.run), follow=False) as stream:
            stream.seek(start)
            return job.run, stream.read().decode("utf-8", "replace")
    except OSError:
        return job.run, ""


def follow_job(resolved: Resolved, queue: Queue, job_id: int) -> None:
    """Write what comes, until the job has ended: from the file of a run while it goes on, the rest from its row."""
    shown: dict[int, int] = {}
    over: set[int] = set()
    write: Callable[[str], None] = lambda text: echo(text, nl=False)  # noqa: E731
    while True:
        job = queue.get(job_id)
        for run in queue.runs(job_id):
            if run["run"] not in over:
                over.add(run["run"])
                write(_rest(_whole(resolved, queue, run), shown.get(run["run"], 0)))
        if job is None or job.state not in {"queued", "running"}:
            return
        if job.state == "running" and job.run not in over:
            at = shown.get(job.run, 0)
            run_number, text = _live(queue, job_id, at)
            if run_number == job.run and text:
                shown[job.run] = at + len(text.encode())
                write(text)
        time.sleep(_LOOK)


def _rest(whole: str, shown: int) -> str:
    """What is left of an output of which so many bytes of the file were shown, which has its beginning."""
    from clx.routines.tasks.output import HALF

    return whole.encode()[min(shown, HALF) :].decode("utf-8", "replace")
