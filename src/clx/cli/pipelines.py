"""``clx pipelines``: files of steps are checked, deployed, and looked after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clx.cli.options import verbose_option
from clx.cli.output import Output, format_option
from clx.cli.pipelines_change import deploy, pause, remove, resume, retry, stop, wait
from clx.cli.pipelines_show import list_them, ps, show
from clx.cli.terminal import echo
from clx.errors import EXIT_DONE, EXIT_USAGE
from clx.visible import visible_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clx.pipelines.document import Config
    from clx.settings.problems import Problem


@click.group("pipelines")
def command() -> None:
    """Pipelines: steps that become works, stage by stage, as a file of YAML says.

    \b
    Examples:
      clx pipelines check pipeline.yaml
      clx pipelines deploy pipeline.yaml --wait
      clx pipelines ps
      clx pipelines graph pipeline.yaml
    """


@command.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@format_option
@verbose_option(logs=False)
def check(file: Path) -> Output:
    """Say what is wrong in FILE, and how many works it comes to.

    All of it with line and column. Nothing is run.

    \b
    Examples:
      clx pipelines check pipeline.yaml
      clx pipelines check pipeline.yaml --format json     for an editor or a CI job

    \b
    Exit codes: 0 nothing, or only warnings; 2 mistakes for which it would not be deployed.
    """
    from clx.pipelines.document import PipelineProblems, load

    try:
        config = load(file)
    except PipelineProblems as error:
        if not error.problems:  # it could not even be read
            raise
        return _checked(error.problems, error.warnings, None)
    return _checked((), config.warnings, config)


@command.command("graph")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", "format_", type=click.Choice(["text", "dot", "mermaid", "svg"]), default="text",
              help="How it is drawn.")  # fmt: skip
@verbose_option(logs=False)
def graph(file: Path, format_: str) -> None:
    """Draw the stages of FILE, with the steps and works of each.

    \b
    Examples:
      clx pipelines graph pipeline.yaml
      clx pipelines graph pipeline.yaml --format svg > pipeline.svg
      clx pipelines graph pipeline.yaml --format dot | dot -Tpdf > pipeline.pdf
    """
    from clx.pipelines.document import load
    from clx.pipelines.graph import DRAWN

    echo(DRAWN[format_](load(file)))


def _checked(problems: Sequence[Problem], warnings: Sequence[Problem], config: Config | None) -> Output:
    from clx.pipelines.graph import works_in

    code = EXIT_USAGE if problems else EXIT_DONE
    document: dict[str, Any] = {
        "exit_code": code,
        "mistakes": [each._asdict() for each in problems],
        "warnings": [each._asdict() for each in warnings],
    }
    lines = [*_told("Error", problems), *_told("Warning", warnings)]
    if config is not None:
        works, later = works_in(config)
        pipelines = len(config.assignments())
        document |= {"name": config.name, "pipelines": pipelines, "steps": len(config.steps)}
        document |= {"works": works, "decided_later": later}
        lines.append(
            visible_line(f"{config.name}: {_number(pipelines, 'pipeline')}, {_number(works, 'work')}{_and(later)}.")
        )
    found = ((len(problems), "mistake"), (len(warnings), "warning"))
    lines.append(", ".join(_number(number, noun) for number, noun in found) + ".")
    return Output(document, lines, exit_code=code)


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _and(later: Sequence[str]) -> str:
    return f", and as many of {', '.join(later)} as earlier steps say" if later else ""


def _told(label: str, found: Sequence[Problem]) -> Iterator[str]:
    for where, fact, step in found:
        yield f"{label}: {visible_line(f'{where}: {fact}')}"
        if step:
            yield f"  {visible_line(step)}"


for each in (deploy, list_them, ps, show, wait, pause, resume, stop, retry, remove):
    command.add_command(each)
