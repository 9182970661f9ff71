"""Works: a list with its filter in the address, and one work with all there is to know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any, NamedTuple
from urllib.parse import unquote

from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route

from clx.db.jobs import Queue
from clx.db.pipelines.browsing import one
from clx.db.works.browsing import Filter, Page, browse
from clx.db.works.models import LIVE_AND_ENDED, STATUSES, WORK, Found, is_work, label
from clx.server.answers import Refusal
from clx.server.guard import BodyGuard, RoleGuard
from clx.server.views.bulk import Bulk
from clx.server.views.jobs import bars
from clx.server.views.logs import kept_output
from clx.server.views.sections import Asked, Parts, Section, View
from clx.server.views.telling import in_path, work_address
from clx.server.views.work_files import File, Files, artifacts_of, files_of, looked_at
from clx.server.views.work_filter import LIVE, STORES, Change, change_works, filter_of, store_of
from clx.settings.problems import shortened

PAGE = 50
_PARTS = 20
"""Works of which one is the parent, that its page lists."""
_PIPELINES = 30
"""Pipelines whose works are counted on the page of all."""
COLUMNS = {
    "pipeline": "Pipeline", "status": "Status", "event": "Event", "tags": "Tags", "group": "Group", "user": "User",
    "site": "Site", "priority": "Priority", "attempt": "Attempt", "created": "Created", "took": "Took",
    "worker": "Worker", "why": "Why",
}  # fmt: skip
"""What a list may say of works → how it is headed."""
_ORDERS = {
    "-deposit": "newest", "deposit": "oldest", "-creation": "created last", "creation": "created first",
}  # fmt: skip
_OTHERS = ("archive", "precursors", "config", "notify")
"""Fields that are shown as they are."""
_SHOWN = (
    "pipeline", "user", "site", "path", "function", "command", "parameters", "results", "error", "progress", "creation",
    "start", "stop", "attempt", "retries", "status",
)  # fmt: skip
"""Fields that the page asks for; other clients may leave some out."""
_USUAL = ("pipeline", "status", "event", "tags", "user", "attempt", "created", "took", "why")


class Bucket(NamedTuple):
    """How many works of a pipeline are of which status; and whether nobody withdraws them at the moment."""

    pipeline: str
    counts: Mapping[str, int]
    is_paused: bool

    @property
    def is_live(self) -> bool:
        """Whether any waits or runs."""
        return any(self.counts.get(status) for status in LIVE)


def _list(asked: Asked) -> Mapping[str, Any]:
    chosen, store, after = filter_of(asked), store_of(asked), asked.text("after") or None
    which = replace(chosen, statuses=_statuses(chosen, store))
    order = asked.text("order") or ("-creation" if chosen.since or chosen.until else "-deposit")
    page = Page([], None, True)
    if which.statuses or not store:
        page = browse(asked.queue.database, which, order=order, after=after, limit=PAGE)
    buckets = _buckets(asked, which.pipeline)
    return {
        "page": page,
        "which": which,
        "chosen": chosen,
        "store": store,
        "order": order,
        "orders": _ORDERS,
        "columns": [name for name in COLUMNS if name in asked.all.get("columns", _USUAL)],
        "all_columns": COLUMNS,
        "buckets": buckets and buckets[:_PIPELINES],
        "more_pipelines": max(0, len(buckets or ()) - _PIPELINES),
        "next": None if page.after is None else asked.with_query(after=page.after),
        "first": None if after is None else asked.with_query(after=None),
        "is_filtered": chosen != Filter() or bool(store),
        "given": {name: asked.text(name) for name in ("from", "until")},
    }


def _statuses(which: Filter, store: str) -> tuple[str, ...]:
    """The statuses that are asked for, of those that there are in the buckets, or among the results."""
    there = STORES[store] if store else STATUSES
    return tuple(each for each in which.statuses or (there if store else ()) if each in there)


def _buckets(asked: Asked, pipeline: str) -> list[Bucket] | None:
    """What there is of each pipeline, those with live works first; None while it is counted for the first time."""
    counts = asked.board.counts()
    if counts is None:
        return None
    paused = {each.type for each in asked.queue.paused() if not each.pool}
    types = [f"{WORK}{pipeline}"] if pipeline else [*counts]
    found = [
        Bucket(type_.removeprefix(WORK), _by_status(counts.get(type_, {})), type_ in paused)
        for type_ in types
        if is_work(type_)
    ]
    return sorted(found, key=lambda each: (not each.is_live, each.pipeline))


def _by_status(states: Mapping[str, int]) -> dict[str, int]:
    found = {LIVE_AND_ENDED.get(state, state): count for state, count in states.items()}
    return {**dict.fromkeys(STATUSES, 0), **found}


def existing(asked: Asked) -> Found:
    """The work that an address names.

    Raises:
        Refusal: 404, there is none, or none any more.
    """
    work_id = unquote(asked.path["work"])
    if work_id == "one":  # ids that cannot stand in a path
        work_id = asked.text("id")
    found = asked.queue.works.get(work_id)
    if found is None:
        raise Refusal(404, f"There is no work {shortened(work_id)}.", "It may have been removed, or never deposited.")
    return found


def _one(asked: Asked) -> Mapping[str, Any]:
    found, queue = existing(asked), asked.queue
    job, document = queue.get(found.job_id), found.document
    if job is None:  # removed this moment
        raise Refusal(404, "The work is there no more.", "The list of works has those that are.")
    runs = queue.runs(job.id)
    work_id = str(document["id"])
    store = artifacts_of(queue)
    files = {kind: looked_at(store, each) for kind, each in files_of(document).items()}
    parts = browse(queue.database, Filter(parent=work_id), limit=_PARTS)
    parents = many(document.get("parent"))
    return {
        "work": {**dict.fromkeys(_SHOWN), **document},
        "job": job,
        "runs": runs,
        "outputs": {run["run"]: kept_output(run) for run in runs},
        "bars": bars(job, runs),
        "events": many(document.get("event")),
        "tags": many(document.get("tags")),
        "groups": many(document.get("group")),
        "parents": [(each, _parent_address(queue, each)) for each in parents],
        "parts": parts.works,
        "more_parts": parts.after is not None,
        "columns": ["pipeline", "status", "attempt", "took", "why"],
        "all_columns": COLUMNS,
        "files": files,
        "paths": {kind: _unlisted(document.get(kind), files.get(kind, ())) for kind in ("plots", "products")},
        "others": {name: document[name] for name in _OTHERS if document.get(name) not in (None, {}, [])},
        "is_paused": any((each.type, each.pool) == (job.type, job.pool) for each in queue.paused()),
    }


def _parent_address(queue: Queue, parent: str) -> str:
    """Where what a work is a part of is shown; empty where it is neither a pipeline nor a work."""
    if one(queue.database, parent) is not None:
        return f"/pipelines/{in_path(parent)}"
    return work_address(parent) if queue.works.get(parent) is not None else ""


def _unlisted(paths: Any, files: Sequence[File]) -> list[str]:
    """Paths that a field names, of which no file is in the store."""
    stored = {name for file in files for name in (file.path, file.name)}
    return [path for path in many(paths) if path not in stored and PurePath(path).name not in stored]


def many(value: Any) -> list[str]:
    """What a field says that may have one value, or several."""
    return [
        label(each) for each in (value if isinstance(value, list) else [value]) if isinstance(each, str | int | float)
    ]


def _routes(parts: Parts) -> Sequence[BaseRoute]:
    changes = [Middleware(RoleGuard, role="admin"), Middleware(BodyGuard, largest=20_000)]
    looks = [Middleware(RoleGuard, role="read"), Middleware(BodyGuard, largest=0)]
    return [
        Route("/works/bulk", Bulk(parts, Change, change_works).answer, methods=["POST"], middleware=changes),
        Route("/works/file", Files(parts), methods=["GET", "HEAD"], middleware=looks),
    ]


WORKS = Section(
    "Works",
    "/works",
    "k",
    [View("/works", "works.html", _list), View("/works/{work}", "work.html", _one)],
    _routes,
)
