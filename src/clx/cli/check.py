"""``clx check``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec.structs import asdict

from clx.cli.next_steps import completed
from clx.cli.options import settings_from, verbose_option
from clx.cli.output import Output, format_option
from clx.visible import visible_line

if TYPE_CHECKING:
    from clx.course.check import Checked


@click.command("check")
@click.argument("course", type=click.Path(path_type=Path))
@format_option
@verbose_option(logs=False)
@click.pass_context
def command(context: click.Context, /, course: Path) -> Output:
    """Say what a build of COURSE (a course.yaml) would refuse or warn of, without running or writing anything.

    Looked at are the course file, topics, decks (templates, markers, tags, links, formulas), files that are
    shown or included, diagrams as far as they are read without being drawn, settings and tools. Errors of cells
    and their outputs show only in a build.

    \b
    Examples:
      clx check course.yaml
      clx check course.yaml --format json     for an editor or a CI job

    \b
    Exit codes: 0 nothing, or only warnings; 2 mistakes for which a build would end, or leave something out.
    """
    from clx.course.check import check

    found = check(course, settings_from(context, course.absolute().parent))
    document = {"exit_code": found.exit_code, **asdict(found)}
    return Output(document, _lines(found), exit_code=found.exit_code)


def _lines(found: Checked) -> Iterator[str]:
    for label, texts in (("Error", found.mistakes), ("Warning", found.warnings), ("Hint", found.hints)):
        for text in texts:
            fact, *steps = text.split("\n")
            yield f"{label}: {visible_line(fact)}"
            yield from (f"  {visible_line(completed(step))}" for step in steps)
    numbers = ((len(found.mistakes), "mistake"), (len(found.warnings), "warning"))
    yield ", ".join(f"{number} {noun}" if number == 1 else f"{number} {noun}s" for number, noun in numbers) + "."
