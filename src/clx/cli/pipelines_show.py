"""``clx pipelines list|ps|show``: what was deployed, and how far each pipeline has come."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from clx.cli.options import verbose_option
from clx.cli.output import Output, duration, format_option, table
from clx.cli.work_options import There, about_works
from clx.errors import UsageError
from clx.settings.problems import shortened
from clx.visible import visible_line

if TYPE_CHECKING:
    from clx.work.place import Store

_LIVE = ("running", "paused")
_MOST = 100
_name = click.option("--name", metavar="NAME", help="Only those of configs that are called so.")
_limit = click.option(
    "--limit", type=click.IntRange(1, 1000), default=_MOST, show_default=True, metavar="N", help="The newest N."
)


@click.command("list")
@_name
@_limit
@about_works
@format_option
@verbose_option()
def list_them(there: There, name: str | None, limit: int) -> Output:
    """What was deployed, the newest first.

    Each config with its pipelines.

    \b
    Examples:
      clx pipelines list
      clx pipelines list --name detections --format json
    """
    with there.look() as store:
        found = [] if store is None else store.pipelines.configs(name=name, limit=limit)
        if store is None:
            return Output({"configs": []}, [there.nobody])
    rows = [
        (each["id"], each["name"], each["user"], when(each["creation"]), str(len(each["pipelines"])), _times(each))
        for each in found
    ]
    words = table(("ID", "NAME", "USER", "DEPLOYED", "PIPELINES", "SCHEDULE"), rows) if rows else "No pipelines."
    return Output({"configs": found}, [words])


def _times(config: dict[str, Any]) -> str:
    schedule = config["schedule"]
    if schedule is None:
        return "–"
    left = "for ever" if schedule["lives"] == -1 else f"{schedule['spawned']} of {schedule['lives']}"
    return f"{schedule['cronspec']} ({left})"


@click.command("ps")
@_name
@click.option("--all", "everything", is_flag=True, help="Also those that have ended.")
@_limit
@about_works
@format_option
@verbose_option()
def ps(there: There, name: str | None, everything: bool, limit: int) -> Output:
    """Pipelines that run or are paused, the newest first.

    \b
    Examples:
      clx pipelines ps
      clx pipelines ps --all --name detections
    """
    with there.look() as store:
        if store is None:
            return Output({"pipelines": []}, [there.nobody])
        found = store.pipelines.find(name=name, status=() if everything else _LIVE, limit=limit)
        alone = unattended(store, found)
    return Output({"pipelines": found, "unattended": alone}, [overview(found), *nobody(found, alone)])


@click.command("show")
@click.argument("pipeline_id", metavar="ID")
@about_works
@format_option
@verbose_option()
def show(there: There, pipeline_id: str) -> Output:
    """One pipeline, its steps and how each stands.

    Of a config, all of its pipelines.

    \b
    Examples:
      clx pipelines show 68b1c2d3e4f5a6b7c8d9e0f1
      clx pipelines show 68b1c2d3e4f5a6b7c8d9e0f1 --format json
    """
    with there.look() as store:
        if store is None:
            raise UsageError(f"There is no pipeline {shortened(pipeline_id)}. {there.nobody}", "Deploy one first.")
        found = store.pipelines.find(ids=[pipeline_id]) or store.pipelines.find(config=pipeline_id)
        is_config = not found and store.pipelines.configs(ids=[pipeline_id])
        alone = unattended(store, found)
    if not found and not is_config:
        raise UsageError(f"There is no pipeline {shortened(pipeline_id)}.", "See `clx pipelines list`.")
    if len(found) == 1:
        return Output({**found[0], "unattended": alone}, [*told(found[0]), *nobody(found, alone)])
    return Output({"pipelines": found, "unattended": alone}, [overview(found), *nobody(found, alone)])


def unattended(store: Store, pipelines: Iterable[dict[str, Any]]) -> list[str]:
    """The buckets in which works of running ones among *pipelines* wait, and nobody who lives takes any."""
    from clx.db.works.searching import Condition, Search

    ids = [each["id"] for each in pipelines if each["status"] == "running"]
    if not ids:
        return []
    theirs = [Condition("parent", "in", ids), Condition("status", "=", "queued")]
    return [
        each
        for each in store.unattended()
        if store.find(Search([*theirs, Condition("pipeline", "=", each)], limit=1)).works
    ]


def nobody(pipelines: Sequence[dict[str, Any]], alone: Sequence[str]) -> Iterator[str]:
    """That nobody does works of some pipelines, and what to do about it."""
    if not alone:
        return
    has_deployments = any(step["runs_on"] for each in pipelines for step in each["steps"])
    yield visible_line(f"Nobody does works of {', '.join(alone)}.")
    by_hand = f"clx work run {' '.join(map(shlex.quote, alone))} --function-of-work"
    yield visible_line(f"Type: {'clx pipelines work' if has_deployments else by_hand}")


def overview(found: Iterable[dict[str, Any]]) -> str:
    """Pipelines as a table."""
    rows = [
        (each["id"], each["name"], _matrix(each), each["status"], progress(each), when(each["creation"]), why(each))
        for each in found
    ]
    heads = ("ID", "NAME", "MATRIX", "STATUS", "STEPS", "DEPLOYED", "WHY")
    return table(heads, rows) if rows else "No pipelines."


def _matrix(pipeline: dict[str, Any]) -> str:
    return shortened(", ".join(f"{name}={value}" for name, value in pipeline["matrix"].items())) or "–"


def progress(pipeline: dict[str, Any]) -> str:
    """How many of its steps have ended."""
    ended = sum(step["stop"] is not None for step in pipeline["steps"])
    return f"{ended}/{len(pipeline['steps'])}"


def why(pipeline: dict[str, Any]) -> str:
    """Why it stands so."""
    return pipeline["reason"] or "–"


def told(pipeline: dict[str, Any]) -> Iterator[str]:
    """One pipeline in words."""
    yield visible_line(f"{pipeline['name']} {pipeline['id']}: {pipeline['status']}.")
    if pipeline["reason"]:
        yield visible_line(f"Why: {pipeline['reason']}")
    if pipeline["matrix"]:
        yield visible_line(f"Matrix: {_matrix(pipeline)}")
    ends = pipeline["stop"] if pipeline["stop"] is not None else time.time()
    yield f"Deployed {when(pipeline['creation'])}, {duration(max(0.0, ends - pipeline['creation']))}."
    rows = [
        (
            "last" if step["stage"] is None else str(step["stage"]),
            step["name"], step["status"], _works(step), step["if_condition"] or "–", step["reason"] or "–",
        )
        for step in pipeline["steps"]
    ]  # fmt: skip
    yield table(("STAGE", "STEP", "STATUS", "WORKS", "IF", "WHY"), rows)


def _works(step: dict[str, Any]) -> str:
    counts = [f"{count} {status}" for status, count in step["counts"].items() if count]
    return ", ".join(counts) or "–"


def when(moment: float | None) -> str:
    """A moment as people write it."""
    if moment is None:
        return "–"
    try:
        return datetime.fromtimestamp(moment, UTC).astimezone().isoformat(" ", "seconds")
    except (OverflowError, OSError, ValueError):
        return str(moment)
