"""``clx work search``: works that fit, whatever their state, page by page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

from clx.cli.options import verbose_option
from clx.cli.output import Output
from clx.cli.terminal import echo
from clx.cli.work_display import overview
from clx.cli.work_filter import ORDERS, Filter, filter_options
from clx.cli.work_options import There, about_works
from clx.errors import UsageError
from clx.visible import visible_line

if TYPE_CHECKING:
    from clx.work.place import Store

F = TypeVar("F", bound=Callable[..., Any])

PAGE = 500
_MOST = 1_000_000_000


def listing_options(command: F) -> F:
    """Order, pages and format of a command that shows works; :func:`show_page` takes what they say."""
    for option in (
        click.option("--format", "format_", type=click.Choice(["table", "json", "jsonl"]), default="table",
                     help="How it is printed; jsonl: one work a line, as `clx work deposit --file` reads them."),
        click.option("--count", "only_count", is_flag=True, help="Say how many there are, and nothing else."),
        click.option("--after", metavar="PLACE", help="Go on where the same search ended that gave this place."),
        click.option("--limit", type=click.IntRange(1, _MOST), default=50, show_default=True, metavar="N",
                     help="At most N."),
        click.option("--order", default="-deposit", show_default=True, metavar="ORDER",
                     type=click.Choice([*ORDERS, *(f"-{each}" for each in ORDERS)]),
                     help=f"By {', '.join(ORDERS)}; with - before it from the highest down."),
    ):  # fmt: skip
        command = option(command)
    return command


@click.command("search")
@filter_options()
@listing_options
@about_works
@verbose_option()
def search(there: There, wanted: Filter, **listing: Any) -> None:
    """Find works by their fields, whatever became of them.

    An option that is given twice asks for one of its values; different options all have to fit.

    \b
    Examples:
      clx work search --pipeline detect --status failure --since 2d
      clx work search --event 42 --tag night --format json
      clx work search --where 'results.snr>=8' --where parameters.dm=350 --order -stop
      clx work search --text 'timeout aro' --count
      clx work search --pipeline detect --limit 1000000 --format jsonl > works.jsonl
    """
    show_page(there, wanted, **listing)


def show_page(
    there: There, wanted: Filter, *, order: str, limit: int, after: str | None, only_count: bool, format_: str
) -> None:
    """Print the works that fit, as options say."""
    for note in wanted.notes:
        echo(visible_line(note), err=True)
    with there.look() as store:
        if store is None:
            _nothing(there, only_count, format_)
        elif only_count:
            if after is not None:
                raise UsageError("--count counts from the start.", "Leave --after out.")
            count = store.count(wanted.search())
            Output({"count": count}, [str(count)]).show("json" if format_ == "jsonl" else format_)
        elif format_ == "jsonl":
            for document in pages(store, wanted, order, limit, after):
                echo(json.dumps(document))
        else:
            _page(store, wanted, order, limit, after).show(format_)


def _nothing(there: There, only_count: bool, format_: str) -> None:
    if format_ == "jsonl":
        echo(there.nobody, err=True)
    else:
        Output({"count": 0} if only_count else {"works": [], "after": None}, [there.nobody]).show(format_)


def pages(
    store: Store, wanted: Filter, order: str = "-deposit", limit: int | None = None, after: str | None = None
) -> Iterator[dict[str, Any]]:
    """The documents of works that fit, some at a time."""
    left = limit
    while left is None or left > 0:
        page = store.find(wanted.search(order, after, PAGE if left is None else min(left, PAGE)))
        for each in page.works:
            yield each.document
        left = None if left is None else left - len(page.works)
        after = page.after
        if after is None:
            return


def _page(store: Store, wanted: Filter, order: str, limit: int, after: str | None) -> Output:
    page = store.find(wanted.search(order, after, limit))
    documents = [each.document for each in page.works]
    more = page.after if page.after and store.find(wanted.search(order, page.after, 1)).works else None
    lines = [overview(documents)] if documents else ["No works."]
    if more:
        lines.append(f"There are more: type the same with --after {more}")
    return Output({"works": documents, "after": more}, lines)
