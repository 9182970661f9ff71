"""``clx help``."""

from __future__ import annotations

import click

from clx.cli.completing import command_names
from clx.cli.terminal import echo


@click.command("help")
@click.argument("words", metavar="[COMMAND]...", nargs=-1, shell_complete=command_names)
@click.pass_context
def command(context: click.Context, words: tuple[str, ...]) -> None:
    """Show the help of a command, as its --help does.

    \b
    Examples:
      clx help
      clx help build
      clx help jobs retry
    """
    shown = context.find_root()
    for word in words:
        if not isinstance(shown.command, click.Group):
            raise click.UsageError(f"{shown.command_path} has no commands.", shown)
        name, found, _ = shown.command.resolve_command(shown, [word])
        assert found is not None  # else it was told
        shown = click.Context(found, info_name=name, parent=shown)
    echo(shown.get_help())
