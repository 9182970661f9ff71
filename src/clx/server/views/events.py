"""The live stream: server-sent events for everybody who watches, from one reader of the table.

A hundred who watch cost the table what one does: a look a second, and none where nobody watches. ``status`` tells how
many jobs, which workers and which batches there are, ``jobs`` which jobs are in another state than at the last look.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from starlette.datastructures import Headers
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from clx.db.jobs import Queue
from clx.db.live import JobFact, ended_since, live_jobs, newest_job
from clx.db.summary import live_batches
from clx.db.workers import WorkerTable
from clx.server.access import Access, Caller
from clx.server.answers import Refusal
from clx.server.threads import DatabaseThreads

log = logging.getLogger("clx.server")

BEAT = 1.0
"""Seconds between two looks at the table."""
_HEARTBEAT = 15.0
"""Seconds after which somebody who heard nothing is told that the stream lives."""
_REMEMBERED = 500
"""Events that are kept for those whose connection breaks."""
_BEHIND = 100
"""Events that somebody may be behind before he is dropped; he asks again from the last one that he heard."""
MOST_LISTENERS = 500
ASK_AGAIN = 2.0
"""Seconds after which what is told next is told only to somebody whose token is still valid."""
_MOST_LIVE = 5000
"""Live jobs up to which each is told of; where there are more only their number is."""
_STATUS_SHARE = 20
"""Counting all jobs may take a twentieth of the time."""


class Listener:
    """Somebody who watches: what is still to be told."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[bytes | None] = asyncio.Queue(_BEHIND)

    def tell(self, event: bytes) -> bool:
        """Give an event; false for one who is too far behind, whose stream ends."""
        try:
            self.events.put_nowait(event)
        except asyncio.QueueFull:
            self.end()
            return False
        return True

    def end(self) -> None:
        """Let the stream end, whatever is still to be told."""
        while not self.events.empty():
            self.events.get_nowait()
        self.events.put_nowait(None)


class Events:
    """The stream as an ASGI application.

    Args:
        queue: the jobs.
        threads: what asks the table.
    """

    def __init__(self, queue: Queue, threads: DatabaseThreads) -> None:
        self._queue = queue
        self._threads = threads
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self._look = _Look(queue)
        self._prefix = secrets.token_hex(4)  # ids of an earlier server mean nothing here
        self._count = 0
        self._past: deque[tuple[str, bytes]] = deque(maxlen=_REMEMBERED)
        self._status = b""
        self._ends = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One who watches, until he goes, is too slow, or the server ends."""
        if len(self._listeners) >= MOST_LISTENERS:
            raise Refusal(503, "Too many watch already.", "Try again in 5 s.", retry_after="5")
        listener = self._listener(scope)
        self._listeners.add(listener)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())

        async def heard() -> Message:
            try:
                return await receive()
            except Refusal:  # who sends what nobody takes is done with watching
                listener.end()
                await asyncio.Event().wait()
                raise

        told = self._tell(listener, scope["state"]["access"], scope["user"])
        answer = StreamingResponse(told, headers={"x-accel-buffering": "no"}, media_type="text/event-stream")
        try:
            await answer(scope, heard, send)
        finally:
            self._listeners.discard(listener)
            await told.aclose()

    def _listener(self, scope: Scope) -> Listener:
        """Who asks, with what he has missed."""
        listener = Listener()
        for event in self._missed(Headers(scope=scope).get("last-event-id", "")):
            listener.tell(event)
        return listener

    async def _tell(self, listener: Listener, access: Access, caller: Caller) -> AsyncGenerator[bytes, None]:
        yield b"retry: 2000\n\n"
        asked_at = time.monotonic()
        while not self._ends:
            try:
                async with asyncio.timeout(_HEARTBEAT):
                    event = await listener.events.get()
            except TimeoutError:
                event = b": \n\n"
            if event is None:
                break
            if time.monotonic() - asked_at >= ASK_AGAIN:
                if not await access.still_takes(caller):
                    break
                asked_at = time.monotonic()
            yield event

    def end(self) -> None:
        """End every stream: the server ends."""
        self._ends = True
        for listener in self._listeners:
            listener.end()

    def _missed(self, last: str) -> list[bytes]:
        """What somebody who heard *last* has missed; all that there is to say to others."""
        ids = [id_ for id_, _ in self._past]
        if last in ids:
            return [event for _, event in list(self._past)[ids.index(last) + 1 :]][-_BEHIND + 1 :]
        return [self._status] if self._status and self._task is not None and not self._task.done() else []

    async def _watch(self) -> None:
        """Look at the table once a second while anybody watches."""
        self._look.forget()
        while self._listeners and not self._ends:
            begun = time.monotonic()
            try:
                for name, found in await self._threads.read(self._look.once):
                    self._publish(name, found)
            except Refusal:  # the table does not answer; those who watch keep what they have
                pass
            except Exception:
                log.exception("the table cannot be watched", extra={"action": "watch_failed"})
            await asyncio.sleep(max(0.05, BEAT - (time.monotonic() - begun)))

    def _publish(self, name: str, found: Any) -> None:
        self._count += 1
        id_ = f"{self._prefix}-{self._count}"
        event = b"id: %b\nevent: %b\ndata: %b\n\n" % (id_.encode(), name.encode(), msgspec.json.encode(found))
        self._past.append((id_, event))
        if name == "status":
            self._status = event
        for listener in [each for each in self._listeners if not each.tell(event)]:
            self._listeners.discard(listener)


class _Look:
    """Looks at the table, and says what is other than at the last look."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.forget()

    def forget(self) -> None:
        """Take the next look for the first one."""
        self._live: dict[int, JobFact] | None = None
        self._newest = 0
        self._counted_at = -1e9
        self._cost = 0.0
        self._counts: dict[str, dict[str, int]] = {}
        self._status: Any = None

    def once(self) -> list[tuple[str, Any]]:
        """Events: name and what is told."""
        changed = self._changed()
        status = self._now()
        found: list[tuple[str, Any]] = [("jobs", {"jobs": [fact._asdict() for fact in changed]})] if changed else []
        if status != self._status:
            self._status = status
            found.append(("status", status))
        return found

    def _changed(self) -> list[JobFact]:
        database = self._queue.database
        before, newest = self._live, self._newest
        found = live_jobs(database, _MOST_LIVE)
        self._live = None if found is None else {fact.id: fact for fact in found}
        self._newest = newest_job(database)
        if before is None or self._live is None:
            return []
        left = [id_ for id_ in before if id_ not in self._live]
        late = ended_since(database, newest, left, _MOST_LIVE) if left or self._newest > newest else []
        late = [fact for fact in late if fact.id not in self._live]
        return sorted({*(fact for id_, fact in self._live.items() if before.get(id_) != fact), *late})

    def _now(self) -> dict[str, Any]:
        database = self._queue.database
        begun = time.monotonic()
        if begun - self._counted_at >= self._cost * _STATUS_SHARE:
            self._counts = self._queue.stats()
            self._counted_at, self._cost = begun, time.monotonic() - begun
        return {
            "queue": self._counts,
            "workers": [
                {"id": row.id, "type": row.type, "pool": row.pool, "state": row.state, "host": row.host,
                 "job": row.job_id, "succeeded": row.jobs_succeeded, "failed": row.jobs_failed}
                for row in WorkerTable(database).list()
            ],
            "batches": [
                {"id": each.id, "name": each.name, "state": each.state, "jobs": each.states}
                for each in live_batches(database)
            ],
        }  # fmt: skip
