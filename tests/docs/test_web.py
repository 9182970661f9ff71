"""The applications that the page on the queue in web applications shows, as they stand there, asked by clients."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import django  # type: ignore[import-untyped]
import httpx
import pytest
from django.conf import settings  # type: ignore[import-untyped]

from clx import Consumer, NewJob, Queue

_PAGE = (Path(__file__).parents[2] / "docs" / "web.md").read_text(encoding="utf-8")


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    """The queue of the applications, whose files are in the current directory."""
    (tmp_path / "shop").mkdir()
    for name, text in re.findall(r"```python\n# (shop/\w+\.py)\n(.*?)```", _PAGE, re.DOTALL):
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with Queue.open("jobs.db") as found:
        yield found
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]


def _work(queue: Queue) -> int:
    return Consumer(queue, tasks=import_module("shop.jobs").handlers).run(until_idle=True)


@asynccontextmanager
async def _client(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application that has started and ends with it."""
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        yield client


def test_fastapi(queue: Queue) -> None:
    async def use() -> None:
        async with _client(import_module("shop.api").app) as client:
            answer = await client.post("/images", params={"file": "a.png", "width": 32})
            assert answer.status_code == 202
            place = f"/images/{answer.json()['id']}"
            assert (await client.get(place)).json() == {"state": "queued"}
            waiting = asyncio.create_task(client.get(place, params={"wait": 20}))
            await asyncio.to_thread(_work, queue)
            assert (await waiting).json() == {"result": {"file": "a.png", "width": 32}}
            assert (await client.get("/images/999")).status_code == 404
            bad = queue.enqueue(NewJob("resize", {"wrong": 1}))
            assert await asyncio.to_thread(_work, queue) == 1
            assert (await client.get(f"/images/{bad}")).status_code == 502
            assert (await client.post("/images")).status_code == 422

    asyncio.run(use())


def test_starlette(queue: Queue) -> None:
    async def use() -> None:
        app = import_module("shop.live").app
        async with _client(app) as client:
            job_id = (await client.post("/images", json={"file": "a.png"})).json()["id"]
            following = asyncio.create_task(client.get(f"/images/{job_id}/events"))
            live = import_module("shop.live").queue
            while not live._waiters:  # it follows
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            await asyncio.to_thread(_work, queue)
            answer = await following
        told = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line]
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert told[-1] == {"state": "succeeded", "progress": "half way"}
        assert len(told) > 1

    asyncio.run(use())


@pytest.fixture(scope="session")
def _django() -> None:
    settings.configure(
        ROOT_URLCONF="shop.views", ALLOWED_HOSTS=["testserver"], SECRET_KEY="x", USE_TZ=True,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    )  # fmt: skip
    django.setup()


@pytest.mark.usefixtures("_django")
def test_django(queue: Queue) -> None:
    from django.test import AsyncClient, Client  # type: ignore[import-untyped]

    assert Client().post("/images", {"file": "a.png"}).status_code == 202
    (job,) = queue.search()

    async def ask(wait: float) -> tuple[int, Any]:
        answer = await AsyncClient().get(f"/images/{job.id}", {"wait": wait})
        return answer.status_code, json.loads(answer.content)

    assert asyncio.run(ask(0)) == (202, {"state": "queued"})
    working = threading.Timer(0.2, _work, [queue])
    working.start()
    done = {"result": {"file": "a.png", "width": 320}}
    assert asyncio.run(ask(20)) == (200, done)
    working.join()
    assert Client().get(f"/images/{job.id}").json() == done
    views = import_module("shop.views")
    asyncio.run(views.waiting.close())
    views.queue().close()
