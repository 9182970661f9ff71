"""The models of a server by name: which version of each is served, and how one takes the place of another.

The controller knows versions by their keys and nothing of names; who asks for a model by its name asks here.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from clx.serving.budget import BUSY, LOADING, WARM, Budget, Held
from clx.serving.controller import Controller
from clx.serving.failures import Refusal
from clx.serving.served import Served
from clx.serving.tasks import Tasks

_LOOK = 0.05
"""Seconds between two looks whether a version that was replaced has requests left."""
_MOST_LOOKS = 1200
_PATIENCE = 20
"""Looks for which a load waits where it would fit, if only others were not asked or loaded at present."""


class Catalogue:
    """Models by name.

    Args:
        controller: what holds them.
        budget: the memory that they may take in each worker.
    """

    def __init__(self, controller: Controller, budget: Budget | None = None) -> None:
        self._controller = controller
        self._budget = budget or Budget()
        self._one = asyncio.Lock()  # with a budget one after the other is loaded: what each takes is known then
        self._models: dict[str, Served] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._wanted: Counter[str] = Counter()
        self._tasks = Tasks()

    def __iter__(self) -> Iterator[Served]:
        return iter(self._models.values())

    def get(self, name: str) -> Served | None:
        """The version of that name which is served, or would be."""
        return self._models.get(name)

    def note(self, model: Served) -> None:
        """A model is known; nothing is loaded."""
        self._models[model.name] = model

    @asynccontextmanager
    async def changing(self, name: str) -> AsyncIterator[None]:
        """Within it nobody else changes what is served of that name."""
        lock = self._locks.setdefault(name, asyncio.Lock())
        self._wanted[name] += 1
        try:
            async with lock:
                yield
        finally:
            self._wanted[name] -= 1
            if not self._wanted[name]:
                del self._wanted[name], self._locks[name]

    async def put(self, model: Served, *, gently: bool = False) -> None:
        """Load a model; it takes the place of another version when every worker has it, and not before.

        To be called within :meth:`changing`, as all that follows.

        Args:
            model: it.
            gently: give up no other for it; it is cold if it does not fit, and takes no other's place.

        Raises:
            Refusal: it cannot be loaded; what was served of that name is served still.
        """
        old = self._models.get(model.name)
        if old is not None and old.key == model.key and old.state in ("ready", "cold"):
            old.take(model)
            model = old
            if old.state == "ready":
                return
        goes_on = old is not None and old.state == "ready" and old.key != model.key
        if not goes_on:
            self._models[model.name] = model
        if self._budget.most:
            if not goes_on and model.state != "cold":
                model.state, model.reason = "cold" if gently else "loading", ""
            async with self._one:
                fits = not gently or goes_on or self._budget.has_room(model.memory, self._held(model.key))
                if fits:
                    await self._load_within(model, old if goes_on else None, gently=gently and not goes_on)
        else:
            await self._load(model, goes_on=goes_on)
        self._models[model.name] = model
        if old is not None and old.key != model.key:
            self._retire(old)

    async def _load(self, model: Served, *, goes_on: bool) -> None:
        try:
            await self._controller.load(model)
        except Refusal:
            if goes_on:
                self._controller.drop(model.key)
            raise

    async def _load_within(self, model: Served, old: Served | None, *, gently: bool) -> None:
        """Load a model for which others may be given up, but not *old*, which it is to replace."""
        before = model.state
        try:
            for look in range(_PATIENCE + 1):
                if self._has_made_room(model, old, last=look == _PATIENCE):
                    break
                await asyncio.sleep(_LOOK)
        except Refusal as refusal:
            if old is None:
                model.state, model.reason = ("cold", "") if before == "cold" else ("failed", refusal.text)
            raise
        await self._load(model, goes_on=old is not None)
        if gently:  # what it takes is known now, and may be more
            if not self._budget.has_room(model.memory, self._held(model.key)):
                self._give_up(model)
            return
        try:
            self._make_room(model, old)
        except Refusal:
            self._give_up(model)
            raise

    def _has_made_room(self, model: Served, old: Served | None, *, last: bool) -> bool:
        try:
            self._make_room(model, old)
        except Refusal as refusal:
            if last or all(each["why"] == WARM for each in refusal.more.get("filled_by", ())):
                raise
            return False
        return True

    def _make_room(self, model: Served, old: Served | None) -> None:
        held = self._held(model.key, "" if old is None else old.key)
        for each in self._budget.given_up(model.name, model.memory, held):
            self._give_up(self._controller.models[each.key])

    def _give_up(self, model: Served) -> None:
        model.run_ns = self._controller.scheduler.estimate(model.key)
        self._controller.drop(model.key)
        if self._models.get(model.name) is model:
            model.state, model.reason = "cold", ""

    def _held(self, but: str, replaced: str = "") -> list[Held]:
        """What takes memory beside a model."""
        scheduler = self._controller.scheduler
        busy = scheduler.asked()

        def stays(model: Served) -> str:
            if model.residence == "warm":
                return WARM
            if model.state == "loading" or model.key == replaced:
                return LOADING
            return BUSY if model.key in busy else ""

        return [
            Held(each.key, each.name, each.memory, each.asked, stays(each))
            for each in self._controller.models.values()
            if each.key != but and (each.state in ("ready", "loading") or scheduler.holders(each.key))
        ]

    def drop(self, name: str) -> None:
        """Serve a model no longer; it stays known."""
        model = self._models.get(name)
        if model is not None:
            self._controller.drop(model.key)
            model.state, model.reason = "unloaded", ""

    def remove(self, name: str) -> None:
        """Know a model no longer."""
        self.drop(name)
        self._models.pop(name, None)

    def _retire(self, old: Served) -> None:
        self._tasks.begin(self._end(old))

    async def _end(self, old: Served) -> None:
        """Give up a version once nobody waits for it any more."""
        scheduler = self._controller.scheduler
        for _ in range(_MOST_LOOKS):
            if not any(scheduler.has_requests(each, old.key) for each in scheduler.holders(old.key)):
                break
            await asyncio.sleep(_LOOK)
        current = self._models.get(old.name)
        if current is None or current.key != old.key:
            self._controller.drop(old.key)
