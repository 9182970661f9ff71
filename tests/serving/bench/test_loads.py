"""Loads, without a model: a controller with a worker that is a thread of the test."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from tests.support.models_here import Twin, served_by, thread_of_a_worker

from clx.artifacts.store import ArtifactStore
from clx.db.jobs import Queue
from clx.db.serving.table import ServingTable
from clx.serving.api import Api
from clx.serving.bench import traces
from clx.serving.bench.arrivals import bursts, poisson
from clx.serving.bench.loads import MOST_CONNECTIONS, Load, LoadError, Reply, Result, busiest, percentile
from clx.serving.bench.plots import draw
from clx.serving.bench.simulation import POLICIES, bound, run
from clx.serving.catalogue import Catalogue
from clx.serving.controller import Controller
from clx.serving.http import Connection, Connections
from clx.serving.shelf import TableShelf
from clx.serving.worker import process


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[TableShelf]:
    """It is empty; whatever is loaded is one model."""
    found = Twin()
    monkeypatch.setattr(process, "opened", lambda *_: found)
    with Queue.open(tmp_path / "jobs.db") as queue:
        made = TableShelf(ServingTable(queue.database), ArtifactStore(tmp_path / "artifacts"))
        yield made
        made.close()


async def loaded(shelf: TableShelf, model: str, *, clients: int = 0) -> Result:
    controller = Controller()
    catalogue = Catalogue(controller)
    handle = Api(controller, catalogue, shelf).handle
    with thread_of_a_worker() as ours:
        await served_by(controller, catalogue, ours, "twin")
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(handle, Connections()), "127.0.0.1", 0
        )
        load = Load("127.0.0.1", server.sockets[0].getsockname()[1], model)
        try:
            if clients:
                return await load.closed_loop(clients, 0.2)
            return await load.open_loop(itertools.islice(poisson(500, Random(1)), 40), 60)
        finally:
            server.close()
            controller.links[0].close()


@pytest.mark.parametrize("clients", [0, 3])
def test_each_request_of_a_load_has_an_answer(shelf: TableShelf, clients: int) -> None:
    found = asyncio.run(loaded(shelf, "twin", clients=clients))
    assert {each.status for each in found.replies} == {200}
    assert clients or len(found.replies) == 40
    assert all(each.took > 0 for each in found.replies)


def test_what_cannot_be_loaded_is_said(shelf: TableShelf) -> None:
    with pytest.raises(LoadError, match=r"model none answers 404: .*no model none"):
        asyncio.run(loaded(shelf, "none"))
    with pytest.raises(LoadError, match="there is no server at"):
        asyncio.run(Load("127.0.0.1", 1, "m").closed_loop(1, 1))


def test_connections_are_open_before_a_burst() -> None:
    assert busiest([], 1) == 0
    assert busiest([0.0, 0.5, 0.9, 1.6, 1.7], 1) == 3
    assert busiest([0.0, 2.0, 4.0], 1) == 1
    assert busiest([0.1] * 5000, 1) == MOST_CONNECTIONS


def test_numbers_of_a_load() -> None:
    replies = [Reply(0.1 * n, 0.001 * (n + 1), 200) for n in range(8)]
    found = Result(2.0, [*replies, Reply(0.9, 0.002, 429), Reply(0.9, 0.5, 504)]).document(0.004)
    assert (found["offered_per_s"], found["goodput_per_s"]) == (5, 2)
    assert (found["refused"], found["missed"], found["failed"]) == (1, 1, 0)
    assert found["kept_rate"] == 8 / 9
    assert found["p50_ms"] == pytest.approx(4)
    assert percentile([], 0.5) == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["svg", "png"])
def test_a_picture_of_loads(tmp_path: Path, kind: str) -> None:
    result = Result(1.0, [Reply(n / 100, 0.001 * (n + 1), 200 if n % 3 else 429) for n in range(100)])
    refused = Result(1.0, [Reply(n / 10, 0.001, 429) for n in range(5)])  # nothing was answered, and nothing came late
    draw({"100/s": result, "200/s": result, "5/s": refused}, tmp_path / f"load.{kind}", 0.02)
    said = (tmp_path / f"load.{kind}").read_bytes()
    assert said.startswith(b"\x89PNG") if kind == "png" else b"<svg" in said


def test_a_trace_is_made_up_alike_and_read_from_a_file(tmp_path: Path) -> None:
    found = traces.made_up(7, 50)
    assert found == traces.made_up(7, 50)
    assert found != traces.made_up(8, 50)
    (tmp_path / "trace").write_text("\n".join(map(str, found)))
    assert traces.of_file(tmp_path / "trace") == found
    (tmp_path / "trace").write_text("-1")
    with pytest.raises(ValueError, match="above 0"):
        traces.of_file(tmp_path / "trace")


@pytest.mark.parametrize("arrivals", [poisson, bursts])
def test_in_a_simulation_clx_keeps_what_it_accepts_and_others_do_not(
    arrivals: Callable[[float, Random], Iterator[float]],
) -> None:
    times = traces.made_up(1, 2000)
    kept = {}
    for name, make in POLICIES.items():
        dice = Random(1)
        outcome = run(make(), times, arrivals(4.0 * 1e9 * len(times) / sum(times), dice), 1000, dice)
        kept[name] = outcome.kept_rate
    assert kept["CLX"] >= 0.999
    assert kept["earliest deadline, expired ones left out"] < 0.5
    assert kept["in order, all accepted"] < 0.5


@pytest.mark.parametrize("load", [0.5, 0.7, 1.0, 1.5, 2.0, 4.0])
def test_clx_answers_nearly_as_many_at_random_times_as_anybody_could(load: float) -> None:
    times = traces.made_up(1, 2000)
    mean = sum(times) // len(times)
    requests = int(2000 * max(1, load))  # the same time: what is left over at the end counts for the bound alone
    dice = Random(1)
    outcome = run(POLICIES["CLX"](), times, poisson(load * 1e9 / mean, dice), requests, dice)
    dice = Random(1)
    assert outcome.kept_rate >= 0.999
    assert outcome.kept >= 0.95 * bound(mean, poisson(load * 1e9 / mean, dice), requests, dice)


def test_more_than_the_bound_is_not_possible() -> None:
    assert bound(1000, iter([0.0] * 200), 200, Random(1)) <= 100  # all come at once; none has more than a hundred runs
    assert bound(1000, iter(n * 1e-3 for n in range(50)), 50, Random(1)) == pytest.approx(50)
