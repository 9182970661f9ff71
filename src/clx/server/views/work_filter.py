"""Which works the query of an address asks for, and the changes of all that fit, some hundred at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, structs

from clx.db.jobs import Queue
from clx.db.works.browsing import Filter, browse, work_ids
from clx.db.works.models import ENDED, STATUSES
from clx.server.answers import Refusal
from clx.server.api.documents import Id
from clx.server.views.bulk import Changed, Text, cancelled, in_slices
from clx.server.views.sections import Asked

LIVE = ("queued", "running")
STORES = {"buckets": LIVE, "results": ENDED}
"""Where works are → their statuses."""
_MAY = {"cancel": LIVE, "retry": ("failure", "cancelled"), "delete": STATUSES}
"""What is done → the statuses of works that it can be done to."""
_NAMES = ("pipeline", "user", "site", "tag", "event", "group", "parent", "text")
_Moment = Annotated[float, Meta(ge=0, le=253_402_300_799)]
_LATEST = 253_402_300_799


def filter_of(asked: Asked) -> Filter:
    """The filter that the query of an address tells.

    Raises:
        Refusal: 422, a value is not possible.
    """
    chosen = dict.fromkeys(asked.all.get("status", ()))
    if strange := sorted({*chosen} - {*STATUSES}):
        raise Refusal(422, f"No work is {strange[0][:40]}.", f"They are {', '.join(STATUSES)}.")
    return Filter(
        **{name: asked.text(name) for name in _NAMES}, statuses=tuple(chosen), since=_moment(asked, "from"),
        until=_moment(asked, "until"),
    )  # fmt: skip


def store_of(asked: Asked) -> str:
    """``buckets``: live works alone, ``results``: ended ones, empty: all.

    Raises:
        Refusal: 422, it is something else.
    """
    store = asked.text("store")
    if store and store not in STORES:
        raise Refusal(422, "Works are in buckets or among results.", "Correct the address.")
    return store


def _moment(asked: Asked, name: str) -> float | None:
    """A moment as a browser sends it, UTC where it says nothing else."""
    text = asked.text(name)
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        seconds = (found.replace(tzinfo=UTC) if found.tzinfo is None else found).timestamp()
    except (ValueError, OverflowError):
        seconds = -1.0
    if not 0 <= seconds <= _LATEST:
        raise Refusal(422, f"{name} is no moment.", "Write 2026-11-30T12:00, in UTC.")
    return seconds


class Change(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What to do to which works: all that fit, or those of *ids*, the numbers of their jobs.

    ``before``: where the answer before this one ended.
    """

    action: Literal["cancel", "retry", "delete"]
    ids: Annotated[list[Id], Meta(max_length=1000)] | None = None
    pipeline: Text = ""
    user: Text = ""
    site: Text = ""
    tag: Text = ""
    event: Text = ""
    group: Text = ""
    parent: Text = ""
    text: Text = ""
    statuses: list[Literal["queued", "running", "success", "failure", "cancelled"]] | None = None
    since: _Moment | None = None
    until: _Moment | None = None
    before: Annotated[str, Meta(max_length=200)] | None = None


def change_works(queue: Queue, change: Change) -> Changed:
    """Change the works of some jobs, or as many of those that fit as half a second allows."""
    return change_some(queue, change) if change.ids is None else change_these(queue, change)


def change_these(queue: Queue, change: Change) -> Changed:
    """Change the works of some jobs."""
    ids = list(dict.fromkeys(change.ids or ()))
    done = _change(queue, change.action, ids) if ids else 0
    return Changed(done, len(ids) - done, None)


def change_some(queue: Queue, change: Change) -> Changed:
    """Change as many as half a second allows, the newest first."""
    chosen = STATUSES if change.statuses is None else change.statuses
    statuses = tuple(each for each in _MAY[change.action] if each in chosen)
    if not statuses:
        return Changed(0, 0, None)
    aside = ("action", "ids", "statuses", "before")
    asked = {name: value for name, value in structs.asdict(change).items() if name not in aside}
    wanted = Filter(**asked, statuses=statuses)

    def look(after: str | None, width: int) -> tuple[list[int], str | None]:
        page = browse(queue.database, wanted, after=after, limit=width)
        return [work.job_id for work in page.works], page.after

    return in_slices(change.before, look, partial(_change, queue, change.action))


def _change(queue: Queue, action: str, job_ids: list[int]) -> int:
    if action == "retry":
        return len(queue.retry(job_ids))
    if action == "cancel":
        return cancelled(queue, job_ids)
    return len(queue.works.delete(work_ids(queue.database, job_ids)))
