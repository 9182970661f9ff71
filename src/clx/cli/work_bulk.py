"""``clx work cancel|retry|rm`` and their like for buckets and results: by ids, or for all that fit, however many."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from clx.cli import completing
from clx.cli.options import verbose_option
from clx.cli.output import Output, format_option
from clx.cli.terminal import echo
from clx.cli.work_filter import Filter, filter_options
from clx.cli.work_options import There, about_works
from clx.cli.work_search import pages
from clx.errors import UsageError
from clx.visible import visible_line

if TYPE_CHECKING:
    from clx.work.place import Store

F = TypeVar("F", bound=Callable[..., Any])

_AT_ONCE = 1000
"""Works that one call moves on, and that are looked up at once."""
_SHOWN = 10
_LIVE = ("queued", "running")


class Verb(NamedTuple):
    """What is done to many works.

    Attributes:
        does: the word for what it does, at the beginning of a question.
        done: the word for those it was done to, also their key in the document.
        body: does it to some, by their ids; returns the ids of those it was done to.
        statuses: what works are that fit a filter; none: any.
        field: what can be asked of works besides that they fit: of which store they are; empty: nothing.
        left: why one was left as it is, by its document.
    """

    does: str
    done: str
    body: Callable[[Store, list[str]], list[str]]
    left: Callable[[dict[str, Any]], str]
    statuses: tuple[str, ...] = ()
    field: str = ""


def bulk_options(verb: Verb) -> Callable[[F], F]:
    """Ids and filters of a command; it gets all that was asked for as ``chosen``."""

    def decorate(command: F) -> F:
        @filter_options("--id")
        @click.option("--all", "everything", is_flag=True, help="All there are, where nothing else says which.")
        @click.option("--limit", type=click.IntRange(1, 1_000_000_000), metavar="N", help="The newest N of them.")
        @click.option("--dry-run", is_flag=True, help="Say which ones, and leave them as they are.")
        @click.option("--yes", is_flag=True, help="Without asking.")
        @about_works
        @format_option
        @verbose_option()
        @wraps(command)
        def run(there: There, ids: tuple[str, ...], wanted: Filter, **options: Any) -> Output:
            return _run(verb, there, ids, wanted, **options)

        argument = click.argument(
            "ids", metavar="[ID]...", nargs=-1, shell_complete=completing.work_ids(*verb.statuses)
        )
        return argument(run)  # type: ignore[return-value]

    return decorate


def _run(
    verb: Verb, there: There, ids: Sequence[str], wanted: Filter, *, everything: bool, limit: int | None,
    dry_run: bool, yes: bool,
) -> Output:  # fmt: skip
    if ids and (wanted or everything or limit):
        raise UsageError("Works were named by their ids and by what they are.", "Give one of both.")
    if not ids and not wanted and not everything:
        raise UsageError("No work was named.", "Name some by their id or by what they are (--help), or use --all.")
    for note in wanted.notes:
        echo(visible_line(note), err=True)
    with there.look() if dry_run else there.change() as store:
        if store is None:
            if ids:
                raise there.unknown(ids[0], is_there=False)
            return Output({verb.done: [], "left": []}, [there.nobody])
        chosen = named(there, store, ids) if ids else _fitting(verb, store, wanted, limit)
        if dry_run:
            said = f"{_counted(chosen)} would be {verb.done}{_first(chosen)}."
            return Output({verb.done: [], "left": [], "chosen": chosen}, [said])
        if not ids and chosen and not yes:
            _ask(verb, chosen)
        taken = {each for part in _parts(chosen) for each in verb.body(store, part)}
        return _told(verb, store, chosen, taken)


def named(there: There, store: Store, ids: Sequence[str]) -> list[str]:
    """The *ids*, each of which exists, once.

    Raises:
        UsageError: names the one that does not.
    """
    chosen = list(dict.fromkeys(ids))
    known = {each["id"] for part in _parts(chosen) for each in looked_up(store, part)}
    missing = [each for each in chosen if each not in known]
    if missing:
        raise there.unknown(missing[0])
    return chosen


def _fitting(verb: Verb, store: Store, wanted: Filter, limit: int | None) -> list[str]:
    from clx.db.works.searching import Condition

    if verb.statuses:
        wanted = wanted.also(Condition("status", "in", list(verb.statuses)))
    if verb.field:
        wanted = wanted.also(Condition(verb.field, "=", True))
    return [str(each["id"]) for each in pages(store, wanted, limit=limit)]


def looked_up(store: Store, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The documents of works; those that are not there are left out."""
    from clx.db.works.searching import Condition, Search

    return [each.document for each in store.find(Search([Condition("id", "in", list(ids))], limit=None)).works]


def _parts(ids: Sequence[str]) -> list[list[str]]:
    return [list(ids[first : first + _AT_ONCE]) for first in range(0, len(ids), _AT_ONCE)]


def _ask(verb: Verb, chosen: Sequence[str]) -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            f"{_counted(chosen)} would be {verb.done}.", "Type the same with --yes, or with --dry-run to see which."
        )
    click.confirm(visible_line(f"{verb.does} {_counted(chosen)}{_first(chosen)}?"), abort=True, err=True)


def _counted(ids: Sequence[str]) -> str:
    return f"{len(ids):,} work(s)"


def _first(ids: Sequence[str]) -> str:
    shown = ", ".join(map(visible_line, ids[:_SHOWN]))
    return f": {shown}{', …' if len(ids) > _SHOWN else ''}" if ids else ""


def _told(verb: Verb, store: Store, chosen: Sequence[str], taken: set[str]) -> Output:
    done = [each for each in chosen if each in taken]
    others = [each for each in chosen if each not in taken]
    now = {each["id"]: each for part in _parts(others) for each in looked_up(store, part)}
    left = [{"id": each, "reason": verb.left(now[each]) if each in now else "is gone"} for each in others]
    lines = [f"{_counted(done)} {verb.done}{_first(done)}."]
    lines += [visible_line(f"Work {each['id']} {each['reason']}.") for each in left[:_SHOWN]]
    if len(left) > _SHOWN:
        lines.append(f"… and {len(left) - _SHOWN} more were left as they are; --format json names all.")
    return Output({verb.done: done, "left": left}, lines)


# -- what is done to works, wherever they are -----------------------------------------------------------


def _stands(work: dict[str, Any]) -> str:
    """How it stands, as the end of a sentence."""
    return {
        "queued": "waits",
        "running": "runs",
        "success": "was over already: it succeeded",
        "failure": "was over already: it failed",
        "cancelled": "was cancelled already",
    }.get(str(work.get("status")), "is as it was")


def _not_cancelled(work: dict[str, Any]) -> str:
    return "runs; who holds it is told to stop" if work.get("status") == "running" else _stands(work)


def _not_retried(work: dict[str, Any]) -> str:
    return "succeeded: there is nothing to try again" if work.get("status") == "success" else f"{_stands(work)} already"


def not_removed(work: dict[str, Any]) -> str:
    """Why a work was not removed, as the end of a sentence."""
    results = work.get("results")
    is_locked = isinstance(results, dict) and results.get("locked") is True
    return "is locked; unlock it first: clx results unlock" if is_locked else _stands(work)


CANCEL = Verb("Cancel", "cancelled", lambda store, ids: store.cancel(ids), _not_cancelled, _LIVE)
RETRY = Verb("Queue again", "queued", lambda store, ids: store.retry(ids), _not_retried, ("failure", "cancelled"))
REMOVE = Verb("Remove", "removed", lambda store, ids: store.delete(ids), not_removed)


@click.command("cancel")
@bulk_options(CANCEL)
def cancel() -> None:
    """Cancel works that wait or run.

    Some by their ids, or all that fit. Those that wait end at once, those that run as soon as who holds them hears
    of it.

    \b
    Examples:
      clx work cancel 68b1c2d3e4f5a6b7c8d9e0f1
      clx work cancel --pipeline detect --tag night --dry-run
      clx work cancel --all --yes --format json
    """


@click.command("retry")
@bulk_options(RETRY)
def retry() -> None:
    """Queue failed or cancelled works again.

    Some by their ids, or all that fit.

    \b
    Examples:
      clx work retry 68b1c2d3e4f5a6b7c8d9e0f1
      clx work retry --pipeline detect --status failure --ended-since 2h
      clx work retry --where error.type=ConnectionError --yes --format json
    """


@click.command("rm")
@bulk_options(REMOVE)
def remove() -> None:
    """Remove works for good.

    Some by their ids, or all that fit; live ones are cancelled, locked ones stay.

    \b
    Examples:
      clx work rm 68b1c2d3e4f5a6b7c8d9e0f1
      clx work rm --pipeline test --dry-run
      clx work rm --pipeline test --ended-until 2026-01-01 --yes
    """
