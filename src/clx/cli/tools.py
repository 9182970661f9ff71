"""``clx tools list|install``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from clx.cli.options import verbose_option


@click.group("tools")
def command() -> None:
    """PlantUML, draw.io and what they need: found where, which version; fetch what is pinned.

    \b
    Examples:
      clx tools list
      clx tools install plantuml drawio
      clx tools install --all
    """


@command.command("list")
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", help="How it is printed.")
@verbose_option
def list_tools(format_: str, verbose: bool) -> None:  # noqa: ARG001
    """Where each tool is and which version."""
    from clx.settings.resolve import resolve
    from clx.workers.tools import TOOL_NAMES, install_hint, locate

    settings = resolve(Path.cwd()).settings
    rows = []
    for name in TOOL_NAMES:
        tool = locate(name, settings)
        rows.append(
            {
                "name": name,
                "found": tool is not None,
                "path": str(tool.path) if tool else None,
                "version": tool.version if tool else None,
                "origin": tool.origin if tool else None,
                "install": None if tool else install_hint(name),
            }
        )
    if format_ == "json":
        click.echo(json.dumps({"tools": rows}, indent=2))
        return
    for row in rows:
        where = (
            f"{row['path']} {row['version'] or ''} ({row['origin']})" if row["found"] else f"missing: {row['install']}"
        )
        click.echo(f"{row['name']:<12} {where}")


@command.command("install")
@click.argument("names", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Everything CLX can install.")
@verbose_option
def install_tools(names: tuple[str, ...], everything: bool, verbose: bool) -> None:  # noqa: ARG001
    """Fetch pinned versions into the user's cache. Asks nothing; safe to run twice.

    \b
    Examples:
      clx tools install plantuml
      clx tools install --all
    """
    from clx.errors import UsageError
    from clx.workers.tools.install import install
    from clx.workers.tools.pins import PINS

    chosen = tuple(PINS) if everything else names
    if not chosen:
        raise UsageError("No tool was named.", f"Name some of: {', '.join(PINS)}; or use --all.")
    for name in chosen:
        install(name, click.echo)
