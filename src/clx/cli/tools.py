"""``clx tools list|install``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clx.cli.options import verbose_option
from clx.cli.terminal import echo

if TYPE_CHECKING:
    from clx.settings.schema import Settings


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
    """Where each tool is and which version.

    \b
    Examples:
      clx tools list
      clx tools list --format json
    """
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
        echo(json.dumps({"tools": rows}, indent=2))
        return
    for row in rows:
        where = (
            f"{row['path']} {row['version'] or ''} ({row['origin']})" if row["found"] else f"missing: {row['install']}"
        )
        echo(f"{row['name']:<12} {where}")


@command.command("install")
@click.argument("names", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Everything that is missing here.")
@verbose_option
def install_tools(names: tuple[str, ...], everything: bool, verbose: bool) -> None:  # noqa: ARG001
    """Fetch pinned versions into the user's cache. Asks nothing; safe to run twice.

    With --all the browser (70 MB, from npm, x86-64 Linux) is fetched only where there is none.

    \b
    Examples:
      clx tools install plantuml
      clx tools install browser
      clx tools install --all
    """
    from clx.errors import UsageError
    from clx.settings.resolve import resolve
    from clx.workers.tools.install import install
    from clx.workers.tools.pins import PINS

    settings = resolve(Path.cwd()).settings
    if not names and not everything:
        raise UsageError("No tool was named.", f"Name some of: {', '.join(PINS)}; or use --all.")
    for name in PINS if everything else names:
        if name == "browser" and name not in names and _leaves_browser(settings):
            continue
        install(name, click.echo)
        if name == "plantuml":
            _prepare_plantuml(settings)


def _leaves_browser(settings: Settings) -> bool:
    """Whether ``--all`` does not fetch the browser, and a line that says why."""
    from clx.workers.tools import install_hint, locate
    from clx.workers.tools.pins import PINS

    found = locate("browser", settings)
    if found is not None and found.origin != "cache":
        echo(f"browser is {found.path} ({found.origin}); `clx tools install browser` would fetch the pinned one")
    elif not PINS["browser"].runs_here():
        echo(f"browser is not there; for this machine type: {install_hint('browser')}")
    else:
        return False
    return True


def _prepare_plantuml(settings: Settings) -> None:
    """Do now what would delay the end of the first worker; PlantUML is installed also where this fails."""
    from clx.errors import ClxError
    from clx.workers.plantuml.renderer import prepare

    try:
        prepare(settings)
    except ClxError as error:
        echo(f"plantuml cannot run yet: {error.fact} {error.next_step}".rstrip())
