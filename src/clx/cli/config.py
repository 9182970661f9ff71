"""``clx config show|path|init|set|check``."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from clx.cli import completing
from clx.cli.options import verbose_option
from clx.cli.output import Output, format_option, table
from clx.cli.project import Here
from clx.cli.terminal import echo
from clx.cli.trust import settings_with, trust_reached
from clx.db.of_project import project_root
from clx.errors import DatabaseError, SettingsError, UsageError
from clx.settings import secret
from clx.settings.describe import describe
from clx.settings.keys import InvalidValueError, Key, all_keys
from clx.settings.owners import require_own
from clx.settings.problems import Problem, closest, raise_problems
from clx.settings.resolve import SettingsFile, problems_of, settings_files
from clx.settings.write import set_value, text_with, write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clx.settings.origin import Origin

Scope = Literal["system", "user", "project"]


def _scope_option(command: Callable[..., Any]) -> Callable[..., Any]:
    for scope, help_ in (
        ("system", "The file for everybody on this machine."),
        ("user", "The file for all of your projects."),
        ("project", "The file of this project. [default]"),
    ):
        command = click.option(f"--{scope}", "scope", flag_value=scope, help=help_)(command)
    return command


@click.group("config")
def command() -> None:
    """Settings: what they are and where each one comes from.

    Lowest to highest: defaults, system file, user file, project file (.clx/config.toml), variables
    (CLX_WORKERS__NOTEBOOK__COUNT), options.

    \b
    Examples:
      clx config show --origin
      clx config init
      clx config set workers.notebook.count 4
      clx config check
    """


@command.command("show")
@click.argument("keys", metavar="[KEY]...", nargs=-1, shell_complete=completing.setting_keys(sections=True))
@click.option("--origin", is_flag=True, help="Also where each value comes from: file and line, variable or default.")
@format_option
@verbose_option()
def show(keys: tuple[str, ...], origin: bool) -> Output:
    """Every setting with its value, or only those named.

    KEY is a setting or a whole section.

    \b
    Examples:
      clx config show
      clx config show workers.notebook jobs.lease
      clx config show --origin workers.notebook.count workers.default_worker_count
      clx config show --format json
    """
    known = {key for name in keys for key in _keys_of(name)}
    rows = [row for row in _shown_values() if not known or row[0] in known]
    cells = [(name, _written(value), where.where) for name, value, where in rows]
    shown = (
        table(("SETTING", "VALUE", "FROM"), cells) if origin else table(("SETTING", "VALUE"), [c[:2] for c in cells])
    )
    document = {name: {"value": value, "origin": where.kind, "where": where.where} for name, value, where in rows}
    return Output({"settings": document}, [shown])


def _shown_values() -> Iterator[tuple[str, Any, Origin]]:
    for name, value, where in Here().resolved.items():
        yield name, secret.shown(name, value), where


def _written(value: Any) -> str:
    return "–" if value is None else json.dumps(value, ensure_ascii=False)


def _keys_of(name: str) -> list[str]:
    """The settings of the section of that name, or the one setting; ``UsageError`` where there is neither."""
    return [key for key in all_keys() if key.startswith(f"{name}.")] or [_key(name).name]


def _key(name: str) -> Key:
    """The setting of that name; ``UsageError`` where there is none."""
    found = all_keys().get(name)
    if found is None:
        near = closest(name, all_keys())
        raise UsageError(
            f"{name} is not a setting.", f'Did you mean "{near}"?' if near else "`clx config show` lists them."
        )
    return found


@command.command("path")
@format_option
@verbose_option()
def paths() -> Output:
    """The files that are read here, lowest first, and whether they exist.

    \b
    Examples:
      clx config path
      clx config path --format json
    """
    rows = [(scope, path, os.path.lexists(path)) for scope, path in _files().items()]
    files = [{"kind": scope, "path": str(path), "exists": there} for scope, path, there in rows]
    cells = [(scope, "yes" if there else "no", str(path)) for scope, path, there in rows]
    return Output({"files": files}, [table(("KIND", "EXISTS", "PATH"), cells)])


def _files() -> dict[Scope, Path]:
    """The file of every scope; the project's where it is or would be made."""
    found: dict[Scope, Path] = {file.kind: file.path for file in settings_files(Path.cwd())}
    found.setdefault("project", project_root(Path.cwd()) / ".clx" / "config.toml")
    return found


@command.command("init")
@_scope_option
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@verbose_option()
def init(scope: Scope | None, force: bool) -> None:
    """Write a settings file with every setting, commented out.

    Each stands with its default and its meaning.

    \b
    Examples:
      clx config init
      clx config init --user
    """
    scope = scope or "project"
    path = _files()[scope]
    if os.path.lexists(path) and not force:
        raise UsageError(f"{path} is there already.", "Change it with `clx config set`, or replace it with --force.")
    if scope == "project":
        _ignore_state(path.parent)
    write_text(path, _template())
    echo(f"Wrote {path}")


def _ignore_state(directory: Path) -> None:
    """Keep all in ``.clx`` but the settings out of version control; ``UntrustedError`` where none would be read."""
    from clx.db.state import StateDirectory

    for path in (directory, directory / "config.toml"):
        require_own(path)
    try:
        StateDirectory.of(directory / "jobs.db").prepare()
    except DatabaseError as error:
        raise SettingsError(
            f"The directory of the settings cannot be made: {directory}.", "Make it writable."
        ) from error


def _template() -> str:
    import textwrap

    import tomli_w

    lines = ["# Settings of CLX. Take the # from a line to change it; `clx config show --origin` tells what holds.", ""]
    section = ""
    for setting in describe():
        table, _, name = setting.key.rpartition(".")
        if table != section:
            lines += [f"[{table}]"] if not section else ["", f"[{table}]"]
            section = table
        text = f"{setting.doc} It is {setting.type}."
        lines += [f"# {line}" for line in textwrap.wrap(" ".join(text.split()), 96)]
        value = tomli_w.dumps({name: setting.default}).rstrip() if setting.default is not None else f"{name} = …"
        lines.append(f"# {value}")
    return "\n".join(lines) + "\n"


class _WithNegativeValues(click.Command):
    """Takes ``-1`` for the value that it is, to be told why it will not do, rather than for an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.ignore_unknown_options = any(re.match(r"-[.\d]", word) for word in args)
        return super().parse_args(ctx, args)


@command.command("set", cls=_WithNegativeValues)
@click.argument("key", shell_complete=completing.setting_keys(sections=False))
@click.argument("value", shell_complete=completing.setting_values)
@_scope_option
@verbose_option()
def set_one(key: str, value: str, scope: Scope | None) -> None:
    """Give a setting a value in a file. Everything else in the file stays as it is.

    What the settings would not be sound with is not written. What was wrong before is told as a warning: of two
    mistakes one can be mended at a time.

    \b
    Examples:
      clx config set workers.notebook.count 4
      clx config set workers.drawio.image clx-drawio:1
      clx config set workers.drawio.execution_mode docker
      clx config set --user notebook.python ~/venvs/course/bin/python
    """
    found = _key(key)
    try:
        checked = found.check(value, text=True)
    except InvalidValueError as error:
        raise UsageError(f"{key}: {error.fact}.", error.next_step) from error
    scope = scope or "project"
    path = _files()[scope]
    before = _problems_with({})

    def check(text: str) -> None:
        known = {each.fact for each in before}
        new = [each for each in _problems_with({path: text}) if each.fact not in known]
        if new:
            facts = "; ".join(each.fact for each in new)
            raise SettingsError(
                f"{key} = {_written(secret.shown(key, checked))} is not written: {facts}.", new[0].next_step
            )

    check(text_with(path, key, checked))  # before a directory is made for it
    if scope == "project":
        _ignore_state(path.parent)
    set_value(path, key, checked, check)
    if scope == "project":
        try:
            settings = settings_with(path)
        except SettingsError:  # told anyway
            pass
        else:
            trust_reached(settings, key)  # what was typed here, and nothing else that the project's file sets
    echo(f"{key} = {_written(secret.shown(key, checked))} in {path}")
    try:
        raise_problems(_problems_with({}), SettingsError, "the settings")
    except SettingsError as error:
        echo("It is written, but not all settings are sound yet.", label="Warning", err=True)
        echo(str(error), err=True)
        return
    origin = Here().resolved.origin(key)
    if not origin.where.startswith(str(path)):
        echo(f"It does not hold here: {origin.where} sets it too and comes later.", err=True)


def _problems_with(texts: dict[Path, str]) -> list[Problem]:
    """What is wrong with the settings here if files hold these *texts*."""
    return problems_of([SettingsFile(kind, path) for kind, path in _files().items()], texts)


@command.command("check")
@format_option
@verbose_option()
def check() -> Output:
    """See that the settings are sound, in every file and variable.

    Exit code 2 with file, line and reason where one is not.

    \b
    Examples:
      clx config check
      clx config check --format json
    """
    workers = Here().resolved.workers().values()
    known = {each.type: {"mode": each.mode, "count": each.count, "image": each.image} for each in workers}
    lines = [
        f"{each.type}: {each.count} worker(s), {each.mode}"
        f"{f' from {each.image}' if each.mode == 'docker' else ''} ({each.count_origin})"
        for each in workers
    ]
    return Output({"ok": True, "workers": known}, [*lines, "The settings are sound."])
