"""Everybody who watches hears the same, from one look a second; who is too slow is dropped, who comes back goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.server.conftest import Served

from clx.db.jobs import Queue
from clx.db.models import NewJob
from clx.db.tokens import TokenTable
from clx.db.workers import register_this_process
from clx.server import access
from clx.server.answers import Refusal
from clx.server.views import events
from clx.server.views.events import Listener


class Watcher:
    """One who reads the stream."""

    def __init__(self, served: Served, last: str = "", *, reads: bool = True, refused: bool = False) -> None:
        self._served = served
        self._refused = refused
        self._last = last
        self._reads = asyncio.Event()
        if reads:
            self._reads.set()
        self._gone = asyncio.Event()
        self.status = 0
        self.told: list[tuple[str, str, Any]] = []
        self.comments = 0
        self.ended = False
        self.task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        headers = [(b"authorization", f"Bearer {self._served.secrets['read']}".encode()), (b"host", b"localhost")]
        scope = {
            "type": "http", "method": "GET", "path": "/api/v1/events", "root_path": "", "query_string": b"",
            "headers": [*headers, (b"last-event-id", self._last.encode())], "scheme": "http",
        }  # fmt: skip
        asked = False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if not asked:
                asked = True
                if self._refused:
                    raise Refusal(408, "The body comes too slowly.")
                return {"type": "http.request", "body": b"", "more_body": False}
            await self._gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            await self._reads.wait()
            if message["type"] == "http.response.start":
                self.status = message["status"]
                return
            for part in message["body"].decode().split("\n\n"):
                lines = dict(line.partition(": ")[::2] for line in part.splitlines() if not line.startswith(":"))
                self.comments += part.startswith(":")
                if "data" in lines:
                    self.told.append((lines["id"], lines["event"], json.loads(lines["data"])))
            self.ended = not message.get("more_body", False)

        await self._served.application(scope, receive, send)

    async def until(self, is_so: Callable[[], Any]) -> None:
        async with asyncio.timeout(60):
            while not is_so():
                await asyncio.sleep(0.005)

    def of(self, name: str) -> list[Any]:
        return [told for _, event, told in self.told if event == name]

    def jobs(self) -> list[tuple[int, str]]:
        return [(job["id"], job["state"]) for told in self.of("jobs") for job in told["jobs"]]

    async def leave(self) -> None:
        self._gone.set()
        await self.task


def _is_queued(watcher: Watcher, job_id: int) -> bool:
    return (job_id, "queued") in watcher.jobs()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "BEAT", 0.05)


def test_what_happens_is_told(served: Served, queue: Queue) -> None:
    async def watch() -> None:
        watcher = Watcher(served)
        await watcher.until(lambda: watcher.of("status"))
        assert watcher.of("status")[0] == {"queue": {}, "workers": [], "batches": []}
        queue.enqueue(NewJob("t"))
        await watcher.until(lambda: (1, "queued") in watcher.jobs())
        register_this_process(queue.database, "t")
        (job,) = queue.claim(["t"])
        await watcher.until(lambda: (1, "running") in watcher.jobs())
        queue.finish(job.id, job.run)
        await watcher.until(lambda: (1, "succeeded") in watcher.jobs())
        await watcher.until(lambda: watcher.of("status")[-1]["queue"] == {"t": {"succeeded": 1}})
        assert {worker["type"] for worker in watcher.of("status")[-1]["workers"]} == {"t"}
        assert watcher.jobs() == [(1, "queued"), (1, "running"), (1, "succeeded")]
        await watcher.leave()

    served.run(watch())


def test_a_job_that_came_and_went_between_two_looks_is_told(served: Served, queue: Queue) -> None:
    async def watch() -> None:
        watcher = Watcher(served)
        await watcher.until(lambda: watcher.of("status"))
        queue.enqueue_many([NewJob("t"), NewJob("t")])
        for job in queue.claim(["t"], 2):
            queue.finish(job.id, job.run)
        await watcher.until(lambda: {(1, "succeeded"), (2, "succeeded")} <= set(watcher.jobs()))
        await watcher.leave()

    served.run(watch())


def test_a_hundred_cost_what_one_costs(served: Served, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    usual = events._Look.once

    def counted(self: Any) -> Any:
        looks.append(1)
        return usual(self)

    monkeypatch.setattr(events._Look, "once", counted)

    async def watch() -> None:
        watchers = [Watcher(served) for _ in range(100)]
        await watchers[0].until(lambda: all(each.of("status") for each in watchers))
        before = len(looks)
        queue.enqueue(NewJob("t"))
        await watchers[0].until(lambda: all((1, "queued") in each.jobs() for each in watchers))
        assert len(looks) - before < 10
        assert len({str(each.told[-1]) for each in watchers}) <= 2
        for each in watchers:
            await each.leave()
        ended = len(looks)
        await asyncio.sleep(0.3)
        assert len(looks) - ended <= 1, "nobody watches"

    served.run(watch())


def test_who_comes_back_goes_on_where_he_was(served: Served, queue: Queue) -> None:
    async def watch() -> None:
        first, other = Watcher(served), Watcher(served)
        await first.until(lambda: first.of("status") and other.of("status"))
        await first.leave()
        last = first.told[-1][0]
        queue.enqueue(NewJob("t"))
        await other.until(lambda: (1, "queued") in other.jobs())
        back, new = Watcher(served, last), Watcher(served, "of-another-server")
        await back.until(lambda: (1, "queued") in back.jobs() and new.of("status"))
        assert (1, "queued") not in new.jobs()
        assert back.told == other.told[-len(back.told) :]
        for each in (other, back, new):
            await each.leave()

    served.run(watch())


def test_who_does_not_read_is_dropped_and_the_others_hear_all(
    served: Served, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_BEHIND", 3)

    async def watch() -> None:
        slow = Watcher(served, reads=False)
        quick = Watcher(served)
        await quick.until(lambda: quick.of("status"))
        for n in range(8):
            queue.enqueue(NewJob("t"))
            await quick.until(partial(_is_queued, quick, n + 1))
        slow._reads.set()
        await slow.task
        assert slow.ended
        assert len(slow.told) <= 4
        assert not quick.ended
        await quick.leave()

    served.run(watch())


def test_who_hears_nothing_is_told_that_the_stream_lives(
    served: Served, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_HEARTBEAT", 0.05)

    async def watch() -> None:
        watcher = Watcher(served)
        await watcher.until(lambda: watcher.comments >= 2)
        await watcher.leave()

    served.run(watch())


def test_streams_end_with_the_server(served: Served) -> None:
    async def watch() -> None:
        watcher = Watcher(served)
        await watcher.until(lambda: watcher.of("status"))
        served.application.stop()
        async with asyncio.timeout(30):
            await watcher.task
        assert watcher.ended

    served.run(watch())


def test_who_may_look_no_more_hears_no_more(served: Served, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "ASK_AGAIN", 0.0)
    monkeypatch.setattr(access, "FRESH", 0.0)

    async def watch() -> None:
        watcher = Watcher(served)
        await watcher.until(lambda: watcher.of("status"))
        TokenTable(queue.database).revoke("a read")
        job_id = queue.enqueue(NewJob("t"))
        async with asyncio.timeout(30):
            await watcher.task
        assert watcher.ended
        assert (job_id, "queued") not in watcher.jobs()

    served.run(watch())


def test_who_sends_a_body_too_slowly_leaves_no_stream_behind(served: Served) -> None:
    async def watch() -> None:
        watcher = Watcher(served, refused=True)
        async with asyncio.timeout(30):
            await watcher.task
        assert watcher.ended

    served.run(watch())


def test_too_many_are_refused(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_LISTENERS", 0)
    assert served.get("/api/v1/events").status_code == 503


def test_the_end_of_a_stream_leaves_nothing_to_tell() -> None:
    listener = Listener()
    assert all(listener.tell(b"x") for _ in range(100))
    assert not listener.tell(b"y")
    assert listener.events.get_nowait() is None
