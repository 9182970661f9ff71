"""A server of a queue, called in this process without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from clx.db.jobs import Queue
from clx.db.tokens import TokenTable
from clx.server import access
from clx.server.application import Application
from clx.server.place import Place

T = TypeVar("T")
BASE = "http://127.0.0.1:8004"
_PATIENCE = 120.0
"""Seconds: on a machine that has much else to do a call is late; that one is refused for it is tested by itself."""


class Served:
    """A server and callers of it, in an event loop of its own.

    Attributes:
        secrets: role → the text of a token that has it.
    """

    def __init__(self, queue: Queue, place: Place, **options: Any) -> None:
        self.queue = queue
        tokens = TokenTable(queue.database)
        self.secrets = {role: tokens.add(f"a {role}", role) for role in ("read", "work", "admin")}
        self.application = Application(queue, place, **{"patience": _PATIENCE, **options})
        self._runner = asyncio.Runner()
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app=self.application), base_url=BASE)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def call(self, method: str, path: str, *, role: str | None = "admin", **more: Any) -> httpx.Response:
        headers = dict(more.pop("headers", {}))
        if role is not None:
            headers.setdefault("authorization", f"Bearer {self.secrets[role]}")
        return self.run(self.client.request(method, path, headers=headers, **more))

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.call("GET", path, **more)

    def post(self, path: str, json: Any = None, **more: Any) -> httpx.Response:
        return self.call("POST", path, json=json, **more)

    def close(self) -> None:
        self.application.stop()
        self._runner.run(self.client.aclose())
        self._runner.close()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens are waited for as long."""
    monkeypatch.setattr(access, "_LONG_PATIENCE", _PATIENCE)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    """An empty queue."""
    with Queue.open(tmp_path / "jobs.db") as opened:
        yield opened


@pytest.fixture
def serve(queue: Queue) -> Iterator[Callable[..., Served]]:
    """Makes servers of the queue."""
    made = []

    def one(place: Place | None = None, **options: Any) -> Served:
        made.append(Served(queue, place or Place(), **options))
        return made[-1]

    yield one
    for each in made:
        each.close()


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    """A server that wants tokens, on this machine."""
    return serve()
