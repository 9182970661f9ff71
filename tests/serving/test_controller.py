"""The controller with a worker that is a thread of the test: requests of HTTP in, answers out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.models_here import Told, Twin, answers, connected, served_by, thread_of_a_worker

from clx.artifacts.store import ArtifactStore
from clx.db.jobs import Queue
from clx.db.serving.table import ServingTable
from clx.serving.api import Api
from clx.serving.catalogue import Catalogue
from clx.serving.controller import Controller
from clx.serving.failures import Refusal
from clx.serving.served import Served
from clx.serving.shelf import TableShelf
from clx.serving.worker import process
from clx.serving.worker.models import Model, ModelError

Ask = Callable[..., Awaitable[Told]]


class Here:
    """A controller, its interface, and how a test asks it."""

    def __init__(self, twins: dict[str, Twin], shelf: TableShelf) -> None:
        self.twins = twins
        self.controller = Controller()
        self.catalogue = Catalogue(self.controller)
        self.api = Api(self.controller, self.catalogue, shelf)

    async def ask(self, method: str, path: str, document: Any = None) -> Told:
        body = b"" if document is None else json.dumps(document).encode()
        connection, transport = connected(self.api.handle)
        connection.data_received(
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )
        while not transport.written:
            await asyncio.sleep(0)
        return answers(transport.written)[0]

    async def infer(self, model: str = "twin", *, rows: int = 1, **parameters: Any) -> Told:
        return await self.ask("POST", f"/v2/models/{model}/infer", document(rows, **parameters))


def document(rows: int = 1, **parameters: Any) -> dict[str, Any]:
    x = {"name": "x", "datatype": "FP32", "shape": [rows, 2], "data": [float(n) for n in range(rows * 2)]}
    return {"inputs": [x], "parameters": parameters}


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Here]:
    twins = {"twin": Twin(), "bad": Twin()}

    def opened(path: str, *_how: object) -> Model:
        if path not in twins:
            raise ModelError("there is no such file")
        return twins[path]

    monkeypatch.setattr(process, "opened", opened)
    with Queue.open(tmp_path / "jobs.db") as queue:
        shelf = TableShelf(ServingTable(queue.database), ArtifactStore(tmp_path / "artifacts"))
        yield Here(twins, shelf)
        shelf.close()


@contextmanager
def released(twin: Twin) -> Iterator[None]:
    """A model that waits inside, and goes on in the end."""
    twin.held = True
    try:
        yield
    finally:
        twin.held = False
        twin.go.set()


def run(here: Here, what: Callable[[], Awaitable[None]]) -> None:
    async def all_of_it() -> None:
        with thread_of_a_worker() as ours:
            await served_by(here.controller, here.catalogue, ours, "twin", "bad")
            await what()
            here.controller.links[0].close()

    asyncio.run(asyncio.wait_for(all_of_it(), 60))


def test_the_calls_of_the_protocol(here: Here) -> None:
    async def ask() -> None:
        assert (await here.ask("GET", "/v2/health/live")).status == 200
        assert (await here.ask("GET", "/v2/health/ready")).status == 200
        assert (await here.ask("GET", "/v2")).document["name"] == "clx"
        assert (await here.ask("GET", "/v2/models/twin/ready")).status == 200
        assert (await here.ask("GET", "/v2/models/twin/versions/1/ready")).status == 200
        assert (await here.ask("GET", "/v2/models/twin/versions/2/ready")).status == 404
        assert (await here.ask("GET", "/v2/models/twin")).document["inputs"] == [
            {"name": "x", "datatype": "FP32", "shape": [-1, 2]}
        ]
        assert (await here.ask("GET", "/v2/models/twin/config")).document["name"] == "twin"
        index = (await here.ask("POST", "/v2/repository/index")).document
        assert [(each["name"], each["state"]) for each in index] == [("twin", "READY"), ("bad", "READY")]
        told = await here.infer(rows=3)
        assert told.document["outputs"][0]["data"] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
        stats = (await here.ask("GET", "/v2/models/twin/stats")).document["model_stats"][0]
        assert (stats["inference_count"], stats["execution_count"]) == (3, 1)

    run(here, ask)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v3", 404),
        ("GET", "/v2/models/twin/nonsense", 404),
        ("POST", "/v2/models/nope/infer", 404),
        ("POST", "/v2/models/twin/infer", 400),
        ("POST", "/v2/repository/models/twin/burn", 404),
        ("POST", "/v2/repository/models/a%2Fb/load", 400),
        ("POST", "/v2/repository/models/nope/unload", 404),
    ],
)
def test_what_there_is_not_is_told(here: Here, method: str, path: str, status: int) -> None:
    async def ask() -> None:
        told = await here.ask(method, path)
        assert told.status == status
        assert told.document["error"]

    run(here, ask)


def test_a_model_that_fails_or_gives_other_rows_is_told_and_the_next_request_is_served(here: Here) -> None:
    async def ask() -> None:
        here.twins["bad"].fails = "it does not like this"
        told = await here.infer("bad")
        assert (told.status, told.document["error"]) == (500, "it does not like this")
        here.twins["bad"].fails = ""
        assert (await here.infer("bad")).status == 200

    run(here, ask)


def test_requests_of_a_batch_get_their_own_rows_or_all_are_told_that_there_are_none(here: Here) -> None:
    async def ask() -> None:
        with released(here.twins["twin"]):
            first = asyncio.ensure_future(here.infer())
            while not here.twins["twin"].begun.is_set():
                await asyncio.sleep(0)
            rest = [asyncio.ensure_future(here.infer(rows=each)) for each in (1, 2)]
            await asyncio.sleep(0)
            here.twins["twin"].held = False
            here.twins["twin"].go.set()
            told = await asyncio.gather(first, *rest)
        assert [len(each.document["outputs"][0]["data"]) for each in told] == [2, 2, 4]

    run(here, ask)


def test_a_model_that_hangs_is_answered_for_at_the_deadline(here: Here) -> None:
    async def ask() -> None:
        with released(here.twins["twin"]):
            told = await here.infer(timeout=300_000)
            assert (told.status, told.document["code"]) == (504, "missed")

    run(here, ask)


def test_what_would_be_late_is_refused_with_the_estimate(here: Here) -> None:
    async def ask() -> None:
        told = await here.infer(timeout=1)
        assert (told.status, told.document["code"], told.document["deadline_us"]) == (429, "refused_late", 1)
        assert told.document["estimate_us"] > 1
        assert int(told.headers["retry-after"]) >= 1

    run(here, ask)


def test_slow_runs_do_not_have_all_be_refused_that_comes_after_them(here: Here) -> None:
    async def ask() -> None:
        (key,) = (each for each in here.controller.models if each.startswith("twin/"))
        for _ in range(100):
            here.controller.scheduler.observe(key, 1, 60_000_000_000)
        told = [await here.infer(timeout=5_000_000)]
        assert told[0].status == 429
        while told[-1].status != 200:  # a few runs more at each refusal, until it is known better
            await asyncio.sleep(0)  # the worker is heard
            told.append(await here.infer(timeout=5_000_000))
        assert here.controller.scheduler.estimate(key) < 5_000_000_000

    run(here, ask)


def test_an_unloaded_model_is_not_ready_and_what_cannot_be_loaded_says_why(here: Here) -> None:
    async def ask() -> None:
        assert (await here.ask("POST", "/v2/repository/models/twin/unload")).status == 200
        assert (await here.infer()).status == 503
        assert (await here.ask("GET", "/v2/models/twin/ready")).status == 503
        model = Served("twin", "2", "gone")
        with pytest.raises(Refusal, match="no such file"):
            await here.catalogue.put(model)
        assert (model.state, model.reason) == ("failed", "there is no such file")

    run(here, ask)


def test_what_a_lost_worker_had_is_answered_at_once(here: Here) -> None:
    async def ask() -> None:
        with released(here.twins["twin"]):
            asked = asyncio.ensure_future(here.infer())
            while not here.twins["twin"].begun.is_set():
                await asyncio.sleep(0)
            here.controller.links[0].close()
            told = await asked
            assert (told.status, told.document["code"]) == (503, "not_ready")
            assert (await here.ask("GET", "/v2/health/ready")).status == 503

    async def all_of_it() -> None:
        with thread_of_a_worker() as ours:
            await served_by(here.controller, here.catalogue, ours, "twin")
            await ask()

    asyncio.run(asyncio.wait_for(all_of_it(), 60))


def test_an_ending_server_takes_no_requests(here: Here) -> None:
    async def ask() -> None:
        here.api.draining = True
        assert (await here.infer()).status == 503
        assert (await here.ask("GET", "/v2/health/ready")).status == 503

    run(here, ask)
