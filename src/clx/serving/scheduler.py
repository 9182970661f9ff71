"""The scheduler: which requests are accepted, and which batch a worker runs next.

It does nothing by itself and knows no clock: every call is told the time (nanoseconds of a monotonic clock), so a
test moves it, and a simulation runs the very same object.

* **Earliest deadline first**, one queue for each executor. A request is put into the queue that is predicted to be
  empty first; where it would be late there, others are tried.
* **Admission**: the queue with the new request in it is played through, batch by batch, as :meth:`Scheduler.dispatch`
  would form them. If the new request would be late, or anyone who has been accepted, it is refused at once.
* **Accepted is never dropped** before its deadline. Only the deadline itself ends it (:meth:`Scheduler.overdue`).
* **Long deadlines do not crowd out short ones**: on a worker that has had no rest for three times as long as a request
  has time, one with time for more than ten runs has to be predicted to finish in the first half of it, so that the
  other half is left for those who come later with less. After a rest (a burst has just begun) it may use all of its
  time: a half that nobody comes for would be lost; unless such have been seen to come (:mod:`clx.serving.rooms`).
* **Never wait for a batch**: an executor that is free takes what waits. Batches of those who have time are kept short
  where requests of other models have little (:mod:`clx.serving.rooms`).
* **No call looks at all models or all executors**: of many that could run a request a few are looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from itertools import islice

from clx.serving.estimates import Estimates
from clx.serving.lines import Line, Plans, enter
from clx.serving.rooms import PATIENT
from clx.serving.tickets import Batch, Refused, Ticket, by_due, due_of

LONG = 10
"""Runs that fit into what is left of a request's time, from where on it counts as long."""
SHARE = 0.5
"""The part of its time in which a long request has to be predicted to finish."""
REST = 3
"""For how many times its time a worker has had no rest, where that is asked of it."""
ROOMY = 2
"""For how many times as long as expected all may take, where a queue is not played through: estimates may have risen
since those who wait came, and a batch may take longer than its rows one by one."""
BACKLOG = 1_000
"""Requests that may wait for one executor."""
FEW = 4
"""Executors that are looked at for a request; with no more, all of them."""
TRIES = 2
"""Queues that are played through for a request, at most."""
LOOKED = 32
"""Models that a worker looks at which has nothing to do, and could help others."""


class Scheduler:
    """Requests to executors; see the module.

    Args:
        reply: nanoseconds between the end of a run and the answer's last byte.
        backlog: how many requests may wait for one executor.
    """

    def __init__(self, *, reply: int = 100_000, backlog: int = BACKLOG) -> None:
        self._reply = reply
        self._backlog = backlog
        self._lines: dict[int, Line] = {}
        self._idle: dict[int, None] = {}  # those that have nothing to do, who has so for the longest time first
        self._holders: dict[str, list[int]] = {}
        self._turn = 0
        self._estimates: dict[str, Estimates] = {}
        self._plans = Plans(reply)
        self._waiting: dict[str, list[tuple[int, int, Ticket]]] = {}  # by model, a heap; of those with many holders
        self._deadlines: list[tuple[int, int, Ticket]] = []
        self._live = 0  # accepted ones with a deadline that are not done

    # -- what there is --------------------------------------------------------------------------------

    def add_executor(self, executor: int) -> None:
        """A worker is there; it holds no model yet."""
        if executor not in self._lines:
            self._lines[executor] = Line()
            self._idle[executor] = None

    def remove_executor(self, now: int, executor: int) -> list[Ticket]:
        """A worker is gone. Returns the requests that nobody else can take; the others wait elsewhere now."""
        gone = self._lines.pop(executor, None)
        if gone is None:
            return []
        self._idle.pop(executor, None)
        for model in gone.models:
            self._drop_holder(model, executor)
        left = [*(gone.running.tickets if gone.running else ()), *gone.queue]
        wanted = [each for each in left if each.executor is not None and self._is_wanted(each)]
        return [each for each in wanted if not self._put_elsewhere(now, each)]

    def place(self, executor: int, model: str, largest: int = 1) -> None:
        """A worker holds *model*, whose batches have at most *largest* rows."""
        holders = self._holders.setdefault(model, [])
        if model not in self._lines[executor].models:
            self._lines[executor].models.add(model)
            holders.append(executor)
        if len(holders) == 2:
            for each in self._lines[holders[0]].queue:
                if each.model == model:
                    self._offer_to_others(each)
        known = self._estimates.setdefault(model, Estimates(largest))
        known.largest = largest

    def displace(self, now: int, executor: int, model: str) -> list[Ticket]:
        """A worker holds *model* no longer. Returns the requests that nobody else can take."""
        lost = self._lines[executor]
        lost.models.discard(model)
        self._drop_holder(model, executor)
        waiting = [each for each in lost.queue if each.model == model] if lost.has(model) else []
        for each in waiting:
            lost.leave(each)
        self._note_idle(executor, lost)
        return [each for each in waiting if not self._put_elsewhere(now, each)]

    def forget(self, model: str) -> None:
        """What was measured of *model* counts no more: it has changed."""
        self._estimates.pop(model, None)

    def observe(self, model: str, size: int, took: int) -> None:
        """A run of *size* rows took so many nanoseconds; warm-ups are told here, too."""
        known = self._estimates.get(model)
        if known is None:
            known = self._estimates[model] = Estimates()
        known.observe(size, took)

    def estimate(self, model: str, size: int = 1) -> int:
        """Nanoseconds that a batch of *size* rows takes; 0: unknown."""
        known = self._estimates.get(model)
        return 0 if known is None else known.of(size)

    def holders(self, model: str) -> Sequence[int]:
        """The workers that hold *model*."""
        return self._holders.get(model, ())

    def holds(self, executor: int, model: str) -> bool:
        """Whether a worker holds *model*."""
        its = self._lines.get(executor)
        return its is not None and model in its.models

    def is_free(self, executor: int) -> bool:
        """Whether a worker runs nothing."""
        its = self._lines.get(executor)
        return its is not None and its.running is None

    def idle_holders(self, model: str) -> list[int]:
        """Workers that hold *model* and have nothing to do; of many only some, each time others."""
        return [each for each in self._some(self._holders.get(model, [])) if each in self._idle]

    def may_pay(self, model: str, size: int) -> bool:
        """Whether it is worth measuring batches of *size*: half of it was better than a quarter."""
        known = self._estimates[model]
        return size <= known.largest and known.preferred * 2 == size

    def waiting(self, executor: int) -> int:
        """How many requests wait for a worker."""
        return len(self._lines[executor].queue)

    def waiting_for(self, model: str) -> list[Ticket]:
        """The requests of *model* that wait, wherever."""
        return [each for its in self._lines.values() for each in its.queue if each.model == model]

    def has_requests(self, executor: int, model: str) -> bool:
        """Whether a worker runs *model* at present, or somebody waits for it there."""
        return self._lines[executor].has(model)

    def asked(self) -> set[str]:
        """The models that some worker runs at present, or that somebody waits for."""
        return {model for its in self._lines.values() for model in its.asked()}

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
        ticket.known, ticket.cost = known, known.of(ticket.rows)
        slack = ticket.deadline - now if ticket.deadline else 0
        refused: Refused | None = None
        for place, chosen in enumerate(self._candidates(now, ticket.model, holders)):
            its = self._lines[chosen]
            if place and ticket.deadline and its.free(now) + ticket.cost + self._reply > ticket.deadline:
                continue
            its.rooms.note(ticket.model, slack, ticket.cost)
            found = self._refused_by(now, its, ticket)
            if found is None:
                self._accept(now, chosen, ticket)
                return chosen
            refused = refused or found
        assert refused is not None  # the first one was asked in any case
        return refused

    def _accept(self, now: int, executor: int, ticket: Ticket) -> None:
        its = self._lines[executor]
        if its.is_idle:
            its.busy = now
        self._enter(executor, ticket)
        if ticket.deadline:
            self._live += 1
            heappush(self._deadlines, (ticket.deadline, ticket.number, ticket))

    def dispatch(self, now: int, executor: int) -> Batch | None:
        """What a free worker runs next; None: nothing waits, or it runs something."""
        its = self._lines[executor]
        if its.running is not None:
            return None
        if not its.queue:
            self._take_over(now, executor, its)
            if not its.queue:
                return None
        tickets, expected = self._plans.batch(now, its.queue, its.guard)
        its.take(tickets)
        its.running, its.started = Batch(tickets[0].model, tickets, expected), now
        return its.running

    def finished(self, now: int, executor: int, *, took: int | None = None) -> list[Ticket]:
        """A worker is done with its batch. Returns the requests of it.

        Args:
            now: the time.
            executor: which.
            took: nanoseconds of the run; None: since it was dispatched. 0: it failed, and says nothing of others.
        """
        its = self._lines[executor]
        done, its.running = its.running, None
        if done is None:
            return []
        self._note_idle(executor, its)
        spent = now - its.started if took is None else took
        if spent:
            self.observe(done.model, sum([each.rows for each in done.tickets]), spent)
        for each in done.tickets:
            self._end(each)
        return done.tickets

    def overdue(self, now: int) -> list[Ticket]:
        """Accepted requests whose deadline is here, each once. Those that wait do so no more; running ones run on."""
        late: list[Ticket] = []
        while self._deadlines and self._deadlines[0][0] <= now:
            ticket = heappop(self._deadlines)[2]
            if ticket.executor is not None and ticket.wanted:
                late.append(ticket)
                self.withdraw(ticket)
        return late

    def next_deadline(self) -> int | None:
        """When :meth:`overdue` has something to say, at the earliest; None: never, as it stands."""
        while self._deadlines and not self._is_live(self._deadlines[0][2]):
            heappop(self._deadlines)
        if len(self._deadlines) > 2 * self._live + FEW:  # answered ones are not to be kept until their deadline
            self._deadlines = [each for each in self._deadlines if self._is_live(each[2])]
            heapify(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def withdraw(self, ticket: Ticket) -> bool:
        """Nobody waits for a request any more. True: it waited, and does so no more; False: it runs, or has run."""
        if ticket.executor is None:
            return False
        if not ticket.waits:
            self._live -= ticket.wanted and ticket.deadline > 0
            ticket.wanted = False
            return False
        executor = ticket.executor
        its = self._lines[executor]
        its.leave(ticket)
        self._end(ticket)
        self._note_idle(executor, its)
        return True

    # -- predictions ----------------------------------------------------------------------------------

    def _candidates(self, now: int, model: str, holders: list[int]) -> Sequence[int]:
        """Who might run a request, the best first."""
        if len(holders) == 1:
            return holders
        if len(holders) > FEW:
            idle = next((each for each in islice(self._idle, FEW) if model in self._lines[each].models), None)
            if idle is not None:
                return (idle,)
        return sorted(self._some(holders), key=lambda each: self._load(now, each))[:TRIES]

    def _some(self, holders: Sequence[int]) -> Sequence[int]:
        """A few of them, each time others."""
        if len(holders) <= FEW:
            return holders
        at = self._turn = (self._turn + FEW) % len(holders)
        return [*holders[at : at + FEW], *holders[: max(0, at + FEW - len(holders))]]

    def _load(self, now: int, executor: int) -> tuple[int, int]:
        its = self._lines[executor]
        return its.free(now) + its.load, executor

    def _refused_by(self, now: int, its: Line, ticket: Ticket) -> Refused | None:
        """Why a request cannot wait for a worker; None: it can."""
        if len(its.queue) >= self._backlog:
            return Refused("backlog", its.free(now))
        start = its.free(now)
        room = its.rooms.guard.of(ticket.model)
        pressed = 0 < PATIENT * room < ticket.deadline - now
        limit = _limit(now, ticket, ticket.cost, 1 << 62 if pressed else now - its.busy)
        if not its.queue:
            finish = start + ticket.cost + self._reply
            its.guard = its.rooms.guard
            return Refused("late", finish) if limit and finish > limit else None
        if self._has_room(start, its, ticket, limit):
            its.guard = its.rooms.guard
            return None
        queue = its.queue.copy()
        enter(queue, ticket)
        finish, late = self._plans.play(start, queue, its.rooms.guard, ticket, limit)
        if not late and not (limit and finish > limit):
            its.guard = its.rooms.guard
            return None
        if its.guard != its.rooms.guard:  # those who wait were accepted when it was another
            finish, late = self._plans.play(start, queue, its.guard, ticket, limit)
        if limit and finish > limit:
            return Refused("late", finish)
        if late and late - self._plans.play(start, its.queue, its.guard)[1]:
            return Refused("late", finish)
        return None

    def _has_room(self, start: int, its: Line, ticket: Ticket, limit: int) -> bool:
        """Whether all would be in time with a request more, though they ran one by one and took far longer.

        Then nobody has to be played through, which costs by the length of the queue.
        """
        end = start + ROOMY * (its.load + ticket.cost) + self._reply
        return not (0 < limit < end or 0 < its.first_deadline() < end)

    # -- moves ----------------------------------------------------------------------------------------

    def _is_live(self, ticket: Ticket) -> bool:
        return ticket.executor is not None and ticket.wanted

    def _is_wanted(self, ticket: Ticket) -> bool:
        """Whether one that a worker had, which is gone, is still to be answered."""
        if not ticket.wanted:
            ticket.executor = None
        return ticket.wanted

    def _end(self, ticket: Ticket) -> None:
        """It is done with."""
        if ticket.executor is not None:
            self._live -= ticket.wanted and ticket.deadline > 0
            ticket.executor, ticket.waits = None, False

    def _note_idle(self, executor: int, its: Line) -> None:
        if its.is_idle:
            self._idle[executor] = None

    def _drop_holder(self, model: str, executor: int) -> None:
        holders = self._holders[model]
        holders.remove(executor)
        if len(holders) < 2:
            self._waiting.pop(model, None)
        if not holders:
            del self._holders[model]

    def _enter(self, executor: int, ticket: Ticket) -> None:
        ticket.executor = executor
        self._lines[executor].enter(ticket)
        self._idle.pop(executor, None)
        if len(self._holders[ticket.model]) > 1:
            self._offer_to_others(ticket)

    def _put_elsewhere(self, now: int, ticket: Ticket) -> bool:
        """A request that was accepted stays accepted, whatever that does to the plan."""
        holders = self._holders.get(ticket.model)
        if not holders:
            self._end(ticket)
            return False
        self._enter(min(holders, key=lambda each: self._load(now, each)), ticket)
        return True

    # -- helping others -------------------------------------------------------------------------------

    def _offer_to_others(self, ticket: Ticket) -> None:
        """Somebody waits for a model that several hold: one that has nothing to do may take it."""
        heap = self._waiting.setdefault(ticket.model, [])
        heappush(heap, (ticket.due, ticket.number, ticket))
        while not heap[0][2].waits:
            heappop(heap)

    def _first_waiting(self, model: str) -> Ticket | None:
        heap = self._waiting[model]
        while heap and not heap[0][2].waits:
            heappop(heap)
        return heap[0][2] if heap else None

    def _take_over(self, now: int, executor: int, idle: Line) -> None:
        """A worker that has nothing to do takes what is due first elsewhere, of a model that it holds, too."""
        best: Ticket | None = None
        for model in list(islice(self._waiting, LOOKED)):
            found = self._first_waiting(model)
            if found is None:
                del self._waiting[model]
            elif model in idle.models and (best is None or by_due(found) < by_due(best)):
                best = found
        if best is not None and best.executor is not None:
            helped = best.executor
            self._lines[helped].leave(best)
            self._note_idle(helped, self._lines[helped])
            idle.busy = now
            self._enter(executor, best)


def _limit(now: int, ticket: Ticket, alone: int, busy: int) -> int:
    """When a request has to be predicted to finish for it to be accepted; 0: whenever.

    Args:
        now: the time.
        ticket: the request.
        alone: how long it takes.
        busy: for how long the worker has had no rest, or any time where others with less are known to come.
    """
    if not ticket.deadline:
        return 0
    slack = ticket.deadline - now
    return now + int(slack * SHARE) if LONG * alone < slack and REST * slack < busy else ticket.deadline
