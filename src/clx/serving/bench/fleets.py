"""Many models on many workers in a simulation: the scheduler that serves, workers that only take their time.

Nothing waits: the clock jumps from one event to the next. Models that no worker holds are cold; the first request
starts a load at the worker with the fewest to do, for which the memory rule that serves
(:class:`clx.serving.budget.Budget`) gives up others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from time import process_time_ns
from typing import NamedTuple

from clx.serving.budget import BUSY, LOADING, Budget, Held
from clx.serving.estimates import WARM_UPS
from clx.serving.failures import Refusal
from clx.serving.scheduler import Scheduler
from clx.serving.tickets import Refused, Ticket

REPLY = 100_000
"""Nanoseconds that an answer is supposed to take."""


class Kind(NamedTuple):
    """A model that is none.

    Attributes:
        name: of it.
        one: nanoseconds of a run of one row.
        more: the part of that which each further row takes.
        largest: rows of a batch.
        load: nanoseconds of a load.
    """

    name: str
    one: int
    more: float = 1.0
    largest: int = 1
    load: int = 35_000_000

    def took(self, rows: int, dice: Random) -> int:
        """Nanoseconds of a run: a tenth more or less, and now and then half as much again."""
        slow = 1.5 if dice.random() < 0.01 else dice.uniform(0.9, 1.1)
        return int(self.one * (1 + self.more * (rows - 1)) * slow)


class Ask(NamedTuple):
    """A request.

    Attributes:
        at: nanoseconds at which it comes.
        model: what it asks.
        slack: nanoseconds that it has; 0: any number.
    """

    at: int
    model: str
    slack: int


@dataclass(slots=True)
class Told:
    """What became of the requests of a model, or of all."""

    offered: int = 0
    refused: int = 0
    cold: int = 0
    missed: int = 0
    kept: int = 0

    @property
    def refused_rate(self) -> float:
        """The part that was refused."""
        return self.refused / self.offered if self.offered else 0.0

    @property
    def kept_rate(self) -> float:
        """The part of the accepted that was answered in time."""
        accepted = self.offered - self.refused
        return self.kept / accepted if accepted else 1.0


@dataclass(slots=True)
class _Memory:
    """What a worker holds, and what it is being given."""

    held: dict[str, int] = field(default_factory=dict)  # when each was last asked for
    loading: dict[str, list[Ticket]] = field(default_factory=dict)  # who waits for it
    free: int = 0  # when its last load is over


class Fleet:
    """Workers that take their time.

    Args:
        kinds: the models.
        workers: how many.
        copies: workers that hold a model at the start; 0: all do, or as many as have room.
        held: models for which a worker has room; 0: any number.
        seed: of what chance decides.
    """

    def __init__(self, kinds: Sequence[Kind], workers: int, *, copies: int = 0, held: int = 0, seed: int = 1) -> None:
        self._kinds = {each.name: each for each in kinds}
        self._budget = Budget(held)
        self._dice = Random(seed)  # noqa: S311 - nothing is secret here
        self._memory = [_Memory() for _ in range(workers)]
        self._where: dict[str, int] = {}  # the worker that loads a model
        self._events: list[tuple[int, int, int, str]] = []  # when, in which order, worker, model: empty: a run ends
        self._count = 0
        self._first = 0  # of the requests that are counted
        self.scheduler = Scheduler(reply=REPLY)
        self.told: dict[str, Told] = {each.name: Told() for each in kinds}
        self.evicted = 0
        for worker in range(workers):
            self.scheduler.add_executor(worker)
        self._place(kinds, copies or workers, held)

    def _place(self, kinds: Sequence[Kind], copies: int, held: int) -> None:
        workers = len(self._memory)
        for number, kind in enumerate(kinds):
            for size in (2**n for n in range(kind.largest.bit_length())):
                for _ in range(WARM_UPS):
                    self.scheduler.observe(kind.name, size, kind.took(size, self._dice))
            for copy in range(copies):
                worker = (number + copy * max(1, workers // copies)) % workers
                if not held or len(self._memory[worker].held) < held:
                    self._hold(worker, kind.name, 0)

    def _hold(self, worker: int, model: str, now: int) -> None:
        self._memory[worker].held[model] = now
        self.scheduler.place(worker, model, self._kinds[model].largest)

    def run(self, asks: Iterable[Ask], *, skipped: int = 0) -> float:
        """Play requests to their end; returns nanoseconds of CPU for each, the simulation's own included.

        Args:
            asks: in order of their times.
            skipped: the first ones, which are not counted.
        """
        began, number = process_time_ns(), 0
        for number, ask in enumerate(asks, 1):
            if number == skipped:
                self.told = {name: Told() for name in self._kinds}
                self._first, began = self._count + 1, process_time_ns()
            self._until(ask.at)
            self._offer(ask)
        spent = process_time_ns() - began
        self._until(1 << 62)
        return spent / max(1, number - skipped)

    # -- what happens ---------------------------------------------------------------------------------

    def _until(self, now: int) -> None:
        while self._events and self._events[0][0] <= now:
            at, _, worker, model = heappop(self._events)
            self._overdue(at)
            if model:
                self._loaded(at, worker, model)
            else:
                for each in self.scheduler.finished(at, worker, took=None):
                    if each.wanted and each.number >= self._first:
                        self.told[each.model].kept += 1
            self._begin(at, worker)
        self._overdue(min(now, 1 << 61))

    def _overdue(self, now: int) -> None:
        for each in self.scheduler.overdue(now - 1):
            self.told[each.model].missed += each.number >= self._first
        self.scheduler.next_deadline()

    def _begin(self, now: int, worker: int) -> None:
        batch = self.scheduler.dispatch(now, worker)
        if batch is not None:
            took = self._kinds[batch.model].took(sum(each.rows for each in batch.tickets), self._dice)
            self._later(now + took, worker)

    def _later(self, at: int, worker: int, model: str = "") -> None:
        self._count += 1
        heappush(self._events, (at, self._count, worker, model))

    def _offer(self, ask: Ask) -> None:
        self._count += 1
        told = self.told[ask.model]
        told.offered += 1
        ticket = Ticket(self._count, ask.model, ask.at, ask.at + ask.slack if ask.slack else 0)
        if not self.scheduler.holders(ask.model):
            told.cold += 1
            told.refused += not self._hold_back(ask.at, ticket)
            return
        self._weigh(ask.at, ticket)

    def _weigh(self, now: int, ticket: Ticket) -> None:
        found = self.scheduler.offer(now, ticket)
        if isinstance(found, Refused):
            self.told[ticket.model].refused += ticket.number >= self._first
            return
        self._memory[found].held[ticket.model] = now
        self._begin(now, found)

    # -- cold ones ------------------------------------------------------------------------------------

    def _hold_back(self, now: int, ticket: Ticket) -> bool:
        """Have a model loaded, and a request wait for that; False: it has no time, or nothing can go."""
        kind = self._kinds[ticket.model]
        worker = self._where.get(kind.name)
        if worker is None:
            worker = self._make_room(now, kind)
            if worker is None:
                return False
        memory = self._memory[worker]
        if ticket.deadline and memory.free + kind.one + REPLY > ticket.deadline:
            return False
        memory.loading[kind.name].append(ticket)
        return True

    def _make_room(self, now: int, kind: Kind) -> int | None:
        looked = self._dice.sample(range(len(self._memory)), min(4, len(self._memory)))
        worker = min(looked, key=lambda each: (self._memory[each].free, self.scheduler.waiting(each)))
        memory = self._memory[worker]
        try:
            gone = self._budget.given_up(kind.name, 1, self._held(worker))
        except Refusal:
            return None
        for each in gone:
            del memory.held[each.key]
            left = self.scheduler.displace(now, worker, each.key)
            assert not left, "what has requests is never given up"
            self.evicted += 1
        self._where[kind.name] = worker
        memory.loading[kind.name] = []
        memory.free = max(now, memory.free) + kind.load
        self._later(memory.free, worker, kind.name)
        return worker

    def _held(self, worker: int) -> list[Held]:
        memory, scheduler = self._memory[worker], self.scheduler
        held = [
            Held(each, each, 1, asked, BUSY if scheduler.has_requests(worker, each) else "")
            for each, asked in memory.held.items()
        ]
        return [*held, *(Held(each, each, 1, 0, LOADING) for each in memory.loading)]

    def _loaded(self, now: int, worker: int, model: str) -> None:
        del self._where[model]
        waiting = self._memory[worker].loading.pop(model)
        self._hold(worker, model, now)
        for each in sorted(waiting, key=lambda each: each.deadline or 1 << 62):
            self._weigh(now, each)


def total(told: Iterable[Told]) -> Told:
    """All of them."""
    found = Told()
    for each in told:
        found.offered += each.offered
        found.refused += each.refused
        found.cold += each.cold
        found.missed += each.missed
        found.kept += each.kept
    return found
