"""What to type next is about the database that the command line named, too."""

from __future__ import annotations

import re
from typing import Any

import click
from click.core import ParameterSource

from clx.commands import on_database

_COMMAND = re.compile(r"\bclx [a-z][a-z-]+(?: [a-z][a-z-]+)?")
_REST = re.compile(r"(?:(?!\bclx )[^`\n;&])*")
"""How a command in a text goes on, at most."""
_typed: Any = None


def remember(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Callback of ``--db-path``: keeps what was typed; what a variable says holds for the next command anyway."""
    global _typed
    typed = parameter.name and context.get_parameter_source(parameter.name) == ParameterSource.COMMANDLINE
    _typed = value if typed else None
    return value


def completed(text: str) -> str:
    """*text* with ``--db-path`` in every command in it that takes one and has none, if one was typed."""
    return text if _typed is None else _COMMAND.sub(_complete, text)


def _complete(found: re.Match[str]) -> str:
    rest = _REST.match(found.string, found.end())
    if rest is None or "--db-path" in rest[0]:
        return found[0]
    words = _words(found[0].split()[1:])
    if not words:
        return found[0]
    command = " ".join(["clx", *words])
    return on_database(command, _typed) + found[0].removeprefix(command)


def _words(words: list[str]) -> list[str]:
    """Those of *words* that name a command which takes ``--db-path``; none when they name another."""
    from clx.cli.main import cli

    command: click.Command | None = cli
    context, named = click.Context(cli), []
    for word in words:
        if not isinstance(command, click.Group):
            break
        command = command.get_command(context, word)
        named.append(word)
    return named if command and any(each.name == "db_path" for each in command.params) else []
