"""``clx work deposit``: works from options, from files, from standard input."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from clx.cli import completing
from clx.cli.options import Number, verbose_option
from clx.cli.output import Output, format_option
from clx.cli.routine_options import texts, values
from clx.cli.terminal import echo
from clx.cli.work_options import There, about_works
from clx.cli.work_wait import waited
from clx.errors import UsageError
from clx.settings.problems import Problem, raise_problems, shortened
from clx.visible import visible_line

if TYPE_CHECKING:
    from clx.work.work import Work

_OF_BEFORE = ("id", "creation", "start", "stop", "attempt", "status", "results", "error", "progress", "run", "archived",
              "artifacts")  # fmt: skip
"""What is left out of a work that is deposited anew."""

_FOR_EVER = math.inf


class _Wait(Number):
    """Seconds within bounds, or as long as it takes, which is what the bare option means."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The seconds as typed."""
        return _FOR_EVER if value in ("inf", _FOR_EVER) else super().convert(value, param, ctx)


@click.command("deposit")
@click.option("--pipeline", metavar="NAME", shell_complete=completing.pipelines,
              help="What it is for; who withdraws works asks by this name.")  # fmt: skip
@click.option("--param", "-p", "params", multiple=True, metavar="NAME=VALUE",
              help="A parameter: 5, true, [1, 2] as JSON reads them, all else a text. Repeatable.")  # fmt: skip
@click.option("--param-json", metavar="JSON", help="Parameters as a JSON object; @FILE reads them from there.")
@click.option("--event", type=int, multiple=True, metavar="N", help="An event. Repeatable.")
@click.option("--tag", "tags", multiple=True, metavar="TEXT", help="A tag. Repeatable.")
@click.option("--group", multiple=True, metavar="TEXT", help="A group. Repeatable.")
@click.option("--site", metavar="SITE", help="Where it is to be done. [default: WORK_SITE, else local]")
@click.option("--user", metavar="USER", help="Whose it is. [default: the login name]")
@click.option("--parent", metavar="ID", help="What it is a part of.")
@click.option("--path", metavar="PATH", help="Where its files lie. [default: WORK_PATH, else .]")
@click.option("--function", metavar="MODULE.FUNCTION", help="What is to be called.")
@click.option("--command", metavar="WORDS", help="A program and its arguments, in the quotes that they need; no shell.")
@click.option("--priority", type=click.IntRange(1, 5), metavar="N", help="5 is withdrawn first. [default: 3]")
@click.option("--timeout", type=int, metavar="SECONDS", help="How long one attempt may take. [default: 3600]")
@click.option("--retries", type=click.IntRange(0, 5), metavar="N", help="Attempts in all. [default: 2]")
@click.option("--file", "files", multiple=True, metavar="FILE", type=click.Path(),
              help="Works as YAML or JSON, one or a list, or JSON lines; - reads standard input. Options then hold "
              "for all of them. Repeatable.")  # fmt: skip
@click.option("--anew", is_flag=True, help="Deposit works that were deposited before as new ones.")
@click.option("--wait", is_flag=False, flag_value="inf", type=_Wait(0, 24 * 3600), metavar="[S]",
              help="Wait until all have ended, S seconds at most; the exit code is of `clx work wait`.")  # fmt: skip
@about_works
@format_option
@verbose_option()
def deposit(
    there: There, params: tuple[str, ...], param_json: str | None, files: tuple[str, ...], anew: bool,
    wait: float | None, **fields: Any,
) -> Output:  # fmt: skip
    """Put works into their buckets, and print their ids.

    \b
    Examples:
      clx work deposit --pipeline detect --param threshold=5 --param site=aro --tag night --event 42
      clx work deposit --pipeline detect --param-json '{"window": [0, 10]}' --format json
      clx work deposit --file works.yaml --tag night
      clx work search --pipeline detect --format jsonl | clx work deposit --file - --anew
      clx work deposit --pipeline detect --wait 600
    """
    said = _said(fields)
    works = _works(said, _parameters(params, param_json), files, anew=anew)
    with there.make() as store:
        ids = store.deposit([each.payload for each in works])
        if wait is None:
            return Output({"ids": ids}, map(visible_line, ids))
        for each in ids:
            echo(visible_line(each), err=True)
        return waited(store, ids, None if wait == _FOR_EVER else wait)


def _said(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that options give."""
    said: dict[str, Any] = {name: list(each) if isinstance(each, tuple) else each for name, each in fields.items()}
    if said.get("command") is not None:
        try:
            said["command"] = shlex.split(said["command"])
        except ValueError as error:
            raise UsageError(f"--command: {error}.", "Write 'program argument', with quotes in pairs.") from None
    return {name: each for name, each in said.items() if each is not None and each != []}


def _parameters(params: tuple[str, ...], param_json: str | None) -> dict[str, Any]:
    given, read = {name: _value(text) for name, text in texts(params).items()}, values(param_json)
    if both := given.keys() & read.keys():
        raise UsageError(f"The parameter {shortened(min(both))} is given twice.", "Give each once.")
    return given | read


def _value(text: str) -> Any:
    """What JSON reads in *text*, or the text."""
    from clx.db.models import decode

    try:
        return decode(text)
    except (ValueError, RecursionError):
        return text


def _works(said: dict[str, Any], parameters: dict[str, Any], files: Sequence[str], *, anew: bool) -> list[Work]:
    """The works that the command line means, checked, all of them before any goes in."""
    from clx.work.reading import read_entries
    from clx.work.work import Work

    if not files:
        if "pipeline" not in said:
            raise UsageError("No pipeline was named.", "Type: clx work deposit --pipeline NAME, or --file FILE")
        return [Work(parameters=parameters or None, **said)]
    works: list[Work] = []
    problems: list[Problem] = []
    for place, document in (each for path in files for each in read_entries(path)):
        try:
            works.append(Work.from_dict(_document(document, said, parameters, anew=anew)))
        except UsageError as error:
            problems.append(Problem(place, error.fact.removesuffix("."), error.next_step))
    raise_problems(problems, UsageError, "works; nothing was deposited")
    if not works:
        raise UsageError("There is no work in that.", "Write one, with at least: pipeline: NAME")
    return works


def _document(
    document: Mapping[str, Any], said: Mapping[str, Any], parameters: Mapping[str, Any], *, anew: bool
) -> dict[str, Any]:
    """What a file says of a work, and over it what options say."""
    from clx.db.works.fields import known

    names = {name if name in _OF_BEFORE else known(name, _OF_BEFORE): name for name in document}
    if len(names) < len(document):
        raise UsageError("A field is given by two of its names.", "Give each once.")
    found = {field: document[name] for field, name in names.items() if not (anew and field in _OF_BEFORE)}
    if found.get("status") not in (None, "created"):
        status = shortened(str(found["status"]))
        raise UsageError(f"It was deposited before: it is {status}.", "Use --anew to do it again.")
    if parameters:
        own = found.get("parameters")
        found["parameters"] = {**(own if isinstance(own, Mapping) else {}), **parameters}
    return {**found, **said}
