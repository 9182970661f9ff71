"""Policies of acceptance side by side, on the same requests and the same service times, without a model.

One executor, requests of one model with deadlines of 5, 20 and 100 times its mean time, mixed. The service times are
replayed in the order in which they were measured (:func:`clx.serving.bench.traces`), arrivals are drawn. The policy of
CLX is not rewritten here: it is the :class:`clx.serving.scheduler.Scheduler` that the controller has.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import NamedTuple, Protocol

from clx.serving.estimates import WARM_UPS, Window
from clx.serving.scheduler import Scheduler
from clx.serving.tickets import Refused, Ticket

TIMES = (5, 20, 100)
"""Deadlines, in mean service times."""
_MODEL = "simulated"


class Policy(Protocol):
    """Who is accepted, and who is next."""

    def offer(self, now: int, ticket: Ticket) -> bool: ...
    def next(self, now: int) -> Ticket | None: ...
    def done(self, now: int, took: int) -> None: ...


@dataclass(slots=True)
class Fifo:
    """In the order of arrival; everything is accepted, or only so many may wait.

    Attributes:
        drops: whether those whose deadline is over are left out when it is their turn.
        most: how many may wait.
    """

    drops: bool = False
    most: int | None = None
    _queue: deque[Ticket] = field(default_factory=deque)

    def offer(self, now: int, ticket: Ticket) -> bool:  # noqa: ARG002
        if self.most is not None and len(self._queue) >= self.most:
            return False
        self._queue.append(ticket)
        return True

    def next(self, now: int) -> Ticket | None:
        while self._queue:
            ticket = self._queue.popleft()
            if not self.drops or ticket.deadline > now:
                return ticket
        return None

    def done(self, now: int, took: int) -> None:
        """It learns nothing."""


@dataclass(slots=True)
class EarliestDeadline:
    """Earliest deadline first, without admission; those whose deadline is over are left out."""

    _queue: list[tuple[int, int, Ticket]] = field(default_factory=list)

    def offer(self, now: int, ticket: Ticket) -> bool:  # noqa: ARG002
        insort(self._queue, (ticket.deadline, ticket.number, ticket))
        return True

    def next(self, now: int) -> Ticket | None:
        while self._queue:
            ticket = self._queue.pop(0)[2]
            if ticket.deadline > now:
                return ticket
        return None

    def done(self, now: int, took: int) -> None:
        """It learns nothing."""


class Counting:
    """Admission by number of waiting times an estimate, in the order of arrival (Clockwork's, with p99 of 10)."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._queue: deque[Ticket] = deque()
        self._running: tuple[int, int] | None = None

    def offer(self, now: int, ticket: Ticket) -> bool:
        value = self._window.value
        left = 0 if self._running is None else max(0, sum(self._running) - now)
        if now + left + (len(self._queue) + 1) * value > ticket.deadline:
            return False
        self._queue.append(ticket)
        return True

    def next(self, now: int) -> Ticket | None:
        while self._queue:
            ticket = self._queue.popleft()
            if ticket.deadline > now:
                self._running = now, self._window.value
                return ticket
        return None

    def done(self, now: int, took: int) -> None:  # noqa: ARG002
        self._window.add(took)
        self._running = None


class Clx:
    """The scheduler of CLX."""

    def __init__(self) -> None:
        self.scheduler = Scheduler(reply=0)
        self.scheduler.add_executor(0)
        self.scheduler.place(0, _MODEL)

    def offer(self, now: int, ticket: Ticket) -> bool:
        return not isinstance(self.scheduler.offer(now, ticket), Refused)

    def next(self, now: int) -> Ticket | None:
        self.scheduler.overdue(now)
        batch = self.scheduler.dispatch(now, 0)
        return None if batch is None else batch.tickets[0]

    def done(self, now: int, took: int) -> None:
        self.scheduler.finished(now, 0, took=took)


class Outcome(NamedTuple):
    """What became of the requests of a run.

    Attributes:
        offered: how many there were.
        accepted: how many were not refused at once.
        kept: how many were finished in time.
        capacity: how many can be done at all in the time, one by one.
        refused: by deadline (in mean service times): the part that was refused.
    """

    offered: int
    accepted: int
    kept: int
    capacity: float
    refused: dict[int, float]

    @property
    def kept_rate(self) -> float:
        """The part of the accepted that was finished in time."""
        return self.kept / self.accepted if self.accepted else 1.0

    @property
    def goodput(self) -> float:
        """What was finished in time, as a part of what can be done at all."""
        return self.kept / self.capacity


def run(policy: Policy, times: Sequence[int], arrivals: Iterator[float], requests: int, dice: Random) -> Outcome:
    """Play *requests* requests.

    Args:
        policy: who decides.
        times: service times, nanoseconds, replayed in a circle; the first ones are warm-ups.
        arrivals: seconds at which requests come.
        requests: how many.
        dice: decides which deadline a request has.
    """
    mean = sum(times) / len(times)
    for each in times[:WARM_UPS]:
        _learn(policy, each)
    accepted: dict[int, int] = dict.fromkeys(TIMES, 0)
    offered: dict[int, int] = dict.fromkeys(TIMES, 0)
    kept, free, at, taken = 0, 0, 0, 0
    running: tuple[Ticket, int] | None = None

    def settle(until: int) -> None:
        nonlocal kept, free, taken, running
        while True:
            if running is not None:
                if free > until:
                    return
                policy.done(free, running[1])
                kept += free <= running[0].deadline
                running = None
            at_ = max(free, 0)
            ticket = policy.next(at_)
            if ticket is None:
                return
            took = times[taken % len(times)]
            taken += 1
            running, free = (ticket, took), at_ + took

    for number in range(requests):
        at = int(next(arrivals) * 1e9)
        settle(at)
        if running is None:
            free = at
        kind = dice.choice(TIMES)
        ticket = Ticket(number, _MODEL, at, at + int(kind * mean))
        offered[kind] += 1
        accepted[kind] += policy.offer(at, ticket)
        settle(at)
    settle(1 << 62)
    refused = {kind: 1 - accepted[kind] / offered[kind] if offered[kind] else 0.0 for kind in TIMES}
    return Outcome(requests, sum(accepted.values()), kept, at / mean, refused)


def bound(mean: int, arrivals: Iterator[float], requests: int, dice: Random) -> float:
    """How many of the same requests anybody could answer in time: more than that is not possible.

    Not even for one who knows what will come, and can cut runs into pieces: all the work that can be done before its
    deadline is counted, also of runs that are never finished. Every run takes *mean* nanoseconds.
    """
    waiting: list[tuple[int, int]] = []  # deadline, what is left
    done = at = 0

    def work(until: int) -> None:
        nonlocal at, done
        while waiting and at < until:
            deadline, left = heappop(waiting)
            spent = min(left, deadline - at, until - at)
            if spent > 0:
                done, at = done + spent, at + spent
                if spent < left and at < deadline:
                    heappush(waiting, (deadline, left - spent))
        at = max(at, until)

    for _ in range(requests):
        now = int(next(arrivals) * 1e9)
        work(now)
        heappush(waiting, (now + int(dice.choice(TIMES) * mean), mean))
    work(1 << 62)
    return done / mean


def _learn(policy: Policy, took: int) -> None:
    if isinstance(policy, Clx):
        policy.scheduler.observe(_MODEL, 1, took)
    else:
        policy.done(0, took)


POLICIES: dict[str, Callable[[], Policy]] = {
    "in order, all accepted": Fifo,
    "in order, expired ones left out": lambda: Fifo(drops=True),
    "in order, 10 may wait": lambda: Fifo(most=10),
    "earliest deadline, expired ones left out": EarliestDeadline,
    "admission, p99 of 10": lambda: Counting(Window(kept=10, margin=0.0)),
    "admission, p99 of 100 + 10 %": lambda: Counting(Window()),
    "CLX": Clx,
}
"""What is compared, by name."""
