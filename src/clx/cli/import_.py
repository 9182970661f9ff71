"""``clx import``."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from clx.cli.displays import counted
from clx.cli.options import verbose_option
from clx.cli.terminal import echo
from clx.errors import UsageError


@click.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Directory to write to.")
@click.option("--force", is_flag=True, help="Replace files that are there already.")
@verbose_option(logs=False)
@click.pass_context
def command(ctx: click.Context, source: Path, output: Path | None, force: bool) -> None:
    """Turn notebooks into decks.

    SOURCE is a notebook (.ipynb), a Quarto, R Markdown or MyST document, or a directory of them. A file becomes a deck
    beside it; a directory becomes a course, in SOURCE-course, with a section and a topic for each directory that holds
    notebooks. What is mapped, and what is left out, is said. Files that are there already are not replaced.

    \b
    Examples:
      clx import lesson.ipynb
      clx import notebooks -o my-course
      clx build my-course/course.yaml
    """
    from clx.course.import_course import import_directory, import_file  # what reads notebooks is heavy

    if not source.exists():
        raise UsageError(f"{source} is not there.", "Name a notebook, or a directory of them.")
    if source.is_dir():
        target = output or source.resolve().with_name(f"{source.resolve().name}-course")
        result = import_directory(source, target, force=force, tell=echo)
    else:
        result = import_file(source, output or source.parent, force=force, tell=echo)
    for error in result.failed:
        echo(str(error), label="Error", err=True)
    if result.course:
        echo(f"Made a course of {counted(len(result.decks), 'deck')}.")
        echo(f"Type: clx build {shlex.quote(str(result.course))}")
    elif result.topics:
        echo(f"Add to the sections of course.yaml, under topics: {', '.join(result.topics)}")
    if result.failed:
        ctx.exit(1)
