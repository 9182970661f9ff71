"""A controller that sees to what models do wrong: those that hang, and those that end their workers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic_ns

from clx.serving.budget import load_estimate
from clx.serving.controller import Controller
from clx.serving.failures import Refusal
from clx.serving.faults import FACTOR, MOST, Faults, hangs
from clx.serving.frames import Done, Loaded, LoadFailed, Measured, Message, Wanted
from clx.serving.inflight import Result, tell
from clx.serving.protocol import Inference
from clx.serving.served import Served

PATIENCE = 30_000_000_000
"""Nanoseconds that a batch may take in any case, while somebody waits for it."""
LOAD_PATIENCE = 60_000_000_000
"""Nanoseconds in which a worker that loads, or warms up, has to get on."""
MOST_REST = 30_000_000_000
"""Nanoseconds after which a model is asked again where others hold it, though its worker is not replaced."""


class Guarded(Controller):
    """Models, workers, requests, and an eye on those that take others along.

    Args:
        lost: is called with the number of a worker that is gone, after its requests were seen to.
        fate: says how a worker that is gone has ended by itself, ``exit status 3`` say; empty: somebody else ended
            it, or nobody knows.
        patience: nanoseconds that a batch may take in any case, while somebody waits for it.
        tell: is given a line about each strike.
        holds: is called with the number of a worker each time that it holds one model more.
    """

    def __init__(
        self,
        lost: Callable[[int], None] = lambda _executor: None,
        fate: Callable[[int], str] = lambda _executor: "",
        patience: int = PATIENCE,
        tell: Callable[[str], None] = lambda _line: None,
        holds: Callable[[int], None] = lambda _executor: None,
    ) -> None:
        super().__init__(lost)
        self.faults = Faults()
        self._fate = fate
        self._patience = patience
        self._tell = tell
        self._holds = holds
        self._hung: set[int] = set()
        self._got_on: dict[int, int] = {}  # when a worker last got on with what it loads
        self._warms: dict[int, tuple[tuple[str, int], int]] = {}  # what a worker warms up, and since when
        self._struck: dict[str, tuple[int, int]] = {}  # where a model was struck, and when
        self.infer = self._infer

    def load_at(self, executor: int, model: Served) -> asyncio.Future[None]:
        """Have a worker hold a model; see :meth:`Controller.load_at`."""
        if self._loading(executor) is None:  # what it loaded before says nothing of this
            self._got_on[executor] = monotonic_ns()
        return super().load_at(executor, model)

    # -- what is seen -----------------------------------------------------------------------------------

    def look(self) -> list[int]:
        """The workers that hang, for who ends them; those that are free take what waits behind one that is not."""
        now = monotonic_ns()
        self._hung = {each for each in self.links if self._hangs(now, each)}
        for each in self.links:
            if each not in self._hung and self.scheduler.is_free(each):
                self._requests.pump(each)
        return sorted(self._hung)

    def _hangs(self, now: int, executor: int) -> bool:
        running = self._requests.running(executor)
        if running is not None:
            took, expected = now - running.began, running.batch.expected
            return hangs(took, expected, self._patience, is_awaited=running.is_awaited)
        warms = self._warmed.get(executor)
        if warms is not None:
            if self._warms.get(executor, (None,))[0] != warms:
                self._warms[executor] = (warms, now)
            return now - self._warms[executor][1] > LOAD_PATIENCE
        key = self._loading(executor)
        if key is None or key not in self.models:
            self._got_on.pop(executor, None)
            return False
        model = self.models[key]
        patience = max(LOAD_PATIENCE, FACTOR * load_estimate(model.load_ns, model.size))
        return now - self._got_on.setdefault(executor, now) > patience

    def _loading(self, executor: int) -> str | None:
        """What a worker is loading: the first that it was told of and has not said to hold."""
        wanted = (key for where, key in self._loads if where == executor)
        return next((key for key in wanted if executor not in self.scheduler.holders(key)), None)

    def _heed(self, executor: int, message: Message, rest: memoryview) -> None:
        if isinstance(message, Done):  # by far the most often
            self._requests.end(executor, message, rest)
            return
        if isinstance(message, Loaded | LoadFailed | Wanted):
            self._got_on[executor] = monotonic_ns()
        elif isinstance(message, Measured):
            self._warms.pop(executor, None)
        super()._heed(executor, message, rest)
        if isinstance(message, Loaded):
            self._holds(executor)

    def retire(self, executor: int) -> None:
        """Give nothing more to a worker whose models others hold, too; what it runs it runs to its end."""
        for model in list(self.models.values()):
            if executor in self.scheduler.holders(model.key):
                for ticket in self.scheduler.displace(monotonic_ns(), executor, model.key):
                    tell(ticket, Refusal("not_ready", "the worker that held the model is being replaced"))
        self._warming.pop(executor, None)

    def is_idle(self, executor: int) -> bool:
        """Whether a worker runs nothing, or is gone."""
        return self._requests.running(executor) is None

    # -- what comes of it -------------------------------------------------------------------------------

    def _gone(self, executor: int) -> None:
        has_hung = executor in self._hung
        how = "it hung" if has_hung else self._fate(executor)
        self._hung.discard(executor)
        self._got_on.pop(executor, None)
        self._warms.pop(executor, None)
        if how:
            self._strike(executor, how, None if has_hung else self._new(executor))
        super()._gone(executor)

    def _new(self, executor: int) -> str | None:
        """What a worker is loading, if it was never ready yet: it is to blame rather than what ran beside it.

        What ran is run elsewhere, alone, and blamed if that worker ends, too.
        """
        key = self._loading(executor)
        model = None if key is None else self.models.get(key)
        return None if model is None or model.load_ns else key

    def _strike(self, executor: int, how: str, new: str | None) -> None:
        """A worker is gone by the fault of a model; *new*: the first that comes into question."""
        running, warms = self._requests.running(executor), self._warmed.get(executor)
        if running is not None and new is None:
            key = running.batch.model
            self._requests.give_up(executor, Refusal("failed", f"the model has ended its worker: {how}"))
        elif (found := new or (self._loading(executor) if warms is None else warms[0])) is not None:
            key = found
            self._failed_to_load(executor, key, f"it has ended the worker that was to hold it: {how}")
        else:
            return
        strikes = self.faults.strike(monotonic_ns(), key)
        model = self.models.get(key)
        if model is None:
            return
        self._struck[key] = executor, monotonic_ns()
        self._tell(f"Model {model.name} has ended a worker ({how}), {strikes} of {MOST} times.")
        for each in self.scheduler.waiting_for(key):
            tell(each, self._resting(model))
            self.scheduler.withdraw(each)
        if strikes >= MOST:
            self.drop(key)
            model.state, model.reason = "failed", f"it has ended {strikes} workers ({how}); load it to try again"
            model.is_out = True

    def _resting(self, model: Served) -> Refusal:
        wait = self.faults.rest(monotonic_ns(), model.key)
        return Refusal(
            "not_ready",
            f"model {model.name} is not ready: it has ended a worker, and is asked again in a while",
            retry_after_s=max(1.0, wait / 1e9),
        )

    async def load(self, model: Served) -> None:
        """Have every worker hold a model; one that has ended too many is tried anew."""
        if self.faults.is_out(model.key):  # nobody but who asks for it by its name has it loaded
            self.faults.forgive(model.key)
            self._struck.pop(model.key, None)
        await super().load(model)

    def _infer(self, model: Served, asked: Inference, arrived: int, result: Result) -> Callable[[], None] | None:
        """Accept a request, or say at once why not; see :meth:`InFlight.infer`."""
        if model.key in self._struck:
            if self._rests(model):
                result(self._resting(model))
                return None
            del self._struck[model.key]
        return self._requests.infer(model, asked, arrived, result)

    def _rests(self, model: Served) -> bool:
        """Whether a model that has ended a worker is left alone: for its time, and until that worker is replaced."""
        now, holders = monotonic_ns(), self.scheduler.holders(model.key)
        executor, struck = self._struck[model.key]
        is_back = executor in holders or not holders or now > struck + MOST_REST
        return bool(self.faults.rest(now, model.key)) or not is_back
