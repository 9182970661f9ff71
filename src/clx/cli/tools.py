"""``clx tools list|install``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clx.cli import completing
from clx.cli.options import verbose_option
from clx.cli.terminal import echo
from clx.tools.catalog import TOOLS

if TYPE_CHECKING:
    from collections.abc import Collection

    from clx.settings.resolve import Resolved
    from clx.settings.schema import Settings


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
    from clx.tools.catalog import install_hint
    from clx.tools.finding import locate

    resolved = resolve(Path.cwd())
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
    if format_ == "json":
        echo(json.dumps({"tools": rows}, indent=2))
        return
    for row in rows:
        missing = f"not used: {row['untrusted']}" if row["untrusted"] else f"missing: {row['install']}"
        where = f"{row['path']} {row['version'] or ''} ({row['origin']})" if row["found"] else missing
        echo(f"{row['name']:<12} {where}")


@command.command("install")
@click.argument("names", metavar="[TOOL|COURSE]...", nargs=-1, shell_complete=completing.tools_or_courses)
@click.option("--all", "everything", is_flag=True, help="Everything that is missing here, whatever courses need.")
@verbose_option
def install_tools(names: tuple[str, ...], everything: bool, verbose: bool) -> None:  # noqa: ARG001
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
    resolved = _resolved(courses)
    if everything or not (tools or courses):
        _install_all(TOOLS, tools, resolved)
        return
    for name in tools:
        _install(name, resolved)
    for course in courses:
        _install_for(course, tools, resolved)


def _resolved(courses: list[Path]) -> Resolved:
    """The settings that hold for the first of *courses*, else here."""
    from clx.settings.resolve import resolve

    return resolve(courses[0].absolute().parent if courses else Path.cwd())


def _install_for(course: Path, named: list[str], resolved: Resolved) -> None:
    """Install what a course needs and has not.

    Raises:
        CourseError: the course cannot be read.
        ToolMissingError: something that it needs is still missing.
    """
    from clx.course.worker_types import worker_types
    from clx.workers.supervision.checks import require_tools, tools_of

    types = worker_types(course)
    needed = tools_of(types)
    echo(f"{course} needs {', '.join(needed)}" if needed else f"{course} needs no tools")
    _install_all(needed, named, resolved)
    for type_ in types:
        resolved.require_trusted(type_)
    require_tools(types, resolved.settings)


def _install_all(wanted: Collection[str], named: list[str], resolved: Resolved) -> None:
    """Install those of *wanted* that CLX has; what systems have, too, only where it was *named* or there is none."""
    from clx.tools.catalog import PINS

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
    from clx.errors import ToolMissingError
    from clx.tools.finding import require

    if untrusted := resolved.untrusted().get(TOOLS[name].setting):
        echo(f"{name} is not looked at: {untrusted.where}: {untrusted.fact}. {untrusted.next_step}")
        return
    try:
        require(name, resolved.settings)
    except ToolMissingError as error:
        echo(f"{error.fact} {error.next_step}")


def _is_left(name: str, settings: Settings) -> bool:
    """Whether a tool is not to be fetched unless it is named, and a line that says why."""
    from clx.tools.catalog import PINS, install_hint
    from clx.tools.finding import locate

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
    from clx.errors import ClxError
    from clx.jobtypes.jobtype import named
    from clx.jobtypes.registry import JOB_TYPES

    try:
        for type_ in JOB_TYPES.values():
            if name in type_.tools:
                resolved.require_trusted(type_.name)
        named(TOOLS[name].prepare)(resolved.settings)
    except ClxError as error:
        echo(f"{name} cannot run yet: {error.fact.rstrip('.')}. {error.next_step}".rstrip())
