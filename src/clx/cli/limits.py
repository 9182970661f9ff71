"""``clx limits list|set|remove``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from clx.cli import completing
from clx.cli.options import Number, about_database, verbose_option
from clx.cli.output import Output, duration, format_option, table
from clx.cli.project import Here, open_or_make
from clx.errors import UsageError
from clx.settings.problems import did_you_mean, shortened
from clx.visible import visible_line

if TYPE_CHECKING:
    from clx.db.jobs import Queue
    from clx.db.queries import LimitState

_MOST = 1_000_000
_COUNT = click.IntRange(1, _MOST)
_name = click.argument("name", metavar="NAME", shell_complete=completing.limit_names)


@click.group("limits")
def command() -> None:
    """How many jobs of one name run at a time, or begin within a time, on however many machines.

    A job is of a limit if it was queued with its name: NewJob(…, limit="shop-api"), `clx schedules add --limit`.

    \b
    Examples:
      clx limits set shop-api --concurrency 2
      clx limits set newsletter --rate 100 --per 60
      clx limits list
      clx limits remove shop-api
    """


@command.command("list")
@about_database
@format_option
@verbose_option()
def list_them(here: Here) -> Output:
    """Every limit, and what it allows.

    Also how many jobs of it run, and how many it holds back.

    \b
    Examples:
      clx limits list
      clx limits list --format json
    """
    from clx.db.jobs import Queue

    database = here.look()
    if database is None:
        return Output({"limits": []}, [here.nobody])
    with database:
        found = Queue(database).limits()
    rows = [(each.name, _at_a_time(each), _rate(each), str(each.running), str(each.held)) for each in found]
    words = table(("NAME", "AT A TIME", "RATE", "RUNNING", "HELD"), rows) if rows else "No limits."
    return Output({"limits": [_document(each) for each in found]}, [words])


@command.command("set")
@_name
@click.option("--concurrency", type=_COUNT, metavar="N", help="Jobs that run at a time.")
@click.option("--rate", type=_COUNT, metavar="N", help="Runs that begin within the time that --per says.")
@click.option("--per", type=Number(0.001, 1e9), metavar="SECONDS", help="The time of --rate.")
@about_database
@format_option
@verbose_option()
def set_(here: Here, name: str, concurrency: int | None, rate: int | None, per: float | None) -> Output:
    """Set a limit, or say anew what it allows.

    It holds at once, for jobs that wait already, too; what runs goes on. What is not given does not limit.

    \b
    Examples:
      clx limits set shop-api --concurrency 2
      clx limits set newsletter --rate 100 --per 60
      clx limits set shop-api --concurrency 4 --rate 10 --per 1 --format json
    """
    from clx.db.jobs import Queue

    if (rate is None) != (per is None):
        raise UsageError(
            "A rate is so many jobs within a time; one of both is missing.", "Give --rate N --per SECONDS."
        )
    if concurrency is None and rate is None:
        raise UsageError(
            "Nothing says what the limit allows.",
            "Give --concurrency N, or --rate N --per SECONDS; to have no limit any more, type `clx limits remove`.",
        )
    with open_or_make(here.resolved, here.path) as database:
        queue = Queue(database)
        queue.set_limit(name, concurrency=concurrency, rate=rate, per=None if per is None else round(per * 1000))
        limit = _of(queue, name)
    allowed = [f"{concurrency} job(s) at a time"] * (concurrency is not None)
    allowed += [f"{rate} begun in {duration(per or 0)}"] * (rate is not None)
    return Output(_document(limit), [visible_line(f"Limit {name}: {', '.join(allowed)}.")])


@command.command("remove")
@_name
@about_database
@format_option
@verbose_option()
def remove(here: Here, name: str) -> Output:
    """Limit jobs of this name no more.

    Those that it holds back may begin at once. Jobs with its name are refused until it is set again.

    \b
    Examples:
      clx limits remove shop-api
    """
    from clx.db.jobs import Queue

    database = here.change()
    if database is None:
        raise here.unknown(f"limit {shortened(name)}")
    with database:
        queue = Queue(database)
        held = _of(queue, name).held
        queue.set_limit(name)
    let_go = f"; {held} job(s) that it held back may begin" if held else ""
    return Output({"removed": name, "let_go": held}, [visible_line(f"Limit {name} was removed{let_go}.")])


def _of(queue: Queue, name: str) -> LimitState:
    """The limit of that name, or an error that names the one that was probably meant."""
    found = {each.name: each for each in queue.limits()}
    if name not in found:
        step = did_you_mean(name, found) if found else "There are none: clx limits set NAME --concurrency N"
        raise UsageError(f"There is no limit {shortened(name)}.", step)
    return found[name]


def _document(limit: LimitState) -> dict[str, Any]:
    """A limit; its time in seconds."""
    return {
        "name": limit.name,
        "concurrency": limit.concurrency,
        "rate": limit.rate,
        "per": None if limit.period is None else limit.period / 1000,
        "running": limit.running,
        "held": limit.held,
    }


def _at_a_time(limit: LimitState) -> str:
    return "–" if limit.concurrency is None else str(limit.concurrency)


def _rate(limit: LimitState) -> str:
    # another program's row may have one without the other
    return "–" if limit.rate is None else f"{limit.rate} in {duration((limit.period or 0) / 1000)}"
