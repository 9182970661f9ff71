"""``clx doctor``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from clx.cli.options import verbose_option
from clx.errors import EXIT_DONE, EXIT_STARTUP


@click.command("doctor")
@click.argument("course", type=click.Path(path_type=Path), required=False)
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", help="How it is printed.")
@verbose_option
@click.pass_context
def command(context: click.Context, course: Path | None, format_: str, verbose: bool) -> None:  # noqa: ARG001
    """Say what this machine has for building courses, and what to type for what is missing.

    With COURSE only what that course needs is looked at. Exit code 3 when something needed is missing.

    \b
    Examples:
      clx doctor
      clx doctor course.yaml
    """
    from clx.settings.resolve import resolve
    from clx.workers.health import examine
    from clx.workers.kinds import KINDS

    settings = resolve((course or Path.cwd() / "x").absolute().parent).settings
    types = list(KINDS)
    if course is not None:
        from clx.course.needs import needed_types

        types = needed_types(course)
    findings = examine(types, settings)
    ok = all(finding.ok for finding in findings if finding.required)
    if format_ == "json":
        click.echo(json.dumps({"ok": ok, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        for finding in findings:
            mark = "ok     " if finding.ok else "MISSING" if finding.required else "absent "
            click.echo(f"{mark} {finding.needed_by:<9} {finding.name:<16} {finding.detail}")
            if not finding.ok:
                click.echo(f"{'':18} type: {finding.hint}")
    context.exit(EXIT_DONE if ok else EXIT_STARTUP)
