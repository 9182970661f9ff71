"""A locked table stops what needs it, after a time, and nothing else."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.server.conftest import Served

from clx.db.jobs import Queue
from clx.db.models import NewJob
from clx.db.sqlite.driver import driver
from clx.db.transaction import Transaction
from clx.server.answers import Refusal
from clx.server.threads import DatabaseThreads


@contextmanager
def locked(queue: Queue) -> Iterator[None]:
    with closing(driver.connect(str(queue.database.path), isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


@pytest.fixture(params=["wal", "delete"])
def queue(request: pytest.FixtureRequest, tmp_path: object) -> Iterator[Queue]:
    """In DELETE mode a lock keeps those who read away too."""
    with Queue.open(f"sqlite:///{tmp_path}/jobs.db?journal_mode={request.param}") as opened:
        yield opened


def test_what_needs_no_table_answers_at_once(serve: Callable[..., Served], queue: Queue) -> None:
    served = serve(patience=1.5)
    assert "<main" in served.get("/").text
    with locked(queue):
        begun = time.monotonic()
        refused = served.post("/api/v1/jobs", {"type": "t"})
        waited = time.monotonic() - begun
        begun = time.monotonic()
        assert served.get("/healthz", role=None).status_code == 200
        assert served.get("/version").status_code == 200
        page = served.get("/", headers={"accept": "text/html"})
        assert page.status_code == 200 or "shown as soon as it does" in page.text
        assert served.get("/page.js").status_code == 200
        assert time.monotonic() - begun < waited
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    assert refused.json()["error"]
    assert queue.search() == [], "what was refused was not done, now or later"
    assert served.post("/api/v1/jobs", {"type": "t"}).status_code == 201


def test_many_who_are_refused_leave_nothing_behind(serve: Callable[..., Served], queue: Queue) -> None:
    served = serve(patience=1.0)
    served.get("/version")

    async def storm() -> list[int]:
        headers = {"authorization": f"Bearer {served.secrets['work']}"}
        calls = [served.client.post("/api/v1/jobs", json={"type": "t"}, headers=headers) for _ in range(30)]
        return [answer.status_code for answer in await asyncio.gather(*calls)]

    with locked(queue):
        assert set(served.run(storm())) == {503}
    assert served.post("/api/v1/jobs", {"type": "t"}).json() == {"id": 1}
    assert len(queue.search()) == 1


def test_who_waits_for_a_thread_is_refused_in_time_and_never_served_late(queue: Queue) -> None:
    threads = DatabaseThreads(queue.database, patience=30.0, writers=1)
    go_on, late = threading.Event(), []

    async def call() -> None:
        first = asyncio.create_task(threads.write(go_on.wait))
        await asyncio.sleep(0)
        with pytest.raises(Refusal) as raised:
            await threads.write(lambda: late.append(1), patience=-1.9)
        assert raised.value.status == 503
        go_on.set()
        assert await first
        assert await threads.write(lambda: 7) == 7

    asyncio.run(call())
    assert late == []
    threads.close()


def test_what_is_short_is_done_here_where_nobody_else_writes_and_by_a_thread_otherwise(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        threads, by = DatabaseThreads(queue.database), []

        def body() -> None:
            by.append(threading.current_thread().name)
            queue.enqueue(NewJob("t"))

        async def calls() -> None:
            await threads.write(body, is_short=True)
            held, go_on = threading.Event(), threading.Event()

            def hold() -> None:
                def within(_tx: Transaction) -> None:
                    held.set()
                    go_on.wait(20)

                queue.database.write("hold", within)

            other = threading.Thread(target=hold)
            other.start()
            held.wait(20)
            second = asyncio.create_task(threads.write(body, is_short=True))
            await asyncio.sleep(0)
            go_on.set()
            await second
            other.join()

        asyncio.run(calls())
        threads.close()
        assert by[0] == by[1] == threading.current_thread().name
        assert by[2].startswith("clx-write")
        assert len(queue.search()) == 2
