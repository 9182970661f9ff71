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
from clx.tools.catalog import PINS, TOOLS, install_hint
from clx.tools.finding import locate, require

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
    for name, known in TOOLS.items():
        untrusted = resolved.untrusted().get(known.setting)
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
        _install_all(TOOLS, tools, resolved)
        return
    for name in tools:
        _install(name, resolved)
    for course in courses:
        _install_for(course, tools, resolved)


def _install_for(course: Path, named: list[str], resolved: Resolved) -> None:
    """Install what a course needs and has not.

    Raises:
        CourseError: the course cannot be read.
        ToolMissingError: something that it needs is still missing.
    """
    from clx.course.worker_types import worker_types
    from clx.workers.supervision.checks import require_tools, tools_of

    types = worker_types(course, resolved.settings)
    needed = tools_of(types)
    echo(f"{course} needs {', '.join(needed)}" if needed else f"{course} needs no tools")
    _install_all(needed, named, resolved)
    for type_ in types:
        resolved.require_trusted(type_)
    require_tools(types, resolved.settings)


def _install_all(wanted: Collection[str], named: list[str], resolved: Resolved) -> None:
    """Install those of *wanted* that CLX has; what systems have, too, only where it was *named* or there is none."""
    for name in wanted:
        if TOOLS[name].told_with:
            continue
        if name not in PINS:
            _name_missing(name, resolved)
        elif not TOOLS[name].packages or name in named or not _is_left(name, resolved.settings):
            _install(name, resolved)


def _install(name: str, resolved: Resolved) -> None:
    from clx.tools.install import install

    install(name, echo)
    if TOOLS[name].prepare:
        _prepare(name, resolved)


def _name_missing(name: str, resolved: Resolved) -> None:
    """Say what to type for a tool that only the system's packages have, if it is not there."""

    if untrusted := resolved.untrusted().get(TOOLS[name].setting):
        echo(f"{name} is not looked at: {untrusted.where}: {untrusted.fact}. {untrusted.next_step}")
        return
    try:
        require(name, resolved.settings)
    except ToolMissingError as error:
        echo(f"{error.fact} {error.next_step}")


def _is_left(name: str, settings: Settings) -> bool:
    """Whether a tool is not to be fetched unless it is named, and a line that says why."""
    found = locate(name, settings)
    if found is not None and found.origin != "cache":
        echo(f"{name} is {found.path} ({found.origin}); `clx tools install {name}` would fetch the pinned one")
    elif not PINS[name].runs_here():
        echo(f"{name} is not there; for this machine type: {install_hint(name)}")
    else:
        return False
    return True


def _prepare(name: str, resolved: Resolved) -> None:
    """Do now what would delay the first worker; the tool is installed also where this fails."""
    from clx.jobtypes.jobtype import named
    from clx.jobtypes.registry import JOB_TYPES

    try:
        for type_ in JOB_TYPES.values():
            if name in type_.tools:
                resolved.require_trusted(type_.name)
        named(TOOLS[name].prepare)(resolved.settings)
    except ClxError as error:
        echo(f"{name} cannot run yet: {error.fact.rstrip('.')}. {error.next_step}".rstrip())
