"""What to type next is about the database, or the server, that the command line named, too."""

from __future__ import annotations

import re
from typing import Any

import click
from click.core import ParameterSource

from clx.commands import on_database, on_server

_COMMAND = re.compile(r"\bclx [a-z][a-z-]+(?: [a-z][a-z-]+)?")
_REST = re.compile(r"(?:(?!\bclx )[^`\n;&])*")
"""How a command in a text goes on, at most."""
_NAMED = {"db_path": on_database, "url": on_server}
"""Parameter that names where → what writes it into a command."""
_typed: dict[str, Any] = {}


def remember(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Callback of ``--db-path`` and ``--url``: keeps what was typed; what a variable says holds for the next anyway."""
    name = parameter.name or ""
    _typed.pop(name, None)
    if context.get_parameter_source(name) == ParameterSource.COMMANDLINE:
        _typed[name] = value
    return value


def completed(text: str) -> str:
    """*text* with ``--db-path`` or ``--url`` in every command in it that takes one and has none, if one was typed."""
    return _COMMAND.sub(_complete, text) if _typed else text


def _complete(found: re.Match[str]) -> str:
    rest = _REST.match(found.string, found.end())
    if rest is None or "--db-path" in rest[0] or "--url" in rest[0]:
        return found[0]
    for parameter, value in _typed.items():
        words = _words(found[0].split()[1:], parameter)
        if words:
            command = " ".join(["clx", *words])
            return _NAMED[parameter](command, value) + found[0].removeprefix(command)
    return found[0]


def _words(words: list[str], parameter: str) -> list[str]:
    """Those of *words* that name a command which takes a *parameter*; none when they name another."""
    from clx.cli.main import cli

    command: click.Command | None = cli
    context, named = click.Context(cli), []
    for word in words:
        if not isinstance(command, click.Group):
            break
        command = command.get_command(context, word)
        named.append(word)
    return named if command and any(each.name == parameter for each in command.params) else []
