"""Requests of models that are known, and not loaded: each starts its load, and is held while there is time for that.

How long a load takes is estimated as runs are. A request that cannot be answered by its deadline is refused at once,
and told when to come again; by then the model is there. The others are offered to the scheduler as soon as it is, the
earliest deadline first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic_ns

from clx.serving.budget import load_estimate
from clx.serving.catalogue import Catalogue
from clx.serving.controller import Controller
from clx.serving.failures import Refusal
from clx.serving.inflight import Result
from clx.serving.protocol import Inference
from clx.serving.served import Served
from clx.serving.tasks import Tasks

MOST_HELD = 1_000
"""Requests that are held at a time, of all models."""


@dataclass(slots=True, eq=False)
class _Waiting:
    asked: Inference
    arrived: int
    deadline: int  # nanoseconds (monotonic); 0: none
    result: Result
    timer: asyncio.TimerHandle | None = None
    withdraw: Callable[[], None] | None = None  # once it was offered


@dataclass(slots=True, eq=False)
class _Load:
    """A load that requests have started."""

    expected: int
    begun: int  # of the first one; others wait for it
    held: list[_Waiting] = field(default_factory=list)


class Cold:
    """Has models loaded that are asked for.

    Args:
        controller: what runs models.
        catalogue: what loads them.
    """

    def __init__(self, controller: Controller, catalogue: Catalogue) -> None:
        self._controller = controller
        self._catalogue = catalogue
        self._loads: dict[str, _Load] = {}  # by name, in the order in which they are done
        self._count = 0
        self._tasks = Tasks()

    def holds(self, model: Served) -> bool:
        """Whether a request of *model* is to be brought here: it is cold, or being loaded for others."""
        return model.state == "cold" or (model.state != "ready" and model.name in self._loads)

    def ask(self, model: Served, asked: Inference, arrived: int, result: Result) -> Callable[[], None] | None:
        """Hold a request until its model is loaded, or say at once why not.

        Args:
            model: what it asks.
            asked: what was sent.
            arrived: nanoseconds (monotonic) at which its first byte was read.
            result: is told what came of it, by its deadline.

        Returns:
            What to call if nobody waits for it any more; None: it is answered.

        Raises:
            Refusal: it has inputs that the model does not take.
        """
        if model.inputs:  # it was held before
            model.check(asked)
        now = monotonic_ns()
        load = self._loads.get(model.name)
        if load is None:
            load = self._loads[model.name] = _Load(load_estimate(model.load_ns, model.size), now)
            self._tasks.begin(self._load(model.name, load))
        deadline = model.deadline(asked, arrived)
        ready = self._ready(now, load)
        if deadline and ready + model.run_ns > deadline:
            result(_come_again(model, "it is cold, and being loaded; that is not done by the deadline", ready - now))
            return None
        if self._count >= MOST_HELD:
            result(_come_again(model, "it is cold, and being loaded; too many requests wait for that", ready - now))
            return None
        waiting = _Waiting(asked, arrived, deadline, result)
        load.held.append(waiting)
        self._count += 1
        if deadline:
            loop = asyncio.get_running_loop()
            waiting.timer = loop.call_later(max(0, deadline - now) / 1e9, self._overdue, model, load, waiting)
        return lambda: self._withdraw(model, load, waiting)

    def _ready(self, now: int, load: _Load) -> int:
        """When a load is expected to be done: after those that were begun before."""
        at = now
        for place, each in enumerate(self._loads.values()):
            spent = 0 if place else now - each.begun
            at += each.expected - spent if each.expected > spent else spent  # one that overruns: as long again
            if each is load:
                break
        return at

    async def _load(self, name: str, load: _Load) -> None:
        told: Refusal | None = None
        try:
            async with self._catalogue.changing(name):
                model = self._catalogue.get(name)
                if model is None or model.state == "unloaded":
                    told = Refusal("not_ready", f"model {name} was unloaded")
                elif model.state == "cold":
                    await self._catalogue.put(model)
        except Refusal as refusal:
            told = refusal
        finally:
            del self._loads[name]
            self._count -= len(load.held)
            for following in self._loads.values():
                following.begun = monotonic_ns()
                break
        model = self._catalogue.get(name)
        for each in sorted(load.held, key=lambda each: (each.deadline == 0, each.deadline, each.arrived)):
            if each.timer is not None:
                each.timer.cancel()
            if model is None or told is not None:
                each.result(told or Refusal("not_ready", f"model {name} was removed"))
            else:
                each.withdraw = self._controller.infer(model, each.asked, each.arrived, each.result)
        load.held.clear()

    def _leave(self, load: _Load, waiting: _Waiting) -> None:
        load.held.remove(waiting)
        self._count -= 1
        if waiting.timer is not None:
            waiting.timer.cancel()

    def _withdraw(self, model: Served, load: _Load, waiting: _Waiting) -> None:
        """The client is gone."""
        if waiting in load.held:
            self._leave(load, waiting)
            model.numbers.offered += 1
            model.numbers.withdrawn += 1
        elif waiting.withdraw is not None:
            waiting.withdraw()

    def _overdue(self, model: Served, load: _Load, waiting: _Waiting) -> None:
        self._leave(load, waiting)
        model.numbers.offered += 1
        model.numbers.missed += 1
        waiting.result(Refusal("missed", f"its deadline came before model {model.name} was loaded"))


def _come_again(model: Served, text: str, wait: int) -> Refusal:
    return Refusal(
        "not_ready",
        f"model {model.name} is not ready: {text}",
        estimate_us=wait // 1000,
        retry_after_s=wait / 1e9,
    )
