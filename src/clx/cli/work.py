"""``clx work deposit|show|run``."""

from __future__ import annotations

from typing import Any

import click

from clx.cli.options import verbose_option
from clx.cli.output import Output, format_option
from clx.cli.routine_options import texts, values
from clx.cli.work_display import told
from clx.cli.work_options import There, about_works
from clx.cli.work_run import run
from clx.errors import UsageError


@click.group("work")
def command() -> None:
    """Works: everything about one piece of work, from its deposit to its results.

    \b
    Examples:
      clx work deposit --pipeline detect --param threshold=5 --tag night
      clx work show 68b1c2d3e4f5a6b7c8d9e0f1
      clx work run detect shop.detect.main
    """


@command.command("deposit")
@click.option("--pipeline", metavar="NAME", help="What it is for; who withdraws works asks by this name.")
@click.option("--param", "-p", "params", multiple=True, metavar="NAME=VALUE",
              help="A parameter: 5, true, [1, 2] as JSON reads them, all else a text. Repeatable.")  # fmt: skip
@click.option("--param-json", metavar="JSON", help="Parameters as a JSON object; @FILE reads them from there.")
@click.option("--event", "event", type=int, multiple=True, metavar="N", help="An event. Repeatable.")
@click.option("--tag", "tags", multiple=True, metavar="TEXT", help="A tag. Repeatable.")
@click.option("--group", "group", multiple=True, metavar="TEXT", help="A group. Repeatable.")
@click.option("--site", metavar="SITE", help="Where it is to be done. [default: WORK_SITE, else local]")
@click.option("--user", metavar="USER", help="Whose it is. [default: the login name]")
@click.option("--parent", metavar="ID", help="What it is a part of.")
@click.option("--priority", type=click.IntRange(1, 5), metavar="N", help="5 is withdrawn first. [default: 3]")
@click.option("--timeout", type=int, metavar="SECONDS", help="How long one attempt may take. [default: 3600]")
@click.option("--retries", type=click.IntRange(0, 5), metavar="N", help="Attempts in all. [default: 2]")
@about_works
@format_option
@verbose_option()
def deposit(
    there: There, pipeline: str | None, params: tuple[str, ...], param_json: str | None, **fields: Any
) -> Output:
    """Put works into the buckets of their pipelines, and print their ids.

    \b
    Examples:
      clx work deposit --pipeline detect --param threshold=5 --param site=aro --tag night --event 42
      clx work deposit --pipeline detect --param-json '{"window": [0, 10]}' --format json
    """
    from clx.work.work import Work

    if pipeline is None:
        raise UsageError("No pipeline was named.", "Type: clx work deposit --pipeline NAME")
    parameters = _parameters(params, param_json)
    said = {name: list(each) if isinstance(each, tuple) else each for name, each in fields.items()}
    work = Work(pipeline, parameters=parameters or None, **{name: each for name, each in said.items() if each})
    with there.make() as store:
        ids = store.deposit([work.payload])
    return Output({"ids": ids}, ids)


def _parameters(params: tuple[str, ...], param_json: str | None) -> dict[str, Any]:
    given, read = {name: _value(text) for name, text in texts(params).items()}, values(param_json)
    if both := given.keys() & read.keys():
        raise UsageError(f"The parameter {min(both)!r} is given twice.", "Give each once.")
    return given | read


def _value(text: str) -> Any:
    """What JSON reads in *text*, or the text."""
    from clx.db.models import decode

    try:
        return decode(text)
    except (ValueError, RecursionError):
        return text


@command.command("show")
@click.argument("work_id", metavar="ID")
@about_works
@format_option
@verbose_option()
def show(there: There, work_id: str) -> Output:
    """Everything about one work: its fields, its attempts and how they ended, its results.

    \b
    Examples:
      clx work show 68b1c2d3e4f5a6b7c8d9e0f1
      clx work show 68b1c2d3e4f5a6b7c8d9e0f1 --format json
    """
    with there.look() as store:
        if store is None:
            raise there.unknown(work_id, is_there=False)
        found = store.get(work_id)
        if found is None:
            raise there.unknown(work_id)
        runs = store.runs(work_id)
    return Output({**found.document, "job": found.job_id, "runs": runs}, told(found.document, runs))


command.add_command(run)
