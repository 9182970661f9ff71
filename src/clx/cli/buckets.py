"""``clx buckets`` and ``clx results``: the two stores that clients of other systems know; here the same works."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from clx.cli import completing
from clx.cli.options import verbose_option
from clx.cli.output import Output, format_option, table
from clx.cli.terminal import echo
from clx.cli.work_bulk import Verb, bulk_options, looked_up, not_removed
from clx.cli.work_filter import Filter, filter_options
from clx.cli.work_options import There, about_works
from clx.cli.work_search import listing_options, show_page
from clx.visible import visible_line

if TYPE_CHECKING:
    from clx.work.place import Store

_ENDED = ("success", "failure", "cancelled")
_STATUSES = ("queued", "running", *_ENDED)
_pipeline = click.argument("pipeline", metavar="[PIPELINE]", required=False, shell_complete=completing.pipelines)


@click.group("buckets")
def buckets() -> None:
    """The works that are live, by pipeline: those that wait or run, and ended ones that were not moved on yet.

    \b
    Examples:
      clx buckets list
      clx buckets show detect --status running
      clx buckets rm --pipeline detect --status failure
    """


@click.group("results")
def results() -> None:
    """The works that have ended, whichever way, by pipeline.

    \b
    Examples:
      clx results list
      clx results show detect --where 'snr>=8'
      clx results lock --pipeline detect --event 42
    """


@buckets.command("list")
@about_works
@format_option
@verbose_option()
def list_buckets(there: There) -> Output:
    """Every bucket, and how many works of each status are in it.

    \b
    Examples:
      clx buckets list
      clx buckets list --format json
    """
    with there.look() as store:
        if store is None:
            return Output({"buckets": {}}, [there.nobody])
        found = store.status_by_bucket()
    rows = [(name, *(str(counts.get(status, 0)) for status in _STATUSES)) for name, counts in found.items()]
    words = table(("PIPELINE", *(each.upper() for each in _STATUSES)), rows) if rows else "No works in buckets."
    return Output({"buckets": found}, [words])


@results.command("list")
@about_works
@format_option
@verbose_option()
def list_results(there: There) -> Output:
    """Every pipeline that has results, and of how many works.

    \b
    Examples:
      clx results list
      clx results list --format json
    """
    with there.look() as store:
        if store is None:
            return Output({"results": {}}, [there.nobody])
        found = _ended_by_pipeline(store)
    rows = [(name, str(count)) for name, count in found.items()]
    return Output({"results": found}, [table(("PIPELINE", "WORKS"), rows) if rows else "No results."])


def _ended_by_pipeline(store: Store) -> dict[str, int]:
    names = sorted({*store.buckets(), *store.results()})
    counts = {name: store.count(_ended(Filter(()), name).search()) for name in names}
    return {name: count for name, count in counts.items() if count}


def _ended(wanted: Filter, pipeline: str | None) -> Filter:
    from clx.db.works.searching import Condition

    return _of(wanted.also(Condition("status", "in", list(_ENDED))), pipeline)


def _of(wanted: Filter, pipeline: str | None) -> Filter:
    from clx.db.works.searching import Condition

    return wanted if pipeline is None else wanted.also(Condition("pipeline", "=", pipeline))


def _in_bucket(wanted: Filter, pipeline: str | None) -> Filter:
    from clx.db.works.searching import Condition

    return _of(wanted.also(Condition("in_bucket", "=", True)), pipeline)


@buckets.command("show")
@_pipeline
@filter_options("--pipeline")
@listing_options
@about_works
@verbose_option()
def show_bucket(there: There, pipeline: str | None, wanted: Filter, **listing: Any) -> None:
    """The works in a bucket, or in all.

    The options are those of `clx work search`.

    \b
    Examples:
      clx buckets show detect
      clx buckets show detect --status running --order start
      clx buckets show --user ada --format json
    """
    show_page(there, _in_bucket(wanted, pipeline), **listing)


@results.command("show")
@_pipeline
@filter_options("--pipeline")
@listing_options
@about_works
@verbose_option()
def show_results(there: There, pipeline: str | None, wanted: Filter, **listing: Any) -> None:
    """The works of a pipeline, or of all, that have ended.

    The options are those of `clx work search`.

    \b
    Examples:
      clx results show detect --limit 10
      clx results show detect --where 'results.snr>=8' --format jsonl > results.jsonl
      clx results show --event 42 --format json
    """
    show_page(there, _ended(wanted, pipeline), **listing)


@results.command("count")
@_pipeline
@filter_options("--pipeline")
@about_works
@format_option
@verbose_option()
def count_results(there: There, pipeline: str | None, wanted: Filter) -> Output:
    """How many results there are that fit.

    \b
    Examples:
      clx results count detect
      clx results count --tag night --where 'results.snr>=8' --format json
    """
    for note in wanted.notes:
        echo(visible_line(note), err=True)
    with there.look() as store:
        count = 0 if store is None else store.count(_ended(wanted, pipeline).search())
    return Output({"count": count}, [str(count)])


# -- changing -------------------------------------------------------------------------------------------


def set_locked(store: Store, ids: list[str], *, locked: bool) -> list[str]:
    """Say of ended works in their results whether these are locked; returns the ids of those that say so now."""
    changed = [{**each, "results": {**_results(each), "locked": locked}} for each in _ended_of(store, ids)]
    return [str(each["id"]) for each, taken in zip(changed, store.update(changed), strict=True) if taken]


def remove_ended(store: Store, ids: list[str]) -> list[str]:
    """Remove works that have ended; returns the ids of those that were removed."""
    return store.delete([str(each["id"]) for each in _ended_of(store, ids)])


def _ended_of(store: Store, ids: list[str]) -> list[dict[str, Any]]:
    return [each for each in looked_up(store, ids) if each["status"] in _ENDED]


def _results(work: Mapping[str, Any]) -> Mapping[str, Any]:
    found = work.get("results")
    return found if isinstance(found, Mapping) else {} if found is None else {"result": found}


def _not_ended(work: dict[str, Any]) -> str:
    return not_removed(work) if work.get("status") in _ENDED else "has not ended"


_LEAVE = Verb("Remove from its bucket", "removed", lambda store, ids: store.delete(ids, store="bucket"), not_removed,
              field="in_bucket")  # fmt: skip
_REMOVE = Verb("Remove the results of", "removed", remove_ended, _not_ended, _ENDED)
_LOCK = Verb("Lock", "locked", lambda store, ids: set_locked(store, ids, locked=True), _not_ended, _ENDED)
_UNLOCK = Verb("Unlock", "unlocked", lambda store, ids: set_locked(store, ids, locked=False), _not_ended, _ENDED,
               "results.locked")  # fmt: skip


@buckets.command("rm")
@bulk_options(_LEAVE)
def remove_from_bucket() -> None:
    """Remove works from their buckets.

    Some by their ids, or all that fit; live ones are cancelled, results stay.

    \b
    Examples:
      clx buckets rm 68b1c2d3e4f5a6b7c8d9e0f1
      clx buckets rm --pipeline detect --status failure --dry-run
    """


@results.command("rm")
@bulk_options(_REMOVE)
def remove_results() -> None:
    """Remove works that have ended.

    Some by their ids, or all that fit; locked ones stay.

    \b
    Examples:
      clx results rm 68b1c2d3e4f5a6b7c8d9e0f1
      clx results rm --pipeline test --ended-until 2026-01-01 --yes
    """


@results.command("lock")
@bulk_options(_LOCK)
def lock() -> None:
    """Keep works that have ended as they are.

    Nobody changes, removes or prunes them until they are unlocked.

    \b
    Examples:
      clx results lock 68b1c2d3e4f5a6b7c8d9e0f1
      clx results lock --pipeline detect --event 42 --yes
    """


@results.command("unlock")
@bulk_options(_UNLOCK)
def unlock() -> None:
    """Let works that were locked be changed and removed again.

    \b
    Examples:
      clx results unlock 68b1c2d3e4f5a6b7c8d9e0f1
      clx results unlock --all --yes
    """
