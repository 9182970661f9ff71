"""``clx doctor``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clx.cli.next_steps import completed
from clx.cli.options import database_option, settings_from, verbose_option
from clx.cli.terminal import echo
from clx.errors import EXIT_DATABASE, EXIT_DONE, EXIT_STARTUP

if TYPE_CHECKING:
    from clx.settings.resolve import Resolved
    from clx.workers.supervision.checks import Finding


@click.command("doctor")
@click.argument("course", type=click.Path(path_type=Path), required=False)
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", help="How it is printed.")
@click.option("--db", "about_database", is_flag=True, help="About the job table instead: SQLite, disk, clock, bells.")
@database_option
@verbose_option
@click.pass_context
def command(
    context: click.Context,
    course: Path | None,
    format_: str,
    about_database: bool,
    db_path: Path | None,
    verbose: bool,  # noqa: ARG001
) -> None:
    """Say what this machine has for building courses, and what to type for what is missing.

    With COURSE only what that course needs is looked at. Exit code 3 when something needed is missing.

    \b
    Examples:
      clx doctor
      clx doctor course.yaml
      clx doctor --db                     SQLite, file system, durability, clock, who wakes whom
    """
    if about_database:
        context.exit(_about_database(context, db_path, format_))
    from clx.settings.resolve import resolve
    from clx.workers.supervision.checks import examine_workers

    resolved = resolve((course or Path.cwd() / "x").absolute().parent)
    types = list(resolved.served_types())
    if course is not None:
        from clx.course.worker_types import worker_types

        types = worker_types(course)
    findings = _places(resolved, course) + examine_workers(resolved, types)
    ok = all(finding.ok for finding in findings if finding.required)
    if format_ == "json":
        echo(json.dumps({"ok": ok, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        for finding in findings:
            mark = "ok     " if finding.ok else "MISSING" if finding.required else "absent "
            echo(f"{mark} {finding.needed_by:<9} {finding.name:<16} {finding.detail}")
            if not finding.ok:
                echo(f"{'':18} {completed(finding.hint)}")
    context.exit(EXIT_DONE if ok else EXIT_STARTUP)


def _places(resolved: Resolved, course: Path | None) -> list[Finding]:
    """What of the project's own directory, or of the database it names, is not used before it is trusted."""
    from clx.cli.project import project_root
    from clx.db.state import StateDirectory
    from clx.errors import UntrustedError
    from clx.settings.owners import require_own
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


def _about_database(context: click.Context, db_path: Path | None, format_: str) -> int:
    from clx.cli.project import database_path, open_to_look
    from clx.db.sqlite.facts import examine

    resolved = settings_from(context, Path.cwd())
    database = open_to_look(resolved, db_path)
    try:
        facts = examine(database_path(resolved, db_path), database)
    finally:
        if database is not None:
            database.close()
    ok = all(fact.ok for fact in facts)
    if format_ == "json":
        echo(json.dumps({"ok": ok, "findings": [asdict(fact) for fact in facts]}, indent=2))
    else:
        for fact in facts:
            echo(f"{'ok     ' if fact.ok else 'PROBLEM'} {fact.name:<16} {fact.detail}")
            if fact.hint:
                echo(f"{'':8}{completed(fact.hint)}")
    return EXIT_DONE if ok else EXIT_DATABASE
