"""The controller: it alone decides. Requests go in, answers come out by their deadline; workers do as they are told.

One event loop, no inference in it, no task and no thread for a request.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic_ns
from typing import cast

from clx.serving.estimates import WARM_UPS
from clx.serving.failures import Refusal
from clx.serving.frames import (
    Done,
    Failed,
    FrameError,
    Hello,
    Load,
    Loaded,
    LoadFailed,
    Measured,
    Message,
    Piece,
    Unload,
    Wanted,
    Warm,
)
from clx.serving.inflight import InFlight, tell
from clx.serving.links import Link
from clx.serving.remote import digest_of, piece_of
from clx.serving.scheduler import Scheduler
from clx.serving.served import Served
from clx.serving.tasks import Tasks
from clx.serving.telemetry import Telemetry

PAUSE = 0.02
"""Seconds after which a worker that is never free goes on with warm-ups all the same."""
HANG = 30_000_000_000
"""Nanoseconds beyond what was expected of a batch after which its worker is taken for hung, and ended."""


class Controller:
    """Models, workers, requests.

    Args:
        lost: is called with the number of a worker that is gone, after its requests were seen to.
    """

    def __init__(self, lost: Callable[[int], None] = lambda _executor: None) -> None:
        self.models: dict[str, Served] = {}  # by key
        self.scheduler = Scheduler()
        self.links: dict[int, Link] = {}
        self._lost = lost
        self._begun: dict[tuple[int, str], int] = {}  # when a worker was told to load a model
        self._warming: dict[int, deque[tuple[str, int, int]]] = {}  # by worker: model, size, how many runs are left
        self._warmed: dict[int, tuple[str, int]] = {}  # by worker: of what model and size it was asked for some
        self._loads: dict[tuple[int, str], asyncio.Future[None]] = {}
        self._tasks = Tasks()
        self._requests = InFlight(self.scheduler, self.links, self._measure_again)
        self.infer = self._requests.infer

    @property
    def log(self) -> Telemetry | None:
        """Where what becomes of requests, and what workers do, is noted."""
        return self._requests.log

    @log.setter
    def log(self, log: Telemetry) -> None:
        self._requests.log = log

    # -- workers --------------------------------------------------------------------------------------

    def link(self, executor: int, address: str = "") -> Link:
        """The controller's end of a link to a new worker; *address*: of one on another machine."""
        made = self.links[executor] = Link(executor, self._heed, self._gone, address)
        self.scheduler.add_executor(executor)
        return made

    def _gone(self, executor: int) -> None:
        now = monotonic_ns()
        del self.links[executor]
        self._warming.pop(executor, None)
        self._warmed.pop(executor, None)
        self._requests.lose(executor)
        for (where, model), told in list(self._loads.items()):
            if where == executor and not told.done():
                told.set_exception(
                    Refusal("not_ready", f"the worker that was to hold {model.partition('/')[0]} is gone")
                )
        for ticket in self.scheduler.remove_executor(now, executor):
            tell(ticket, Refusal("not_ready", "the worker that held the model is gone; it is being replaced"))
        for served in self.models.values():
            if served.state == "ready" and not self.scheduler.holders(served.key):
                served.state, served.reason = "loading", "its worker is being replaced"
        self._lost(executor)
        for other in self.links:
            self._requests.pump(other)

    def _heed(self, executor: int, message: Message, rest: memoryview) -> None:
        match message:
            case Done() | Failed():
                self._requests.end(executor, message, rest)
            case Measured():
                self._measured(executor, message)
            case Loaded(model=name):
                if (executor, name) not in self._loads:  # it was unloaded meanwhile
                    self.links[executor].send(Unload(name))
                    return
                self._note(message)
                self.links[executor].grown[name] = message.grown
                self.scheduler.place(executor, name, message.largest)
                self._warming.setdefault(executor, deque()).append((name, 1, WARM_UPS))
                self._warm(executor)
            case LoadFailed(model=name, text=text):
                self._failed_to_load(executor, name, text)
            case Wanted():
                self._tasks.begin(self._send_piece(executor, message))
            case Hello(pid=pid):
                self.links[executor].pid = pid
            case _:
                raise FrameError("a worker says what only a controller says")

    def end_hung(self) -> list[int]:
        """The workers whose batch takes so much longer than expected that they will hardly end; for who ends them."""
        return self.scheduler.hung(monotonic_ns(), HANG)

    # -- models ---------------------------------------------------------------------------------------

    async def load(self, model: Served) -> None:
        """Have every worker hold a model; returns when it is measured there.

        Raises:
            Refusal: a worker could not.
        """
        self.models[model.key] = model
        model.state, model.reason = "loading", ""
        told = [self.load_at(executor, model) for executor in self.links]
        if not told:
            raise Refusal("not_ready", "there is no worker yet")
        failed = [each for each in await asyncio.gather(*told, return_exceptions=True) if each is not None]
        for each in failed:
            if not isinstance(each, Refusal):
                raise each
        if failed:
            raise Refusal(cast("Refusal", failed[0]).code, "; ".join(dict.fromkeys(map(str, failed))))

    def load_at(self, executor: int, model: Served) -> asyncio.Future[None]:
        """Have a worker hold a model; what comes back is done when it is measured there."""
        told = self._loads.get((executor, model.key))
        if told is None or told.done():
            told = self._loads[executor, model.key] = asyncio.get_running_loop().create_future()
            self._begun[executor, model.key] = monotonic_ns()
            link = self.links[executor]
            if not link.address or model.below or model.callable:
                options = {"callable": model.callable} if model.callable else {}
                link.send(Load(model.key, model.below or model.path, model.largest, options))
            else:
                self._tasks.begin(self._load_by_digest(executor, model))
        return told

    async def _load_by_digest(self, executor: int, model: Served) -> None:
        if not model.digest:
            try:
                model.digest, model.size = await asyncio.to_thread(digest_of, model.path)
            except OSError as error:
                self._failed_to_load(executor, model.key, f"{model.path}: {error.strerror or error}")
                return
        if executor in self.links:
            self.links[executor].send(Load(model.key, "", model.largest, {}, model.digest, model.size))

    async def _send_piece(self, executor: int, wanted: Wanted) -> None:
        model = self.models.get(wanted.model)
        known = model is not None and model.digest and 0 <= wanted.at < model.size
        data = await asyncio.to_thread(piece_of, model.path, wanted.at) if model is not None and known else b""
        if executor in self.links:
            self.links[executor].send(Piece(wanted.model, wanted.at), [data])

    def drop(self, key: str) -> None:
        """Have no worker hold a model any more; what waits for it is refused, also who waits for it to be loaded."""
        model = self.models.pop(key, None)
        if model is None:
            return
        model.state = "unloaded"
        name = model.name
        for executor, link in self.links.items():
            if executor in self.scheduler.holders(key):
                for ticket in self.scheduler.displace(monotonic_ns(), executor, key):
                    tell(ticket, Refusal("not_ready", f"model {name} was unloaded"))
                link.send(Unload(key))
            told = self._loads.pop((executor, key), None)
            if told is not None and not told.done():
                told.set_exception(Refusal("conflict", f"model {name} was unloaded before it was ready"))
            link.grown.pop(key, None)
            self._cool(executor, key)
        self.scheduler.forget(key)

    def _note(self, told: Loaded) -> None:
        model = self.models[told.model]
        model.inputs = {each.name: each for each in told.inputs}
        model.outputs = told.outputs
        model.batches, model.most_rows = told.largest > 1, told.largest
        model.grown = told.grown or model.grown

    def _warm(self, executor: int) -> None:
        """Have a worker go on with warm-ups, if there are any and none is asked for."""
        waiting = self._warming.get(executor)
        if waiting and executor not in self._warmed:
            self._warmed[executor] = waiting[0][:2]
            self.links[executor].send(Warm(*waiting[0]))

    def _cool(self, executor: int, name: str) -> None:
        """No more warm-ups of a model."""
        self._warming[executor] = deque(each for each in self._warming.get(executor, ()) if each[0] != name)

    def _measure_again(self, model: Served, size: int) -> None:
        """A request was refused by workers that do nothing: perhaps what is expected of them is too much.

        A few slow runs could else have all be refused that comes, and so nothing be learnt any more.
        """
        for executor in self.scheduler.holders(model.key):
            waiting = self._warming.setdefault(executor, deque())
            if self.scheduler.is_free(executor) and not any(each[0] == model.key for each in waiting):
                waiting.append((model.key, size, WARM_UPS))
                self._warm(executor)

    def _measured(self, executor: int, told: Measured) -> None:
        if self._warmed.pop(executor, None) != (told.model, told.size):
            raise FrameError("a worker has measured what it was not asked for")
        waiting = self._warming[executor]
        if not waiting or waiting[0][:2] != (told.model, told.size):  # it is wanted no more
            self._warm(executor)
            return
        for took in told.runs:
            self.scheduler.observe(told.model, told.size, took)
        name, size, left = waiting.popleft()
        left -= len(told.runs)
        if told.runs and left > 0:
            waiting.append((name, size, left))
        elif told.runs and self.scheduler.may_pay(name, size * 2):
            waiting.append((name, size * 2, WARM_UPS))
        else:
            self._loaded(executor, name)
        if self.scheduler.is_free(executor):
            self._warm(executor)
        else:  # who waits comes first, but not for ever
            asyncio.get_running_loop().call_later(PAUSE, self._warm, executor)

    def _loaded(self, executor: int, name: str) -> None:
        self._note_load(executor, name, "success")
        if name in self.models:
            self.models[name].state = "ready"
        told = self._loads.pop((executor, name), None)
        if told is not None and not told.done():
            told.set_result(None)

    def _note_load(self, executor: int, key: str, outcome: str) -> None:
        model, began = self.models.get(key), self._begun.pop((executor, key), 0)
        if model is None or not began:
            return
        now = monotonic_ns()
        model.load_ns = now - began if outcome == "success" else model.load_ns
        if self.log is not None:
            about = (self._requests.number(), "load", executor, model.name, model.version, outcome)
            self.log.action(*about, began, now, 0, now - began, 0, 0)

    def _failed_to_load(self, executor: int, name: str, text: str) -> None:
        self._note_load(executor, name, "failed")
        model = self.models.get(name)
        if model is None:
            return
        link = self.links.get(executor)
        if link is not None and link.address:
            text = f"worker {link.address}: {text}"
        if executor in self.scheduler.holders(name):
            for ticket in self.scheduler.displace(monotonic_ns(), executor, name):
                tell(ticket, Refusal("failed", text))
        model.reason = text
        if not self.scheduler.holders(name):  # who has it goes on
            model.state = "failed"
        if self._warmed.get(executor, ("",))[0] == name:  # it was a warm-up that failed
            del self._warmed[executor]
        self._cool(executor, name)
        self._warm(executor)
        told = self._loads.pop((executor, name), None)
        if told is not None and not told.done():
            told.set_exception(Refusal("malformed", f"model {model.name} cannot be loaded: {text}"))
