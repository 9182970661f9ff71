"""Writes ``docs/reference``: every command with its help, every setting, every exit code.

``python -m tests.support.reference DIRECTORY`` writes the pages; a test fails when they differ from what the
code says.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from clx import errors
from clx.cli.main import cli
from clx.settings.describe import describe
from clx.settings.problems import quoted

_WIDTH = 100


def pages() -> dict[str, str]:
    """File name → text of every generated page."""
    return {"commands.md": _commands(), "settings.md": _settings(), "exit-codes.md": _exit_codes()}


def _walk(command: click.Command, path: str) -> Iterator[tuple[str, click.Command, click.Context]]:
    widths = {"max_content_width": _WIDTH, "terminal_width": _WIDTH}
    context = click.Context(command, info_name=path, **{**cli.context_settings, **widths})
    yield path, command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None and not found.hidden:
                yield from _walk(found, f"{path} {name}")


def _commands() -> str:
    parts = ["# Commands", "", "Generated from the program by `make docs`; each page is what `--help` prints.", ""]
    for path, command, context in _walk(cli, "clx"):
        parts += [f"## {path}", "", "```text", command.get_help(context).rstrip(), "```", ""]
    return "\n".join(parts)


def _settings() -> str:
    parts = [
        "# Settings",
        "",
        "Generated from the program by `make docs`. Lowest to highest: default, system file, user file, project file",
        "(`.clx/config.toml`), environment, command line. Every key `a.b` has the variable `CLX_A__B`.",
        "`clx config show --origin` prints every value with its source.",
        "",
        "The last column says what becomes of a setting in a project file: it *holds*, or it *needs trust*, because it",
        "reaches outside of the project: then it holds after [`clx trust`](commands.md#clx-trust). Before that,",
        "what would use it ends with exit code 2. In all other places every setting is your own, and holds.",
        "",
        "| key | type | default | meaning | a project |",
        "|---|---|---|---|---|",
    ]
    for row in describe():
        cells = [str(cell).replace("|", "\\|").replace("\n", " ") for cell in row]
        default = "–" if row.default is None else f"`{quoted(row.default)}`"
        parts.append(f"| `{cells[0]}` | {cells[1]} | {default} | {cells[3]} | {cells[4]} |")
    return "\n".join([*parts, ""])


def _exit_codes() -> str:
    """From the constants of :mod:`clx.errors` and the text below each."""
    tree = ast.parse(Path(errors.__file__).read_text(encoding="utf-8"))
    rows = []
    for node, after in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name.startswith("EXIT_") and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                rows.append(f"| {getattr(errors, name)} | `{name}` | {after.value.value!s} |")
    head = ["# Exit codes", "", "Generated from `clx.errors` by `make docs`.", "", "| code | constant | meaning |"]
    return "\n".join([*head, "|---|---|---|", *rows, ""])


def main() -> None:
    """Write the pages below the directory named on the command line."""
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
