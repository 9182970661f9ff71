"""Course builds and other batches, with their jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clx.db.batches import BatchTable
from clx.db.browsing import Filter, batches, browse, states_of_batch
from clx.server.answers import Refusal
from clx.server.views.sections import Asked, Section, View

PAGE = 20


def _list(asked: Asked) -> Mapping[str, Any]:
    database, before = asked.queue.database, asked.number("before")
    found = batches(database, before=before, limit=PAGE)
    return {
        "batches": [(batch, states_of_batch(database, batch.id)) for batch in found],
        "next": asked.with_query(before=found[-1].id) if len(found) == PAGE else None,
        "first": None if before is None else asked.with_query(before=None),
    }


def _one(asked: Asked) -> Mapping[str, Any]:
    database, id_ = asked.queue.database, asked.path["id"]
    batch = BatchTable(database).get(id_)
    if batch is None:
        raise Refusal(404, f"There is no batch {id_}.", "It may have been removed: old ones are.")
    failed = browse(database, Filter(batch=id_, states=("failed", "cancelled")), before=None, limit=20)
    jobs = browse(database, Filter(batch=id_), before=None, limit=50)
    return {"batch": batch, "states": states_of_batch(database, id_), "failed": failed.jobs, "jobs": jobs.jobs}


BUILDS = Section(
    "Builds",
    "/builds",
    "b",
    [View("/builds", "builds.html", _list), View("/builds/{id:id}", "build.html", _one)],
)
