"""``clx new``."""

from __future__ import annotations

import shlex
import shutil
from importlib.resources import as_file, files
from pathlib import Path

import click

from clx.cli.options import verbose_option
from clx.cli.terminal import echo
from clx.errors import UsageError


def require_new(directory: Path) -> None:
    """See that something can be made in *directory*: it is not there yet, or empty.

    Raises:
        UsageError: it is neither.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageError(f"{directory} exists and is not an empty directory.", "Name a new directory.")


@click.command("new")
@click.argument("directory", type=click.Path(path_type=Path))
@verbose_option(passed=True, logs=False)
def command(directory: Path, verbose: bool) -> None:
    """Make a small course in DIRECTORY that builds, to start from.

    DIRECTORY must not exist yet, or be empty.

    \b
    Examples:
      clx new my-course
      clx build my-course/course.yaml
    """
    require_new(directory)
    try:
        with as_file(files("clx.course") / "starter") as starter:
            shutil.copytree(starter, directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    except OSError as error:
        raise UsageError(f"{directory} cannot be written: {error.strerror}.", "Name another directory.") from error
    if verbose:
        for path in sorted(directory.rglob("*")):
            echo(str(path))
    echo(f"Made a course in {directory}.")
    echo(f"Type: clx build {shlex.quote(str(directory / 'course.yaml'))}")
