"""Changes of everything that fits a filter, some hundred at a time: the page asks on until all are done.

What is changed of works is in :mod:`clx.server.views.work_filter`; how it is done is the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Annotated, Generic, Literal, TypeVar

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
"""Seconds for which one call changes rows: others that write wait meanwhile."""
SLICE = 200
"""Rows that are looked up and changed together at most."""
_FIRST = 20
"""Rows at first: how many more are changed in time shows in these."""
_FEWEST = 5
_MAY = {"cancel": {"queued", "running"}, "retry": {"failed", "cancelled"}}
"""What is done → the states of jobs that it can be done to."""
C = TypeVar("C", bound=msgspec.Struct)
P = TypeVar("P", int | None, str | None)
Text = Annotated[str, Meta(max_length=500, pattern="^[^\\x00]*$")]


class Change(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What to do to which jobs; ``before``: where the answer before this one ended."""

    action: Literal["cancel", "retry"]
    type: Text = ""
    pool: Text | None = None
    state: list[Literal["queued", "running", "succeeded", "failed", "cancelled"]] = []
    key: Text = ""
    batch: Id | None = None
    worker: Id | None = None
    text: Text = ""
    before: Id | None = None


class Changed(msgspec.Struct, frozen=True):
    """How many were changed, how many could not be, and where to go on; null when all is done."""

    changed: int
    left: int
    before: int | str | None


class Bulk(Generic[C]):
    """What answers the page.

    Args:
        parts: of the server.
        change: what the page asks for.
        body: does it.
    """

    def __init__(self, parts: Parts, change: type[C], body: Callable[[Queue, C], Changed]) -> None:
        self._queue = parts.queue
        self._threads = parts.threads
        self._change = change
        self._body = body

    async def answer(self, request: Request) -> Response:
        """One call."""
        try:
            change = msgspec.json.decode(await request.body(), type=self._change)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise Refusal(422, f"The change is not possible: {error}.", "Load the page anew.") from None
        return JSON(await self._threads.write(partial(self._body, self._queue, change)))


def in_slices(before: P, look: Callable[[P, int], tuple[list[int], P]], change: Callable[[list[int]], int]) -> Changed:
    """Change as many as half a second allows, as quickly as this database does it.

    Args:
        before: where to begin; None: at the newest.
        look: the ids of so many from there, and where those after them begin.
        change: changes them, and says how many.
    """
    begun = time.monotonic()
    ends_at = begun + _AT_A_TIME
    changed, left, width = 0, 0, _FIRST
    while True:
        ids, before = look(before, width)
        done = change(ids) if ids else 0
        changed += done
        left += len(ids) - done
        now = time.monotonic()
        if before is None or now > ends_at:
            return Changed(changed, left, before)
        width = max(_FEWEST, min(SLICE, int(width * (ends_at - now) / max(now - begun, 1e-4))))
        begun = now


def cancelled(queue: Queue, ids: list[int]) -> int:
    """Cancel jobs; how many were, or have been asked to end."""
    done = queue.cancel(ids)
    return len(done) + len(done.asked)


def change_some(queue: Queue, change: Change) -> Changed:
    """Change as many as half a second allows, the newest first."""
    states = _MAY[change.action] & set(change.state or _MAY[change.action])
    if not states:
        return Changed(0, 0, None)
    asked = {name: value for name, value in structs.asdict(change).items() if name not in ("action", "state", "before")}
    wanted = Filter(**asked, states=tuple(sorted(states)))

    def look(before: int | None, width: int) -> tuple[list[int], int | None]:
        page = browse(queue.database, wanted, before=before, limit=width)
        return [job.id for job in page.jobs], page.before

    return in_slices(change.before, look, partial(_change, queue, change.action))


def _change(queue: Queue, action: str, ids: list[int]) -> int:
    if action == "cancel":
        return cancelled(queue, ids)
    try:
        return len(queue.retry(ids))
    except JobExistsError:  # the key of one is another's: each for itself
        return sum(_retry(queue, id_) for id_ in ids)


def _retry(queue: Queue, id_: int) -> int:
    try:
        return len(queue.retry([id_]))
    except JobExistsError:
        return 0
