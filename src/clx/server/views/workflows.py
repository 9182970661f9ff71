"""Workflows: their runs, and one as a graph of what it has called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clx.db.browsing import Filter, browse, call_tree
from clx.server.views.graph import drawn
from clx.server.views.jobs import existing, filter_of
from clx.server.views.sections import Asked, Section, View

PAGE = 30
_PREFIX = "workflow:"


def _list(asked: Asked) -> Mapping[str, Any]:
    before = asked.number("before")
    chosen = filter_of(asked)
    which = Filter(prefix=_PREFIX, states=chosen.states)
    page = browse(asked.queue.database, which, before=before, limit=PAGE)
    return {
        "page": page,
        "states": which.states,
        "routines": asked.queue.calls.routines(),
        "next": None if page.before is None else asked.with_query(before=page.before),
        "first": None if before is None else asked.with_query(before=None),
    }


def _one(asked: Asked) -> Mapping[str, Any]:
    job = existing(asked)
    calls, is_whole = call_tree(asked.queue.database, job.id)
    values = [each for each in asked.queue.calls.of(job.id) if each.type is None]
    return {"job": job, "calls": calls, "graph": drawn(job, calls), "is_whole": is_whole, "values": values}


WORKFLOWS = Section(
    "Workflows",
    "/workflows",
    "f",
    [View("/workflows", "workflows.html", _list), View("/workflows/{id:id}", "workflow.html", _one)],
)
