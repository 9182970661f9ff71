"""The models of a server by name: which version of each is served, and how one takes the place of another.

The controller knows versions by their keys and nothing of names; who asks for a model by its name asks here.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from clx.serving.controller import Controller
from clx.serving.failures import Refusal
from clx.serving.served import Served

_LOOK = 0.05
"""Seconds between two looks whether a version that was replaced has requests left."""
_MOST_LOOKS = 1200


class Catalogue:
    """Models by name.

    Args:
        controller: what holds them.
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._models: dict[str, Served] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._wanted: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

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

    async def put(self, model: Served) -> None:
        """Load a model; it takes the place of another version when every worker has it, and not before.

        To be called within :meth:`changing`, as all that follows.

        Raises:
            Refusal: it cannot be loaded; what was served of that name is served still.
        """
        old = self._models.get(model.name)
        if old is not None and old.key == model.key and old.state == "ready":
            old.take(model)
            return
        goes_on = old is not None and old.state == "ready" and old.key != model.key
        if not goes_on:
            self._models[model.name] = model
        try:
            await self._controller.load(model)
        except Refusal:
            if goes_on:
                self._controller.drop(model.key)
            raise
        self._models[model.name] = model
        if old is not None and old.key != model.key:
            self._retire(old)

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
        task = asyncio.get_running_loop().create_task(self._end(old))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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
