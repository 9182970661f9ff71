"""A server does what the job table says: whoever changes that rings, and the change is made at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Coroutine
from typing import Any

from clx.db.serving.table import BELL
from clx.db.wait import SLOW_BEAT, Bells
from clx.serving.catalogue import Catalogue
from clx.serving.failures import Refusal
from clx.serving.served import Served
from clx.serving.shelf import TableShelf

_log = logging.getLogger("clx.serving")


class Following:
    """Keeps a catalogue as the table wants it, and tells the table how its models stand.

    Args:
        shelf: the table.
        catalogue: what is served.
    """

    def __init__(self, shelf: TableShelf, catalogue: Catalogue) -> None:
        self._shelf = shelf
        self._catalogue = catalogue
        self._tasks: set[asyncio.Task[None]] = set()
        self._seen = -1
        self._woken = asyncio.Event()
        self._bells: Bells | None = None
        self._over = False

    async def run(self) -> None:
        """Until it is cancelled."""
        loop = asyncio.get_running_loop()
        thread = threading.Thread(target=self._listen, args=(loop,), daemon=True, name="clx-models-bell")
        thread.start()
        try:
            while True:
                with contextlib.suppress(Refusal):  # the table cannot be had: what is served is served on
                    await self.look()
                await self._woken.wait()
                self._woken.clear()
        finally:
            self._over = True
            if self._bells is not None:
                self._bells.wake()

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        with Bells(self._shelf.table.database, [BELL], without=SLOW_BEAT) as bells:
            self._bells = bells
            while not self._over:
                bells.silence()
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(self._woken.set)
                bells.wait(SLOW_BEAT)

    async def look(self) -> None:
        """See whether the table wants something else, and tell it how things stand."""
        changes = await self._shelf.ask(self._shelf.table.changes)
        if changes != self._seen:
            wanted = {each.name: each for each in await self._shelf.ask(self._shelf.models)}
            self._seen = changes
            for model in wanted.values():
                self._follow(model)
            for name in [each.name for each in self._catalogue if each.name not in wanted]:
                self._later(self._catalogue.remove(name))
        await self._shelf.tell(list(self._catalogue))

    def _follow(self, model: Served) -> None:
        there = self._catalogue.get(model.name)
        if model.residence == "unloaded":
            if there is None:
                self._catalogue.note(model)
            elif there.state != "unloaded":
                self._later(self._catalogue.drop(model.name))
        elif there is None or there.key != model.key or there.state in ("unloaded", "failed"):
            self._later(self._put(model))
        else:
            there.take(model)

    async def _put(self, model: Served) -> None:
        try:
            await self._catalogue.put(model)
        except Refusal as refusal:
            _log.warning("model %s, version %s: %s", model.name, model.version, refusal)
            with contextlib.suppress(Refusal):
                model.state, model.reason = "failed", refusal.text
                await self._shelf.tell([model])

    def _later(self, doing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
