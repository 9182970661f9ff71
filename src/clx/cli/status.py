"""``clx status``."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from clx.cli.next_steps import completed
from clx.cli.options import about_database, verbose_option
from clx.cli.output import Output, duration, format_choice, table
from clx.cli.project import Here
from clx.cli.terminal import echo
from clx.commands import database_name, on_database, resume_jobs
from clx.errors import EXIT_JOB_FAILED, DatabaseError, UsageError
from clx.visible import visible_line

if TYPE_CHECKING:
    from clx.db.database import Database

_EVERY = 1.0

_EPILOG = """\b
Examples:
  clx status
  clx status --follow
  clx status --db-path /data/clx_jobs.db --format json
  clx status --check > /dev/null || echo "look at it"

\b
Exit codes: 0 whatever the state, an idle system included; 1 with --check where it warns;
4 the database cannot be read.
"""


@click.command("status", epilog=_EPILOG)
@click.option("--follow", is_flag=True, help="Show it again every second until Ctrl-C.")
@click.option("--check", is_flag=True, help="Exit with 1 when something is not as it should be: when it warns.")
@format_choice
@about_database
@verbose_option()
@click.pass_context
def command(context: click.Context, here: Here, follow: bool, check: bool, format_: str) -> None:
    """Workers per type and state, queue depth, mean job time, time left, builds under way."""
    from clx.cli.main import Interrupted
    from clx.workers.supervision.status import status_of

    if follow and check:
        raise UsageError("--follow and --check do not go together.", "Leave one of them out.")
    resolved = here.resolved
    database = here.look()
    elsewhere = {"services_elsewhere": [str(each) for each in here.services_elsewhere()]}
    untrusted = [f"{each.where}: {each.fact}. {each.next_step}." for each in resolved.untrusted().values()]
    if database is None:
        _print_nothing(here, elsewhere, untrusted, format_)
        return
    with database:
        found = _with(status_of(database, resolved.settings.jobs) | elsewhere, untrusted)
        _print(found, format_, follow=follow)
        if check and found["warnings"]:
            context.exit(EXIT_JOB_FAILED)
        try:
            while follow:
                time.sleep(_EVERY)
                _require_in_place(database)
                _print(_with(status_of(database, resolved.settings.jobs) | elsewhere, untrusted), format_, follow=True)
        except Interrupted as error:
            context.exit(128 + error.number)


def _require_in_place(database: Database) -> None:
    """See that what is read is still the database of that name."""
    if not database.is_in_place():
        raise DatabaseError(f"The database {database.path} was removed or replaced.", "Type `clx status` again.")


def _with(document: dict[str, Any], warnings: list[str]) -> dict[str, Any]:
    return document | {"warnings": [completed(text) for text in (*document["warnings"], *warnings)]}


def _print_nothing(here: Here, elsewhere: dict[str, list[str]], warnings: list[str], format_: str) -> None:
    nothing: dict[str, Any] = {"state": "idle", "workers": {}, "queue": {}, "batches": []}
    nothing |= {"paused": [], "limits": []}
    services = {"services": {"supervisor": None, "wanted": {}}, "warnings": warnings}
    lines = [f"Idle. {here.nobody}", *(f"Warning: {text}" for text in warnings), *_elsewhere(elsewhere)]
    Output({"database": database_name(here.path)} | nothing | services | elsewhere, lines).show(format_)


def _elsewhere(found: dict[str, Any]) -> list[str]:
    return [
        f"Services also run on another database: {on_database('clx status', each)}"
        for each in found["services_elsewhere"]
    ]


def _print(found: dict[str, Any], format_: str, *, follow: bool) -> None:
    if format_ == "json":
        echo(json.dumps(found, indent=None if follow else 2))
        return
    if follow:
        click.clear()
    echo(_text(found))


def _text(found: dict[str, Any]) -> str:
    headings = ("TYPE", "IDLE", "BUSY", "HUNG", "DEAD", "QUEUED", "RUNNING", "DONE", "FAILED", "MEAN", "LEFT")
    rows = []
    for type_, queue in found["queue"].items():
        workers = found["workers"].get(type_, {})
        mean, left = queue["mean_seconds"], queue["seconds_left"]
        numbers = [workers.get(status, 0) for status in ("idle", "busy", "hung", "dead")]
        numbers += [queue["queued"] + queue["delayed"], queue["running"], queue["succeeded"], queue["failed"]]
        times = ("–" if mean is None else f"{mean:.2f} s", "–" if left is None else duration(left))
        rows.append((type_, *map(str, numbers), *times))
    lines = [table(headings, rows), "", f"{found['state'].capitalize()}. Database: {found['database']}"]
    services = found["services"]
    if services["supervisor"] is not None:
        wanted = ", ".join(f"{count} {type_}" for type_, count in services["wanted"].items())
        lines.append(f"Services: supervisor {services['supervisor']}; wanted: {wanted}")
    for batch in found["batches"]:
        states = ", ".join(f"{count} {state}" for state, count in sorted(batch["jobs"].items())) or "no jobs yet"
        told = f"abandoned, {batch['reason']}; {states}" if batch["state"] == "abandoned" else states
        whose = [batch["name"], f"pid {batch['pid']}" if batch["pid"] else ""]  # a batch with a callback has no owner
        named = f" ({', '.join(filter(None, whose))})" if any(whose) else ""
        lines.append(f"Batch {batch['id']}{named}: {told}")
    for each in found["paused"]:
        of_pool = f" (pool {each['pool']})" if each["pool"] else ""
        resume = resume_jobs(each["type"], each["pool"], found["database"])
        lines.append(f"Paused for {duration(each['seconds'])}: {each['type']}{of_pool}. Type: {resume}")
    for each in found["limits"]:
        if each["held"]:
            lines.append(f"Limit {each['name']}: {each['running']} run, {each['held']} are held back")
    lines += [f"Warning: {text}" for text in found["warnings"]] + _elsewhere(found)
    return "\n".join([lines[0], *map(visible_line, lines[1:])])
