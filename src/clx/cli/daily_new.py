"""``clx daily new``."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from clx.cli.options import verbose_option
from clx.cli.terminal import echo
from clx.errors import UsageError

_SETTINGS = """# Which flows `clx routines work` and `clx start-services` run, and when they are due.
[python]
modules = ["flow"]
"""


@click.command("new")
@click.argument("directory", type=click.Path(path_type=Path))
@verbose_option(logs=False)
def new(directory: Path) -> None:
    """Make a flow with sample data in DIRECTORY, to start from.

    DIRECTORY must not exist yet, or be empty.

    \b
    Examples:
      clx daily new lab
      clx daily run lab/flow.py
    """
    from importlib.resources import files

    from clx.cli.new import require_new

    require_new(directory)
    try:
        (directory / ".clx").mkdir(parents=True, mode=0o700)
        (directory / ".clx" / "config.toml").write_text(_SETTINGS, encoding="utf-8")
        text = files("clx.daily").joinpath("starter", "flow.py").read_text(encoding="utf-8")
        (directory / "flow.py").write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{directory} cannot be written: {error.strerror}.", "Name another directory.") from error
    echo(f"Made a flow in {directory}.")
    echo(f"Type: clx daily run {shlex.quote(str(directory / 'flow.py'))}")
