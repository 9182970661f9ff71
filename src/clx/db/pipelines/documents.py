"""Configs and pipelines as mappings that JSON can say: times in seconds UTC."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from clx.db.models import decode_or_show
from clx.db.odd_rows import as_text
from clx.db.works.models import STATUSES

Document = dict[str, Any]


def config_document(row: Sequence[Any], pipelines: list[str], times: Document) -> Document:
    """A row of ``statements.CONFIGS``; *times*: how its schedule stands."""
    id_, name, version, owner, text, deployments, cron, lives, spawned, created_at = row
    return {
        "id": _text(id_),
        "name": _text(name),
        "version": _text(version),
        "user": _text(owner),
        "yaml": _text(text),
        "deployments": _list(decode_or_show(deployments)),
        "schedule": None if cron is None else _schedule(_text(cron), _number(lives), _number(spawned), times),
        "pipelines": pipelines,
        "creation": seconds(created_at),
    }


def _schedule(cron: Any, lives: Any, spawned: Any, times: Document) -> Document:
    next_at = seconds(times["next_at"])
    status = "expired" if next_at is None else "paused" if times["paused"] else "active"
    return {"cronspec": cron, "lives": lives, "spawned": spawned, "status": status, "next": next_at}


def pipeline_document(row: Sequence[Any], steps: Iterable[Sequence[Any]], works: Iterable[Sequence[Any]]) -> Document:
    """A row of ``statements.PIPELINES`` with those of its steps and works."""
    id_, config, name, owner, matrix, status, stage, reason, created_at, ended_at = row
    of_steps: dict[int, list[Sequence[Any]]] = {}
    for work in works:
        of_steps.setdefault(work[0], []).append(work)
    told = [step_document(step, of_steps.get(step[0], [])) for step in steps]
    starts = [each["start"] for each in told if each["start"] is not None]
    return {
        "id": _text(id_),
        "name": _text(name),
        "config": _text(config),
        "user": _text(owner),
        "matrix": _mapping(decode_or_show(matrix)),
        "status": _text(status),
        "current_stage": _number(stage),
        "reason": _text(reason),
        "creation": seconds(created_at),
        "start": min(starts, default=None),
        "stop": seconds(ended_at),
        "steps": told,
        "history": _history(each for found in of_steps.values() for each in found),
    }


def step_document(row: Sequence[Any], works: Sequence[Sequence[Any]]) -> Document:
    """A row of ``statements.STEPS_OF`` with those of its works; one of which no work was begun is queued."""
    _, name, stage, status, reason, total, definition, started_at, ended_at = row
    said = _mapping(decode_or_show(definition))
    counts = dict.fromkeys(STATUSES, 0)
    for work in works:
        counts[_text(work[2])] = counts.get(_text(work[2]), 0) + 1
    if status == "running" and works and counts["queued"] == len(works):
        status = "queued"
    begun = [work[3] / 1_000_000 for work in works if isinstance(work[3], int)]
    return {
        "name": _text(name),
        "stage": _number(stage),
        "status": _text(status),
        "reason": _text(reason),
        "if_condition": said.get("if") or None,
        "matrix": said.get("matrix"),
        "runs_on": said.get("runs_on"),
        "success_threshold": said.get("threshold"),
        "works": _number(total),
        "counts": counts,
        "buckets": sorted({_text(work[5]) for work in works}),
        "work_id": [_text(work[1]) for work in works],
        "start": min(begun, default=seconds(started_at)),
        "stop": seconds(ended_at),
    }


def _history(works: Iterable[Sequence[Any]]) -> dict[str, Any]:
    """Which works went in when."""
    found: dict[str, Any] = {}
    readable = [each for each in works if isinstance(each[4], int)]
    for work in sorted(readable, key=lambda each: each[4]):
        found.setdefault(str(work[4] // 1000), {"execution": []})["execution"].append(_text(work[1]))
    return found


def seconds(at: Any) -> float | None:
    """Milliseconds of the table as seconds; None for None, and for what another program wrote in its place."""
    return at / 1000 if isinstance(at, int) else None


def _text(found: Any) -> Any:
    """A text of the table, whatever another program wrote there; None for None."""
    return found if found is None or type(found) is str else as_text(found)


def _number(found: Any) -> Any:
    return found if isinstance(found, int) else None


def _mapping(found: Any) -> Document:
    return found if isinstance(found, dict) else {}


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []
