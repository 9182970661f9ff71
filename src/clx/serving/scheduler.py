"""The scheduler: which requests are accepted, and which batch a worker runs next.

It does nothing by itself and knows no clock: every call is told the time (nanoseconds of a monotonic clock), so a
test moves it, and a simulation runs the very same object.

* **Earliest deadline first**, one queue for each executor. A request is put into the queue in which it is predicted
  to be finished first.
* **Admission**: the queue with the new request in it is played through, batch by batch, as :meth:`Scheduler.dispatch`
  would form them. If the new request would be late, or anyone who has been accepted, it is refused at once.
* **Accepted is never dropped** before its deadline. Only the deadline itself ends it (:meth:`Scheduler.overdue`).
* **Long deadlines do not crowd out short ones**: on a worker that has had no rest for as long as a request has time,
  one with time for more than ten runs has to be predicted to finish in the first half of it, so that the other half
  is left for those who come later with less. After a rest (a burst has just begun) it may use all of its time: a half
  that nobody comes for would be lost.
* **Never wait for a batch**: an executor that is free takes what waits.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from clx.serving.estimates import Estimates
from clx.serving.tickets import Batch, Refused, Ticket, by_due, due_of

LONG = 10
"""Runs that fit into what is left of a request's time, from where on it counts as long."""
SHARE = 0.5
"""The part of its time in which a long request has to be predicted to finish."""
BACKLOG = 1_000
"""Requests that may wait for one executor."""


@dataclass(slots=True)
class _Executor:
    queue: list[Ticket] = field(default_factory=list)
    running: Batch | None = None
    started: int = 0
    busy: int = 0  # since when it has had no rest
    models: set[str] = field(default_factory=set)


class Scheduler:
    """Requests to executors; see the module.

    Args:
        reply: nanoseconds between the end of a run and the answer's last byte.
        backlog: how many requests may wait for one executor.
    """

    def __init__(self, *, reply: int = 100_000, backlog: int = BACKLOG) -> None:
        self._reply = reply
        self._backlog = backlog
        self._executors: dict[int, _Executor] = {}
        self._holders: dict[str, list[int]] = {}
        self._estimates: dict[str, Estimates] = {}
        self._shared: set[str] = set()  # models that more than one holds
        self._deadlines: list[tuple[int, int, Ticket]] = []

    # -- what there is --------------------------------------------------------------------------------

    def add_executor(self, executor: int) -> None:
        """A worker is there; it holds no model yet."""
        self._executors.setdefault(executor, _Executor())

    def remove_executor(self, now: int, executor: int) -> list[Ticket]:
        """A worker is gone. Returns the requests that nobody else can take; the others wait elsewhere now."""
        gone = self._executors.pop(executor, None)
        if gone is None:
            return []
        for model in gone.models:
            self._drop_holder(model, executor)
        left = [*(gone.running.tickets if gone.running else ()), *gone.queue]
        return [each for each in left if each.executor is not None and not self._put_elsewhere(now, each)]

    def place(self, executor: int, model: str, largest: int = 1) -> None:
        """A worker holds *model*, whose batches have at most *largest* rows."""
        self._executors[executor].models.add(model)
        holders = self._holders.setdefault(model, [])
        if executor not in holders:
            holders.append(executor)
        if len(holders) > 1:
            self._shared.add(model)
        known = self._estimates.setdefault(model, Estimates(largest))
        known.largest = largest

    def displace(self, now: int, executor: int, model: str) -> list[Ticket]:
        """A worker holds *model* no longer. Returns the requests that nobody else can take."""
        lost = self._executors[executor]
        lost.models.discard(model)
        self._drop_holder(model, executor)
        waiting = [each for each in lost.queue if each.model == model]
        lost.queue = [each for each in lost.queue if each.model != model]
        return [each for each in waiting if not self._put_elsewhere(now, each)]

    def forget(self, model: str) -> None:
        """What was measured of *model* counts no more: it has changed."""
        self._estimates.pop(model, None)

    def observe(self, model: str, size: int, took: int) -> None:
        """A run of *size* rows took so many nanoseconds; warm-ups are told here, too."""
        self._estimates.setdefault(model, Estimates()).observe(size, took)

    def estimate(self, model: str, size: int = 1) -> int:
        """Nanoseconds that a batch of *size* rows takes; 0: unknown."""
        known = self._estimates.get(model)
        return 0 if known is None else known.of(size)

    def holders(self, model: str) -> Sequence[int]:
        """The workers that hold *model*."""
        return self._holders.get(model, ())

    def is_free(self, executor: int) -> bool:
        """Whether a worker runs nothing."""
        its = self._executors.get(executor)
        return its is not None and its.running is None

    def may_pay(self, model: str, size: int) -> bool:
        """Whether it is worth measuring batches of *size*: half of it was better than a quarter."""
        known = self._estimates[model]
        return size <= known.largest and known.preferred * 2 == size

    def waiting(self, executor: int) -> int:
        """How many requests wait for a worker."""
        return len(self._executors[executor].queue)

    def waiting_for(self, model: str) -> list[Ticket]:
        """The requests of *model* that wait, wherever."""
        return [each for its in self._executors.values() for each in its.queue if each.model == model]

    def has_requests(self, executor: int, model: str) -> bool:
        """Whether a worker runs *model* at present, or somebody waits for it there."""
        its = self._executors[executor]
        runs = its.running is not None and its.running.model == model
        return runs or any(each.model == model for each in its.queue)

    def asked(self) -> set[str]:
        """The models that some worker runs at present, or that somebody waits for."""
        running = {its.running.model for its in self._executors.values() if its.running is not None}
        return running.union(each.model for its in self._executors.values() for each in its.queue)

    # -- requests -------------------------------------------------------------------------------------

    def offer(self, now: int, ticket: Ticket) -> int | Refused:
        """Accept a request, or not. Returns the executor for which it waits."""
        holders = self._holders.get(ticket.model)
        if not holders:
            return Refused("absent")
        known = self._estimates[ticket.model]
        if not known.is_warm:
            return Refused("cold")
        ticket.due = due_of(ticket)
        chosen = min(holders, key=lambda each: self._load(now, each)) if len(holders) > 1 else holders[0]
        its = self._executors[chosen]
        if len(its.queue) >= self._backlog:
            return Refused("backlog", self._free(now, its))
        refused = self._would_be_late(now, its, ticket, known)
        if refused is not None:
            return refused
        if its.running is None and not its.queue:
            its.busy = now
        self._enter(chosen, ticket)
        if ticket.deadline:
            heappush(self._deadlines, (ticket.deadline, ticket.number, ticket))
        return chosen

    def dispatch(self, now: int, executor: int) -> Batch | None:
        """What a free worker runs next; None: nothing waits, or it runs something."""
        its = self._executors[executor]
        if its.running is not None:
            return None
        if not its.queue:
            self._take_over(executor, its)
            if not its.queue:
                return None
        tickets, expected = self._batch(now, its.queue, 0)
        taken = set(map(id, tickets))
        its.queue = [each for each in its.queue if id(each) not in taken]
        its.running, its.started = Batch(tickets[0].model, tickets, expected), now
        return its.running

    def finished(self, now: int, executor: int, *, took: int | None = None) -> list[Ticket]:
        """A worker is done with its batch. Returns the requests of it.

        Args:
            now: the time.
            executor: which.
            took: nanoseconds of the run; None: since it was dispatched. 0: it failed, and says nothing of others.
        """
        its = self._executors[executor]
        done, its.running = its.running, None
        if done is None:
            return []
        spent = now - its.started if took is None else took
        if spent:
            self.observe(done.model, sum(each.rows for each in done.tickets), spent)
        for each in done.tickets:
            each.executor = None
        return done.tickets

    def overdue(self, now: int) -> list[Ticket]:
        """Accepted requests whose deadline is here, each once. Those that wait do so no more; running ones run on."""
        late: list[Ticket] = []
        while self._deadlines and self._deadlines[0][0] <= now:
            ticket = heappop(self._deadlines)[2]
            if ticket.executor is not None:
                late.append(ticket)
                self.withdraw(ticket)
        return late

    def next_deadline(self) -> int | None:
        """When :meth:`overdue` has something to say, at the earliest; None: never, as it stands."""
        while self._deadlines and self._deadlines[0][2].executor is None:
            heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def withdraw(self, ticket: Ticket) -> bool:
        """Nobody waits for a request any more. True: it waited, and does so no more; False: it runs, or has run."""
        its = None if ticket.executor is None else self._executors.get(ticket.executor)
        ticket_waits = its is not None and any(each is ticket for each in its.queue)
        if its is not None and ticket_waits:
            its.queue = [each for each in its.queue if each is not ticket]
            ticket.executor = None
        return ticket_waits

    # -- predictions ----------------------------------------------------------------------------------

    def _free(self, now: int, its: _Executor) -> int:
        """When its worker is predicted to be free. One that overruns is expected to take as long again."""
        if its.running is None:
            return now
        expected = its.started + its.running.expected
        return expected if expected > now else 2 * now - expected

    def _load(self, now: int, executor: int) -> tuple[int, int]:
        its = self._executors[executor]
        return sum(self._estimates[each.model].of(each.rows) for each in its.queue) + self._free(now, its), executor

    def _would_be_late(self, now: int, its: _Executor, ticket: Ticket, known: Estimates) -> Refused | None:
        start = self._free(now, its)
        alone = known.of(ticket.rows)
        limit = _limit(now, ticket, alone, now - its.busy)
        if not its.queue:
            finish = start + alone + self._reply
            return Refused("late", finish) if limit and finish > limit else None
        queue = its.queue.copy()
        _enter(queue, ticket)
        finish, late = self._play(start, queue, ticket)
        if limit and finish > limit:
            return Refused("late", finish)
        if late and late - self._play(start, its.queue, None)[1]:
            return Refused("late", finish)
        return None

    def _play(self, start: int, queue: Sequence[Ticket], asked: Ticket | None) -> tuple[int, set[int]]:
        """Run a queue in mind: when *asked* is finished, and who is late."""
        late: set[int] = set()
        taken: set[int] = set()
        finish = at = start
        estimates, reply = self._estimates, self._reply
        for place, head in enumerate(queue):
            if head.number in taken:
                continue
            known = estimates[head.model]
            if known.preferred == 1:  # by far the most often; no more than additions
                at += known.one if head.rows == 1 else known.of(head.rows)
                if head is asked:
                    finish = at + reply
                elif 0 < head.deadline < at + reply:
                    late.add(head.number)
                continue
            tickets, took = self._batch(at, queue, place, taken)
            at += took
            done = at + reply
            for each in tickets:
                if each is asked:
                    finish = done
                elif each.deadline and done > each.deadline:
                    late.add(each.number)
            if len(tickets) > 1:
                taken.update(each.number for each in tickets)
        return finish, late

    def _batch(
        self, now: int, queue: Sequence[Ticket], place: int, taken: Container[int] = ()
    ) -> tuple[list[Ticket], int]:
        """The batch that a free worker would take of *queue* from *place* on, and how long it takes.

        The largest size that pays, of which the earliest is still in time; without those *taken* before.
        """
        head = queue[place]
        known = self._estimates[head.model]
        if known.preferred <= head.rows:
            return [head], known.of(head.rows)
        tickets, rows = [head], head.rows
        for at in range(place + 1, len(queue)):
            each = queue[at]
            if each.model != head.model or each.kind != head.kind or each.number in taken:
                continue
            if rows + each.rows <= known.preferred:
                tickets.append(each)
                rows += each.rows
                if rows == known.preferred:
                    break
        took = known.of(rows)
        while len(tickets) > 1 and head.deadline and now + took + self._reply > head.deadline:
            del tickets[(len(tickets) + 1) // 2 :]
            took = known.of(sum(each.rows for each in tickets))
        return tickets, took

    # -- moves ----------------------------------------------------------------------------------------

    def _drop_holder(self, model: str, executor: int) -> None:
        holders = self._holders[model]
        holders.remove(executor)
        if len(holders) < 2:
            self._shared.discard(model)
        if not holders:
            del self._holders[model]

    def _enter(self, executor: int, ticket: Ticket) -> None:
        ticket.executor = executor
        _enter(self._executors[executor].queue, ticket)

    def _put_elsewhere(self, now: int, ticket: Ticket) -> bool:
        """A request that was accepted stays accepted, whatever that does to the plan."""
        holders = self._holders.get(ticket.model)
        if not holders:
            ticket.executor = None
            return False
        self._enter(min(holders, key=lambda each: self._load(now, each)), ticket)
        return True

    def _take_over(self, executor: int, idle: _Executor) -> None:
        """A worker that has nothing to do takes what is due first elsewhere, of a model that it holds, too."""
        best: Ticket | None = None
        for model in idle.models & self._shared:
            for holder in self._holders[model]:
                found = next((each for each in self._executors[holder].queue if each.model == model), None)
                if found is not None and (best is None or by_due(found) < by_due(best)):
                    best = found
        if best is not None and best.executor is not None:
            self._executors[best.executor].queue.remove(best)
            self._enter(executor, best)


def _enter(queue: list[Ticket], ticket: Ticket) -> None:
    if not queue or by_due(queue[-1]) <= by_due(ticket):
        queue.append(ticket)
    else:
        insort(queue, ticket, key=by_due)


def _limit(now: int, ticket: Ticket, alone: int, busy: int) -> int:
    """When a request has to be predicted to finish for it to be accepted; 0: whenever.

    Args:
        now: the time.
        ticket: the request.
        alone: how long it takes.
        busy: for how long the worker has had no rest.
    """
    if not ticket.deadline:
        return 0
    slack = ticket.deadline - now
    return now + int(slack * SHARE) if LONG * alone < slack < busy else ticket.deadline
