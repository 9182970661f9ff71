"""Workers: those that live with what they do, and one with its events and its jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clx.db.browsing import Filter, browse
from clx.db.workers import WorkerTable
from clx.server.answers import Refusal
from clx.server.views.sections import Asked, Section, View

_MOST = 500


def _list(asked: Asked) -> Mapping[str, Any]:
    table = WorkerTable(asked.queue.database)
    live = table.list()
    ended = [row for row in table.list(live=False, after=max(0, table.newest_id() - 200)) if row.ended_at is not None]
    return {"workers": live[:_MOST], "more": max(0, len(live) - _MOST), "ended": ended[::-1][:30]}


def _one(asked: Asked) -> Mapping[str, Any]:
    table = WorkerTable(asked.queue.database)
    worker = table.get(asked.path["id"])
    if worker is None:
        raise Refusal(404, f"There is no worker {asked.path['id']}.", "It may have been removed: old ones are.")
    page = browse(asked.queue.database, Filter(worker=worker.id), before=None, limit=20)
    return {"worker": worker, "events": table.events(worker.id)[-50:], "jobs": page.jobs}


WORKERS = Section(
    "Workers",
    "/workers",
    "w",
    [View("/workers", "workers.html", _list), View("/workers/{id:id}", "worker.html", _one)],
)
