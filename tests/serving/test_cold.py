"""Models that are not loaded for want of memory, and requests that want them; the worker is a thread of the test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic_ns

import pytest
from tests.support.models_here import Twin, served_by, thread_of_a_worker

from clx.serving.budget import Budget
from clx.serving.catalogue import Catalogue
from clx.serving.cold import Cold
from clx.serving.controller import Controller
from clx.serving.failures import Refusal
from clx.serving.protocol import Inference
from clx.serving.served import Served
from clx.serving.tensors import Tensor
from clx.serving.worker import process
from clx.serving.worker.models import Model, ModelError

Found = Sequence[Tensor] | Refusal
SECOND = 1_000_000_000


class Here:
    """A catalogue with room for two models of a gigabyte; no thread of a test grows by as much."""

    def __init__(self) -> None:
        self.controller = Controller()
        self.catalogue = Catalogue(self.controller, Budget(2 << 30))
        self.cold = Cold(self.controller, self.catalogue)
        self.opened: list[str] = []
        self.order: list[str] = []

    async def put(self, name: str, residence: str = "loaded", *, gently: bool = False, size: int = 1 << 30) -> Served:
        model = Served(name, "1", name, size=size, residence=residence)
        async with self.catalogue.changing(name):
            await self.catalogue.put(model, gently=gently)
        return model

    def ask(self, name: str, timeout: int = 0, called: str = "") -> asyncio.Future[Found]:
        """What becomes of a request; microseconds."""
        told: asyncio.Future[Found] = asyncio.get_running_loop().create_future()

        def result(found: Found) -> None:
            self.order.append(called)
            told.set_result(found)

        model = self.catalogue.get(name)
        assert model is not None
        asked = Inference([Tensor("x", "FP32", (1, 2), bytes(8))], id=called, timeout=timeout)
        take = self.cold.ask if self.cold.holds(model) else self.controller.infer
        self.withdraw = take(model, asked, monotonic_ns(), result)
        return told

    def states(self) -> dict[str, str]:
        return {each.name: each.state for each in self.catalogue}


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Here:
    made = Here()

    def opened(path: str, *_how: object) -> Model:
        made.opened.append(path)
        if path == "broken":
            raise ModelError("it is broken")
        return Twin()

    monkeypatch.setattr(process, "opened", opened)
    return made


def run(here: Here, what: Callable[[], Awaitable[None]]) -> None:
    async def all_of_it() -> None:
        with thread_of_a_worker() as ours:
            await served_by(here.controller, here.catalogue, ours)
            await what()
            here.controller.links[0].close()

    asyncio.run(asyncio.wait_for(all_of_it(), 60))


def test_the_least_recently_asked_is_given_up_and_comes_back_when_it_is_asked_for(here: Here) -> None:
    async def look() -> None:
        await here.put("a")
        await here.put("b")
        assert not isinstance(await here.ask("b"), Refusal)
        assert not isinstance(await here.ask("a"), Refusal)
        await here.put("c")
        assert here.states() == {"a": "ready", "b": "cold", "c": "ready"}
        assert not isinstance(await here.ask("b"), Refusal)  # nobody has asked for c yet
        assert here.states() == {"a": "ready", "b": "ready", "c": "cold"}
        assert here.opened == ["a", "b", "c", "b"]

    run(here, look)


def test_what_is_put_gently_takes_nobodys_place(here: Here) -> None:
    async def look() -> None:
        for name in "abc":
            await here.put(name, gently=True)
        assert here.states() == {"a": "ready", "b": "ready", "c": "cold"}
        assert here.opened == ["a", "b"]

    run(here, look)


def test_what_is_put_gently_and_turns_out_larger_gives_itself_up(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    async def look() -> None:
        await here.put("a", gently=True)
        monkeypatch.setattr(process, "_resident", iter((0, 2 << 30)).__next__)
        await here.put("b", gently=True)
        assert here.states() == {"a": "ready", "b": "cold"}

    run(here, look)


def test_warm_models_stay_and_the_refusal_names_them(here: Here) -> None:
    async def look() -> None:
        await here.put("c", gently=True)
        await here.put("a", "warm")
        await here.put("b", "warm")
        assert here.states() == {"a": "ready", "b": "ready", "c": "cold"}
        told = await here.ask("c")
        assert isinstance(told, Refusal)
        assert told.status == 507
        assert {each["name"] for each in told.more["filled_by"]} == {"a", "b"}
        assert here.states()["c"] == "cold"
        with pytest.raises(Refusal, match="more than"):
            await here.put("d", size=3 << 30)
        assert here.states()["d"] == "failed"

    run(here, look)


def test_a_load_waits_for_requests_of_what_is_in_its_place(here: Here) -> None:
    async def look() -> None:
        for name in "abc":
            await here.put(name, gently=True)
        asked = [here.ask(name) for name in "ab"]
        assert here.controller.scheduler.asked() == {each.key for each in here.catalogue if each.name != "c"}
        assert not any(isinstance(each, Refusal) for each in await asyncio.gather(here.ask("c"), *asked))

    run(here, look)


def test_a_request_without_time_for_the_load_is_told_when_to_come_again(here: Here) -> None:
    async def look() -> None:
        await here.put("a")
        await here.put("b")
        cold = await here.put("c", gently=True)
        cold.load_ns = 5 * SECOND
        told = await here.ask("c", timeout=4_000_000)
        assert isinstance(told, Refusal)
        assert told.status == 503
        assert 4 < told.more["retry_after_s"] <= 5
        held = here.ask("c", timeout=60_000_000)
        assert here.states()["c"] == "cold"
        assert not isinstance(await held, Refusal)
        assert 0 < cold.load_ns != 5 * SECOND
        assert here.opened == ["a", "b", "c"]  # once for both

    run(here, look)


def test_loads_that_wait_for_others_are_told_with_them(here: Here) -> None:
    async def look() -> None:
        for name in "abcd":
            model = await here.put(name, gently=True)
            model.load_ns = 5 * SECOND
        first, second = here.ask("c", timeout=1), here.ask("d", timeout=1)
        told = [(await each) for each in (first, second)]
        waits = [round(each.more["retry_after_s"]) for each in told if isinstance(each, Refusal)]
        assert waits == [5, 10]

    run(here, look)


def test_held_requests_are_served_by_their_deadlines(here: Here) -> None:
    async def look() -> None:
        for name in "abc":
            await here.put(name, gently=True)
        told = [here.ask("c", timeout, str(timeout)) for timeout in (0, 50_000_000, 20_000_000, 30_000_000)]
        await asyncio.gather(*told)
        assert here.order[0] == "20000000"  # the others are one batch
        assert len(here.order) == 4

    run(here, look)


def test_who_is_gone_is_not_served_and_a_deadline_that_comes_first_is_kept(here: Here) -> None:
    async def look() -> None:
        for name in "abc":
            model = await here.put(name, gently=True)
        model.load_ns = 1
        gone = here.ask("c")
        assert here.withdraw is not None
        here.withdraw()
        late = here.ask("c", timeout=3_000)
        told = await late
        assert not gone.done()
        assert isinstance(told, Refusal)
        assert told.code == "missed"
        assert (model.numbers.offered, model.numbers.withdrawn, model.numbers.missed) == (2, 1, 1)

    with held_back(here):
        run(here, look)


@contextmanager
def held_back(here: Here) -> Iterator[None]:
    """No load of *c* ends within."""
    before = here.controller.load

    async def load(model: Served) -> None:
        if model.name != "c":
            await before(model)
            return
        await asyncio.Event().wait()

    here.controller.load = load  # type: ignore[method-assign]
    yield
    here.controller.load = before  # type: ignore[method-assign]


def test_what_is_held_is_told_that_the_model_is_broken(here: Here) -> None:
    async def look() -> None:
        for name in ("a", "b", "broken"):
            await here.put(name, gently=True)
        told = await here.ask("broken")
        assert isinstance(told, Refusal)
        assert "it is broken" in told.text
        assert here.states()["broken"] == "failed"

    run(here, look)
