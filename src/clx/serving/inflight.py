"""Requests that a controller has accepted and not answered yet: to workers in batches, and back by their deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic_ns
from typing import NamedTuple, cast

from clx.serving.failures import Refusal
from clx.serving.frames import Done, Failed, FrameError, Infer, specs, tensors
from clx.serving.links import Link
from clx.serving.protocol import Inference
from clx.serving.scheduler import Scheduler
from clx.serving.served import Served, joined, split
from clx.serving.telemetry import Telemetry
from clx.serving.tensors import Tensor
from clx.serving.tickets import Batch, Refused, Ticket

Result = Callable[[Sequence[Tensor] | Refusal], None]
"""Is called once: with the outputs, or with why there are none."""
MOST_DEATHS = 2
"""Workers that may end while they run a request; then it is not run again."""


@dataclass(slots=True, eq=False)
class _Pending(Ticket):
    """A request whose answer is still to come."""

    asked: Inference = field(kw_only=True)
    served: Served = field(kw_only=True)
    result: Result | None = None
    began: int = 0
    deaths: int = 0  # workers that ended while they ran it
    batch: int = 0
    log: Telemetry | None = None


class Running(NamedTuple):
    """What a worker runs, since when (nanoseconds, monotonic), and whether anybody waits for it still."""

    batch: Batch
    began: int
    is_awaited: bool


class InFlight:
    """The requests of a controller.

    Args:
        scheduler: who is accepted, and what is next.
        links: workers by number.
        idle: is called with a model and a number of rows if a request is refused that would be late.

    Attributes:
        log: where what becomes of them is noted.
    """

    def __init__(self, scheduler: Scheduler, links: Mapping[int, Link], idle: Callable[[Served, int], None]) -> None:
        self.log: Telemetry | None = None
        self._scheduler = scheduler
        self._links = links
        self._idle = idle
        self._batches: dict[int, Batch] = {}
        self._batch_of: dict[int, int] = {}
        self._last = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0

    def number(self) -> int:
        """The next number of a request or an action."""
        self._last += 1
        return self._last

    def running(self, executor: int) -> Running | None:
        """What a worker runs; None: nothing."""
        number = self._batch_of.get(executor)
        if number is None:
            return None
        batch = self._batches[number]
        waiting = [each for each in batch.tickets if isinstance(each, _Pending)]
        return Running(batch, waiting[0].began, any(each.result is not None for each in waiting))

    def give_up(self, executor: int, why: Refusal) -> None:
        """What a worker runs is answered, and not run elsewhere when it ends."""
        running = self.running(executor)
        for each in running.batch.tickets if running is not None else ():
            tell(each, why)
            each.executor = None

    def lose(self, executor: int) -> None:
        """A worker is gone: what it ran is suspect."""
        batch = self._batch_of.pop(executor, None)
        if batch is not None:
            _suspect(self._batches.pop(batch).tickets)

    def infer(self, model: Served, asked: Inference, arrived: int, result: Result) -> Callable[[], None] | None:
        """Accept a request, or say at once why not.

        Args:
            model: what it asks.
            asked: what was sent.
            arrived: nanoseconds (monotonic) at which its first byte was read.
            result: is told what came of it, by its deadline.

        Returns:
            What to call if nobody waits for it any more; None: it is answered.
        """
        if model.state != "ready":
            result(Refusal("not_ready", f"model {model.name} is not ready: {model.reason or model.state}"))
            return None
        try:
            rows, kind = model.check(asked)
        except Refusal as refusal:
            result(refusal)
            return None
        model.numbers.offered += 1
        model.asked = arrived
        number = self._last = self._last + 1
        ticket = _Pending(
            number,
            model.key,
            arrived,
            model.deadline(asked, arrived),
            asked.priority or 3,
            rows,
            kind,
            asked=asked,
            served=model,
            result=result,
            log=self.log,
        )
        now = monotonic_ns()
        if self._timer is not None and self._due <= now:  # the loop is busy: the timer itself would come too late
            self._end_overdue()
        found = self._scheduler.offer(now, ticket)
        if isinstance(found, Refused):
            model.numbers.refused += 1
            if found.why == "late":
                self._idle(model, ticket.rows)
            told = _refusal(found, ticket, now)
            _log(ticket, told.code, now)
            result(told)
            return None
        if ticket.deadline:
            self._watch()
        self.pump(found)
        return partial(self._withdraw, ticket)

    def _withdraw(self, ticket: _Pending) -> None:
        """The client is gone."""
        if ticket.result is not None:
            ticket.result = None
            ticket.served.numbers.withdrawn += 1
            self._scheduler.withdraw(ticket)

    def pump(self, executor: int) -> None:
        """Give a worker what waits for it, if it is free."""
        now = monotonic_ns()
        batch = self._scheduler.dispatch(now, executor)
        if batch is None:
            return
        number = self._last = self._last + 1
        self._batches[number] = batch
        self._batch_of[executor] = number
        waiting = cast("list[_Pending]", batch.tickets)
        for each in waiting:
            each.began, each.batch = now, number
        if len(waiting) == 1:
            inputs: Sequence[Tensor] = waiting[0].asked.inputs
        else:
            inputs = joined([each.asked.inputs for each in waiting], sum([each.rows for each in waiting]))
        self._links[executor].send(Infer(number, batch.model, specs(inputs)), [each.data for each in inputs])

    def end(self, executor: int, message: Done | Failed, rest: memoryview) -> None:
        """A worker is done with a batch; *rest*: the outputs.

        Raises:
            FrameError: it was not given that one.
        """
        batch = self._batches.pop(message.batch, None)
        if batch is None:
            raise FrameError("a worker speaks of a batch that it was not given")
        del self._batch_of[executor]
        now = monotonic_ns()
        if self._timer is not None and self._due <= now:
            self._end_overdue()
        took = message.took if isinstance(message, Done) else 0
        self._scheduler.finished(now, executor, took=None if isinstance(message, Done) else 0)
        self.pump(executor)  # first of all: it is to have no rest
        ended = cast("list[_Pending]", batch.tickets)
        rows = [each.rows for each in ended]
        if self.log is not None:
            model, outcome = ended[0].served, "success" if isinstance(message, Done) else "failed"
            about = (message.batch, "infer", executor, model.name, model.version, outcome)
            self.log.action(*about, ended[0].began, now, batch.expected, took, len(rows), sum(rows))
        if isinstance(message, Failed):
            for each in ended:
                tell(each, Refusal("failed", message.text))
            return
        _count(ended, sum(rows), took, now)
        try:
            parts = split(tensors(message.outputs, rest), rows)
        except Refusal as refusal:
            for each in ended:
                tell(each, refusal)
            return
        for each, outputs in zip(ended, parts, strict=True):
            tell(each, outputs)

    # -- deadlines ------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """See to it that the next deadline is met, be it with a refusal."""
        due = self._scheduler.next_deadline()
        if due is None or (self._timer is not None and self._due <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        wait = max(0, due - monotonic_ns()) / 1e9
        self._timer = asyncio.get_running_loop().call_later(wait, self._end_overdue)

    def _end_overdue(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for ticket in self._scheduler.overdue(monotonic_ns()):
            if isinstance(ticket, _Pending) and ticket.result is not None:
                ticket.served.numbers.missed += 1
            tell(ticket, Refusal("missed", "its deadline came before its result"))
        self._watch()


def _suspect(tickets: Sequence[Ticket]) -> None:
    """A worker ended while it ran these: each is run alone from now on, and not for ever."""
    for each in tickets:
        if isinstance(each, _Pending) and each.executor is not None:
            each.deaths += 1
            each.kind = object()  # nobody else's
            if each.deaths >= MOST_DEATHS:
                each.executor = None
                tell(each, Refusal("failed", f"{each.deaths} workers have ended while they ran it"))


def tell(ticket: Ticket, what: Sequence[Tensor] | Refusal) -> None:
    """Answer a request that was not answered yet."""
    if isinstance(ticket, _Pending) and ticket.result is not None:
        result, ticket.result = ticket.result, None
        now = monotonic_ns()
        took, numbers = now - ticket.arrived, ticket.served.numbers
        if isinstance(what, Refusal):
            numbers.fail.add(took)
        else:
            numbers.success.add(took)
            numbers.latest.append(took)
        if ticket.log is not None:
            _log(ticket, what.code if isinstance(what, Refusal) else "success", now)
        result(what)


def _log(ticket: _Pending, outcome: str, now: int) -> None:
    if ticket.log is not None:
        about = (ticket.number, ticket.asked.id[:200], ticket.served.name, ticket.served.version, outcome)
        ticket.log.request(*about, ticket.arrived, ticket.began, now, ticket.deadline, ticket.rows, ticket.batch)


def _count(ended: Sequence[_Pending], rows: int, took: int, now: int) -> None:
    numbers = ended[0].served.numbers
    numbers.ran(rows, len(ended), took)
    waited, began = 0, now - took
    for each in ended:
        if each.arrived < began:
            waited += began - each.arrived
    numbers.queue.add(waited, len(ended))


def _refusal(refused: Refused, ticket: Ticket, now: int) -> Refusal:
    more: dict[str, int | float] = {}
    if refused.finish:
        more["estimate_us"] = max(0, refused.finish - ticket.arrived) // 1000
        more["retry_after_s"] = max(0, refused.finish - now) / 1e9
    if ticket.deadline:
        more["deadline_us"] = (ticket.deadline - ticket.arrived) // 1000
    if refused.why == "late":
        return Refusal("refused_late", "it cannot be answered by its deadline", **more)
    if refused.why == "backlog":
        return Refusal("refused_backlog", "too many requests wait", **more)
    return Refusal("not_ready", f"model {ticket.model.partition('/')[0]} is not ready yet")
