"""``clx doctor``."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec.structs import asdict

from clx.cli.doctor_daily import daily_options, facts_of
from clx.cli.next_steps import completed
from clx.cli.options import about_database, verbose_option
from clx.cli.output import Output, format_option
from clx.cli.project import Here
from clx.db.of_project import project_root
from clx.errors import EXIT_DATABASE, EXIT_STARTUP, UntrustedError, UsageError
from clx.settings.owners import require_own
from clx.settings.resolve import Resolved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clx.db.facts import Fact
    from clx.workers.supervision.checks import Finding


@click.command("doctor")
@click.argument("course", type=click.Path(path_type=Path), required=False)
@format_option
@click.option(
    "--db", "about_db", is_flag=True, help="About the job table instead: where it is kept, disk, clock, bells."
)
@daily_options
@partial(about_database, short=False)
@verbose_option(logs=False)
def command(
    here: Here, course: Path | None, about_db: bool, daily: Path | None, staging: str | None, token_file: Path | None
) -> Output:
    """Say what this machine has for building courses, and what to type for what is missing.

    With COURSE only what that course needs is looked at. Exit code 3 when something needed is missing.

    \b
    Examples:
      clx doctor
      clx doctor course.yaml
      clx doctor --db                     what keeps it, durability, clock, who wakes whom
      clx doctor --daily lab/flow.py      its time zone, lakes, their bytes, disk, artifacts, clock
      clx doctor --daily lab/flow.py --staging https://worker:8080 --token-file staging.token
    """
    if daily is None and (staging or token_file):
        raise UsageError("--staging and --token-file are about a flow.", "Name it, too: --daily FLOW")
    if daily is not None:
        if course is not None or about_db:
            raise UsageError("With --daily nothing else is looked at.", "Leave the other out.")
        facts = facts_of(here.near(daily.absolute().parent), daily, staging, token_file)
        return _output(facts, _fact_lines(facts), 0 if all(fact.ok for fact in facts) else EXIT_STARTUP)
    if about_db:
        if course is not None:
            raise UsageError(
                "With --db nothing else is looked at.", "Another job table: clx doctor --db --db-path WHERE"
            )
        return _about_database(here)
    from clx.workers.supervision.checks import examine_workers

    examined = Here(course=course)
    resolved, types = examined.resolved, examined.types()
    findings = _places(resolved, course) + examine_workers(resolved, types)
    ok = all(finding.ok for finding in findings if finding.required)
    return _output(findings, _lines(findings), 0 if ok else EXIT_STARTUP)


def _output(found: list[Finding] | list[Fact], lines: Iterator[str], exit_code: int) -> Output:
    return Output({"ok": not exit_code, "findings": [asdict(each) for each in found]}, lines, exit_code=exit_code)


def _lines(findings: list[Finding]) -> Iterator[str]:
    for finding in findings:
        mark = "ok     " if finding.ok else "MISSING" if finding.required else "absent "
        yield f"{mark} {finding.needed_by:<9} {finding.name:<16} {finding.detail}"
        if not finding.ok:
            yield f"{'':18} {completed(finding.hint)}"


def _places(resolved: Resolved, course: Path | None) -> list[Finding]:
    """What of the project's own directory, or of the database it names, is not used before it is trusted."""
    from clx.db.state import StateDirectory
    from clx.workers.supervision.checks import Finding
    from clx.workers.supervision.service_state import STATE_FILE

    root = project_root(course.absolute().parent if course else Path.cwd())
    if (problem := resolved.untrusted().get("database.path")) is not None:
        fact = f"{problem.where}: {problem.fact}"
        return [Finding("database.path", "all", False, True, fact, problem.next_step, "database.path")]
    database = resolved.path("database.path") or root / ".clx" / "jobs.db"
    state = StateDirectory.of(database)
    try:
        state.require_sound()
        state.require_own(resolved)
        require_own(state.path / STATE_FILE)
    except UntrustedError as error:
        return [Finding(state.path.name, "all", False, True, error.fact, error.next_step)]
    return []


def _about_database(here: Here) -> Output:
    from clx.db.facts import examine

    with here.look() or nullcontext() as database:
        facts = examine(here.path, database)
    return _output(facts, _fact_lines(facts), 0 if all(fact.ok for fact in facts) else EXIT_DATABASE)


def _fact_lines(facts: list[Fact]) -> Iterator[str]:
    for fact in facts:
        yield f"{'ok     ' if fact.ok else 'PROBLEM'} {fact.name:<16} {fact.detail}"
        if fact.hint:
            yield f"{'':8}{completed(fact.hint)}"
