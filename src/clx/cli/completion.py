"""``clx completion``: what makes a shell complete command lines of ``clx``."""

from __future__ import annotations

import click

from clx.cli.terminal import echo


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print what makes SHELL complete commands, options, and ids, types, settings, targets and workers.

    \b
    Examples:
      eval "$(clx completion bash)"      in ~/.bashrc; Bash 4.4 or newer
      eval "$(clx completion zsh)"       in ~/.zshrc, behind compinit
      clx completion fish > ~/.config/fish/completions/clx.fish
      clx completion bash > /etc/bash_completion.d/clx
    """
    from click.shell_completion import get_completion_class

    from clx.cli.main import COMPLETE, cli

    found = get_completion_class(shell)
    assert found is not None  # click knows all three
    echo(found(cli, {}, "clx", COMPLETE).source(), nl=False)
