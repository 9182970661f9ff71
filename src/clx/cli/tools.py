"""``clx tools list|install``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clx.cli import completing
from clx.cli.options import verbose_option
from clx.cli.output import Output, format_option
from clx.cli.project import Here
from clx.cli.terminal import echo
from clx.errors import ClxError, ToolMissingError
from clx.settings.resolve import Resolved
from clx.settings.schema import Settings
from clx.tools import TOOL_NAMES, install_hint, locate, require
from clx.tools.finding import SETTINGS
from clx.tools.pins import PINS

if TYPE_CHECKING:
    from collections.abc import Collection


@click.group("tools")
def command() -> None:
    """PlantUML, draw.io and what they need: found where, which version; fetch what is pinned.

    \b
    Examples:
      clx tools list
      clx tools install              what the course here needs, else everything
      clx tools install plantuml drawio
    """


@command.command("list")
@format_option
@verbose_option(logs=False)
def list_tools() -> Output:
    """Where each tool is and which version.

    \b
    Examples:
      clx tools list
      clx tools list --format json
    """
    resolved = Here().resolved
    rows = []
    for name in TOOL_NAMES:
        untrusted = resolved.untrusted().get(SETTINGS.get(name, ""))
        tool = None if untrusted else locate(name, resolved.settings)
        rows.append(
            {
                "name": name,
                "found": tool is not None,
                "path": str(tool.path) if tool else None,
                "version": tool.version if tool else None,
                "origin": tool.origin if tool else None,
                "install": None if tool or untrusted else install_hint(name),
                "untrusted": f"{untrusted.where}: {untrusted.fact}. {untrusted.next_step}" if untrusted else None,
            }
        )
    return Output({"tools": rows}, map(_line, rows))


def _line(row: dict[str, Any]) -> str:
    missing = f"not used: {row['untrusted']}" if row["untrusted"] else f"missing: {row['install']}"
    where = f"{row['path']} {row['version'] or ''} ({row['origin']})" if row["found"] else missing
    return f"{row['name']:<12} {where}"


@command.command("install")
@click.argument("names", metavar="[TOOL|COURSE]...", nargs=-1, shell_complete=completing.tools_or_courses)
@click.option("--all", "everything", is_flag=True, help="Everything that is missing here, whatever courses need.")
@verbose_option(logs=False)
def install_tools(names: tuple[str, ...], everything: bool) -> None:
    """Fetch pinned versions into the user's cache. Asks nothing; safe to run twice.

    Without a name: what the course.yaml of the current directory needs, else everything, and the line to type for
    what only the system's packages have. The browser (70 MB, from npm, x86-64 Linux) is fetched only where there is
    none, or by its name. Exit code 3 when something cannot be fetched, or a course that was looked at still lacks
    something.

    \b
    Examples:
      clx tools install
      clx tools install my-course/course.yaml
      clx tools install plantuml
      clx tools install --all
    """
    courses = [Path(name) for name in names if Path(name).suffix in {".yaml", ".yml"}]
    tools = [name for name in names if Path(name) not in courses]
    if not names and not everything and Path("course.yaml").is_file():
        courses = [Path("course.yaml")]
    resolved = Here(course=courses[0] if courses else None).resolved
    if everything or not (tools or courses):
        _install_all(TOOL_NAMES, tools, resolved)
        return
    for name in tools:
        _install(name, resolved)
    for course in courses:
        _install_for(course, tools, resolved)


def _install_for(course: Path, named: list[str], resolved: Resolved) -> None:
    """Install what a course needs and has not; ``ToolMissingError`` where something is still missing then."""
    from clx.course.needs import needed_types
    from clx.workers.supervision.health import require_tools, tools_of

    types = needed_types(course)
    needed = tools_of(types)
    echo(f"{course} needs {', '.join(needed)}" if needed else f"{course} needs no tools")
    _install_all(needed, named, resolved)
    for type_ in types:
        resolved.require_trusted(type_)
    require_tools(types, resolved.settings)


def _install_all(wanted: Collection[str], named: list[str], resolved: Resolved) -> None:
    """Install those of *wanted* that CLX has, the browser only where it was *named* or there is none."""
    for name in wanted:
        if name == "java":
            continue  # told with PlantUML, which is what needs it
        if name not in PINS:
            _name_missing(name, resolved)
        elif name != "browser" or name in named or not _leaves_browser(resolved.settings):
            _install(name, resolved)


def _install(name: str, resolved: Resolved) -> None:
    from clx.tools.install import install

    install(name, echo)
    if name == "plantuml":
        _prepare_plantuml(resolved)


def _name_missing(name: str, resolved: Resolved) -> None:
    """Say what to type for a tool that only the system's packages have, if it is not there."""
    if untrusted := resolved.untrusted().get(SETTINGS.get(name, "")):
        echo(f"{name} is not looked at: {untrusted.where}: {untrusted.fact}. {untrusted.next_step}")
        return
    try:
        require(name, resolved.settings)
    except ToolMissingError as error:
        echo(f"{error.fact} {error.next_step}")


def _leaves_browser(settings: Settings) -> bool:
    """Whether the browser is not to be fetched unless it is named, and a line that says why."""
    found = locate("browser", settings)
    if found is not None and found.origin != "cache":
        echo(f"browser is {found.path} ({found.origin}); `clx tools install browser` would fetch the pinned one")
    elif not PINS["browser"].runs_here():
        echo(f"browser is not there; for this machine type: {install_hint('browser')}")
    else:
        return False
    return True


def _prepare_plantuml(resolved: Resolved) -> None:
    """Do now what would delay the end of the first worker; PlantUML is installed also where this fails."""
    from clx.jobtypes.plantuml.renderer import prepare

    try:
        resolved.require_trusted("plantuml")
        prepare(resolved.settings)
    except ClxError as error:
        echo(f"plantuml cannot run yet: {error.fact.rstrip('.')}. {error.next_step}".rstrip())
