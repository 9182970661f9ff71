"""Changes of everything that fits a filter, some hundred jobs at a time: the page asks on until all are done."""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, structs
from starlette.requests import Request
from starlette.responses import Response

from clx.db.browsing import Filter, browse
from clx.db.jobs import Queue
from clx.errors import JobExistsError
from clx.server.answers import JSON, Refusal
from clx.server.api.documents import Id
from clx.server.views.sections import Parts

_AT_A_TIME = 0.5
"""Seconds for which one call changes jobs: others that write wait meanwhile."""
_SLICE = 200
_MAY = {"cancel": {"queued", "running"}, "retry": {"failed", "cancelled"}}
"""What is done → the states of jobs that it can be done to."""
_Text = Annotated[str, Meta(max_length=500, pattern="^[^\\x00]*$")]


class Change(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What to do to which jobs; ``before``: where the answer before this one ended."""

    action: Literal["cancel", "retry"]
    type: _Text = ""
    pool: _Text | None = None
    state: list[Literal["queued", "running", "succeeded", "failed", "cancelled"]] = []
    key: _Text = ""
    batch: Id | None = None
    worker: Id | None = None
    text: _Text = ""
    before: Id | None = None


class Changed(msgspec.Struct, frozen=True):
    """How many jobs were changed, how many could not be, and where to go on; null when all is done."""

    changed: int
    left: int
    before: int | None


class Bulk:
    """What answers the page."""

    def __init__(self, parts: Parts) -> None:
        self._queue = parts.queue
        self._threads = parts.threads

    async def answer(self, request: Request) -> Response:
        """One call."""
        try:
            change = msgspec.json.decode(await request.body(), type=Change)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise Refusal(422, f"The change is not possible: {error}.", "Load the page anew.") from None
        return JSON(await self._threads.write(partial(change_some, self._queue, change)))


def change_some(queue: Queue, change: Change) -> Changed:
    """Change as many as half a second allows, the newest first."""
    ends_at = time.monotonic() + _AT_A_TIME
    states = _MAY[change.action] & set(change.state or _MAY[change.action])
    asked = {name: value for name, value in structs.asdict(change).items() if name not in ("action", "state", "before")}
    before, changed, left = change.before, 0, 0
    while states:
        page = browse(queue.database, Filter(**asked, states=tuple(sorted(states))), before=before, limit=_SLICE)
        done = _change(queue, change.action, [job.id for job in page.jobs])
        changed += done
        left += len(page.jobs) - done
        before = page.before
        if before is None or time.monotonic() > ends_at:
            return Changed(changed, left, before)
    return Changed(0, 0, None)


def _change(queue: Queue, action: str, ids: list[int]) -> int:
    if not ids:
        return 0
    if action == "cancel":
        done = queue.cancel(ids)
        return len(done) + len(done.asked)
    try:
        return len(queue.retry(ids))
    except JobExistsError:  # the key of one is another's: each for itself
        return sum(_retry(queue, id_) for id_ in ids)


def _retry(queue: Queue, id_: int) -> int:
    try:
        return len(queue.retry([id_]))
    except JobExistsError:
        return 0
