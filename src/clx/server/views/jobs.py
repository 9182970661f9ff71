"""Jobs: a list with its filter in the address, and one job with all there is to know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route

from clx.db.browsing import Filter, browse, dependents, needed
from clx.db.calls.models import is_routine
from clx.db.models import Job
from clx.db.summary import wanted_by
from clx.db.works.models import is_work
from clx.server.answers import Refusal
from clx.server.guard import BodyGuard, RoleGuard
from clx.server.views.bulk import Bulk, Change, change_some
from clx.server.views.logs import Logs, kept_output
from clx.server.views.sections import Asked, Parts, Section, View
from clx.server.views.telling import STATES

PAGE = 50


def filter_of(asked: Asked) -> Filter:
    """The filter that the query of an address tells.

    Raises:
        Refusal: 422, a value is not possible.
    """
    states = tuple(dict.fromkeys(asked.all.get("state", ())))
    strange = sorted(set(states) - set(STATES))
    if strange:
        raise Refusal(422, "There is no such state of jobs.", f"They are {', '.join(STATES)}.")
    pool = asked.text("pool") if "pool" in asked.query else None
    return Filter(
        type=asked.text("type"), pool=pool, states=states, key=asked.text("key"), batch=asked.number("batch"),
        worker=asked.number("worker"), text=asked.text("text"),
    )  # fmt: skip


def _list(asked: Asked) -> Mapping[str, Any]:
    which, before = filter_of(asked), asked.number("before")
    page = browse(asked.queue.database, which, before=before, limit=PAGE)
    return {
        "page": page,
        "which": which,
        "types": sorted(asked.board.counts() or {}),
        "next": None if page.before is None else asked.with_query(before=page.before),
        "first": None if before is None else asked.with_query(before=None),
        "is_filtered": which != Filter(),
        "before": before,
    }


def existing(asked: Asked) -> Job:
    """The job that an address names.

    Raises:
        Refusal: 404, there is none, or none any more.
    """
    job = asked.queue.get(asked.path["id"])
    if job is None:
        raise Refusal(404, f"There is no job {asked.path['id']}.", "It may have been removed: old ones are.")
    return job


def _one(asked: Asked) -> Mapping[str, Any]:
    job, database = existing(asked), asked.queue.database
    runs = asked.queue.runs(job.id)
    parents = asked.queue.calls.parents_of(job.id)
    return {
        "job": job,
        "runs": runs,
        "outputs": {run["run"]: kept_output(run) for run in runs},
        "bars": bars(job, runs),
        "needs": needed(database, job.id),
        "dependents": dependents(database, job.id),
        "batches": wanted_by(database, job.id),
        "parents": [parent for parent in parents if parent],
        "is_awaited": 0 in parents,
        "is_workflow": job.type.startswith("workflow:"),
        "is_routine": is_routine(job.type),
        "work_id": work_of(job),
        "is_held": asked.queue.is_held(job.id),
        "is_paused": any((each.type, each.pool) == (job.type, job.pool) for each in asked.queue.paused()),
    }


def work_of(job: Job) -> str | None:
    """The id of the work whose job it is; None where it is none."""
    found = job.payload.get("work") if is_work(job.type) and isinstance(job.payload, dict) else None
    return found if isinstance(found, str) else None


def bars(job: Job, runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The time line: from when each run lasted until when, as thousandths of the job's life so far."""
    spans = [(run["run"], run["started_at"], run["ended_at"], run["outcome"]) for run in runs]
    if not spans:
        return []
    begins = min(job.created_at, *(span[1] for span in spans))
    whole = max(1, max(span[2] for span in spans) - begins)
    return [
        {"run": run, "outcome": outcome, "x": 1000 * (start - begins) // whole,
         "width": max(4, 1000 * (end - start) // whole)}
        for run, start, end, outcome in spans
    ]  # fmt: skip


def _routes(parts: Parts) -> Sequence[BaseRoute]:
    looks = [Middleware(RoleGuard, role="read"), Middleware(BodyGuard, largest=0)]
    changes = [Middleware(RoleGuard, role="admin"), Middleware(BodyGuard, largest=10_000)]
    return [
        Route("/jobs/{id:id}/log", Logs(parts).answer, middleware=looks),
        Route("/jobs/bulk", Bulk(parts, Change, change_some).answer, methods=["POST"], middleware=changes),
    ]


JOBS = Section(
    "Jobs",
    "/jobs",
    "j",
    [View("/jobs", "jobs.html", _list), View("/jobs/{id:id}", "job.html", _one)],
    _routes,
)
