"""What to type next is about the database, the server or the flow that the command line named, too."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from clx.commands import on_database, on_server

_COMMAND = re.compile(r"\bclx [a-z][a-z-]+(?: [a-z][a-z-]+)?")
_REST = re.compile(r"(?:(?!\bclx )[^`\n;&])*")
"""How a command in a text goes on, at most."""
_NAMED = {"db_path": on_database, "url": on_server}
"""Parameter that names where → what writes it into a command."""
_FLOW, _FOUND = "file", "found"
"""Parameter that is the file of a flow; and what the table is kept as that nobody typed."""
_typed: dict[str, Any] = {}


def remember(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Callback of ``--db-path`` and ``--url``: keeps what was typed; what a variable says holds for the next anyway."""
    name = parameter.name or ""
    for each in (name, _FLOW, _FOUND):
        _typed.pop(each, None)
    if context.get_parameter_source(name) == ParameterSource.COMMANDLINE:
        _typed[name] = value
    return value


def about(flow: Path | None, database: Callable[[], Path | None] = lambda: None) -> None:
    """Keep which flow was typed, and in which table it runs, where commands typed in this directory find another.

    Args:
        database: says which; asked only where something is told to type next, for it reads settings.
    """
    if flow is not None:
        _typed[_FLOW] = flow
    _typed[_FOUND] = database


def completed(text: str) -> str:
    """*text* with what was typed in every command in it that takes it and does not say it: ``--db-path``, ``--url``.

    So with the flow that ``clx daily`` was told of, and for other commands with the table that this flow runs in.
    """
    return _COMMAND.sub(_complete, text) if _typed else text


def _complete(found: re.Match[str]) -> str:
    rest = _REST.match(found.string, found.end())
    words, takes = _command(found[0].split()[1:])
    if rest is None:
        return found[0]
    command = told = " ".join(["clx", *words])
    if "--db-path" not in rest[0] and "--url" not in rest[0]:
        if named := [each for each in _typed if each in _NAMED and each in takes]:
            told = _NAMED[named[0]](told, _typed[named[0]])
        elif _FOUND in _typed and "db_path" in takes and _FLOW not in takes:  # a flow is in its table anyway
            there = _typed[_FOUND]()
            told = told if there is None else on_database(told, there)
    if takes.get(_FLOW) and _FLOW in _typed and ".py" not in rest[0]:
        told += f" {shlex.quote(str(_typed[_FLOW]))}"
    return told + found[0].removeprefix(command)


def _command(words: list[str]) -> tuple[list[str], dict[str, bool]]:
    """Those of *words* that name a command, and its parameters: whether each is its one argument."""
    from clx.cli.main import cli

    command: click.Command | None = cli
    context, named = click.Context(cli), []
    for word in words:
        if not isinstance(command, click.Group):
            break
        command = command.get_command(context, word)
        named.append(word)
    parameters = command.params if command else []
    arguments = [each for each in parameters if isinstance(each, click.Argument)]
    return named, {each.name or "": arguments == [each] for each in parameters}
