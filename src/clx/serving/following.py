"""A server does what the job table says: whoever changes that rings, and the change is made at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading

from clx.db.serving.table import BELL
from clx.db.wait import SLOW_BEAT, Bells
from clx.serving.catalogue import Catalogue
from clx.serving.failures import Refusal
from clx.serving.served import Served
from clx.serving.shelf import TableShelf
from clx.serving.tasks import Tasks

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
        self._tasks = Tasks()
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

    @property
    def is_busy(self) -> bool:
        """Whether something is being loaded or given up."""
        return bool(self._tasks)

    async def look(self) -> None:
        """See whether the table wants something else, and tell it how things stand."""
        changes = await self._shelf.ask(self._shelf.table.changes)
        if changes != self._seen:
            wanted = {each.name: each for each in await self._shelf.ask(self._shelf.models)}
            self._seen = changes
            names = {*wanted, *(each.name for each in self._catalogue)}
            for name in sorted(names, key=lambda name: (name not in wanted or wanted[name].residence != "warm", name)):
                if self._differs(name, wanted.get(name)):
                    self._tasks.begin(self._follow(name))
        await self._shelf.tell(list(self._catalogue))

    def _differs(self, name: str, model: Served | None) -> bool:
        there = self._catalogue.get(name)
        if there is not None and there.below:  # a worker's own file, of which the table knows nothing
            return False
        if there is None or model is None or (model.residence == "unloaded") != (there.state == "unloaded"):
            return True
        there.take(model)
        must = there.state == "cold" and model.residence == "warm"
        return there.key != model.key or (there.state == "failed" and not there.is_out) or must

    async def _follow(self, name: str) -> None:
        async with self._catalogue.changing(name):
            with contextlib.suppress(Refusal):  # the table cannot be had
                models = await self._shelf.ask(self._shelf.models)  # anew: a client may have changed it meanwhile
                model = next((each for each in models if each.name == name), None)
                if model is None:
                    self._catalogue.remove(name)
                elif model.residence != "unloaded":
                    await self._put(model)
                elif self._catalogue.get(name) is None:
                    self._catalogue.note(model)
                else:
                    self._catalogue.drop(name)

    async def _put(self, model: Served) -> None:
        try:
            await self._catalogue.put(model, gently=model.residence != "warm")
        except Refusal as refusal:
            if refusal.code == "not_ready":  # its worker is to come, or to come again, and loads it then
                return
            _log.warning("model %s, version %s: %s", model.name, model.version, refusal)
            with contextlib.suppress(Refusal):
                model.state, model.reason = "failed", refusal.text
                await self._shelf.tell([model])
