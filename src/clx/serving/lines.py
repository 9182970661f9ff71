"""Who waits for a worker, what it runs, and how that will go on."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice

from clx.serving.estimates import Estimates
from clx.serving.rooms import NONE, PATIENT, Guard, Rooms
from clx.serving.tickets import Batch, Ticket, by_due


class Line:
    """A worker's queue, in the order in which its requests are due.

    Attributes:
        queue: who waits.
        running: what it runs.
        started: since when.
        busy: since when it has had no rest.
        models: what it holds.
        load: nanoseconds that those who wait would take one by one, as was expected when they came.
        guard: within which the queue was last played through and found in time.
        rooms: what those who come can wait.
    """

    __slots__ = ("_asked", "_timed", "busy", "guard", "load", "models", "queue", "rooms", "running", "started")

    def __init__(self) -> None:
        self.queue: list[Ticket] = []
        self.running: Batch | None = None
        self.started = 0
        self.busy = 0
        self.models: set[str] = set()
        self.load = 0
        self.guard: Guard = NONE
        self.rooms = Rooms()
        self._asked: dict[str, int] = {}
        self._timed = 0  # how many of those who wait have a deadline

    @property
    def is_idle(self) -> bool:
        """Whether it runs nothing, and nobody waits."""
        return self.running is None and not self.queue

    def enter(self, ticket: Ticket) -> None:
        """Somebody waits from now on; its *cost* is known."""
        enter(self.queue, ticket)
        ticket.waits = True
        self.load += ticket.cost
        self._timed += ticket.deadline > 0
        self._asked[ticket.model] = self._asked.get(ticket.model, 0) + 1

    def leave(self, ticket: Ticket) -> None:
        """Somebody waits no more."""
        at = bisect_left(self.queue, by_due(ticket), key=by_due)
        del self.queue[at]
        self._left(ticket)

    def take(self, tickets: Sequence[Ticket]) -> None:
        """These run from now on; the first is the first of the queue."""
        if len(tickets) == 1:
            del self.queue[0]
            self._left(tickets[0])
            return
        for each in tickets:
            self._left(each)
        self.queue = [each for each in self.queue if each.waits]

    def _left(self, ticket: Ticket) -> None:
        ticket.waits = False
        self.load -= ticket.cost
        self._timed -= ticket.deadline > 0
        left = self._asked[ticket.model] - 1
        if left:
            self._asked[ticket.model] = left
        else:
            del self._asked[ticket.model]

    def first_deadline(self) -> int:
        """The earliest deadline of those who wait; 0: nobody has one."""
        if not self._timed:
            return 0
        return next(each.deadline for each in self.queue if each.deadline)  # they stand in the order of these

    def has(self, model: str) -> bool:
        """Whether it runs *model*, or somebody waits for it."""
        return model in self._asked or (self.running is not None and self.running.model == model)

    def asked(self) -> Iterable[str]:
        """The models that it runs, or that somebody waits for."""
        return self._asked.keys() if self.running is None else {*self._asked, self.running.model}

    def free(self, now: int) -> int:
        """When the worker is predicted to be free. One that overruns is expected to take as long again."""
        if self.running is None:
            return now
        expected = self.started + self.running.expected
        return expected if expected > now else 2 * now - expected


class Plans:
    """How queues will be run, as far as the estimates hold.

    Args:
        reply: nanoseconds between the end of a run and the answer's last byte.
    """

    def __init__(self, reply: int) -> None:
        self._reply = reply

    def batch(self, now: int, queue: Sequence[Ticket], guard: Guard) -> tuple[list[Ticket], int]:
        """What a free worker takes of *queue*, and how long that takes."""
        head = queue[0]
        if len(queue) == 1:
            return [head], _known(head).of(head.rows)
        others = (each for each in islice(queue, 1, None) if each.model == head.model and each.kind == head.kind)
        return self._formed(now, head, others, guard)

    def _formed(self, now: int, head: Ticket, others: Iterable[Ticket], guard: Guard) -> tuple[list[Ticket], int]:
        """The largest size that pays, in which the earliest is still in time and nobody is kept from the worker long.

        Args:
            now: when it begins.
            head: the earliest.
            others: those after it that could run with it, in order.
            guard: how long it may take.
        """
        known = _known(head)
        most = self._most(head, known, guard)
        if most <= head.rows:
            return [head], known.of(head.rows)
        tickets, rows = [head], head.rows
        for each in others:
            if rows + each.rows <= most:
                tickets.append(each)
                rows += each.rows
                if rows == most:
                    break
        took = known.of(rows)
        while len(tickets) > 1 and head.deadline and now + took + self._reply > head.deadline:
            del tickets[(len(tickets) + 1) // 2 :]
            took = known.of(sum(each.rows for each in tickets))
        return tickets, took

    def _most(self, head: Ticket, known: Estimates, guard: Guard) -> int:
        most = known.preferred
        longest = guard.of(head.model)
        if most > 1 and longest and (not head.deadline or head.deadline - head.arrived > PATIENT * longest):
            while most > 1 and known.of(most) > longest:
                most //= 2
        return most

    def play(
        self, start: int, queue: Sequence[Ticket], guard: Guard, asked: Ticket | None = None, limit: int = 0
    ) -> tuple[int, set[int]]:
        """Run a queue in mind from *start* on: when *asked* is finished, and who else is late.

        Once *asked* is finished after its *limit*, nobody cares for the rest.
        """
        late: set[int] = set()
        taken: set[int] = set()
        groups: dict[object, deque[Ticket]] = {}
        finish = at = start
        reply = self._reply
        for head in queue:
            known = head.known
            assert known is not None  # it was offered
            if known.preferred == 1:  # by far the most often; no more than additions
                at += known.one if head.rows == 1 else known.of(head.rows)
                if head is asked:
                    finish = at + reply
                    if 0 < limit < finish:
                        break
                elif 0 < head.deadline < at + reply:
                    late.add(head.number)
                continue
            if head.number in taken:
                continue
            groups = groups or _groups(queue)
            tickets, took = self._next(at, head, groups[head.model, head.kind], taken, guard)
            at += took
            for each in tickets:
                taken.add(each.number)
                if each is asked:
                    finish = at + reply
                elif 0 < each.deadline < at + reply:
                    late.add(each.number)
        return finish, late

    def _next(
        self, at: int, head: Ticket, group: deque[Ticket], taken: set[int], guard: Guard
    ) -> tuple[list[Ticket], int]:
        """The batch of *head*, out of its *group* without those *taken* before."""
        while group and (group[0] is head or group[0].number in taken):
            group.popleft()
        return self._formed(at, head, (each for each in group if each.number not in taken), guard)


def enter(queue: list[Ticket], ticket: Ticket) -> None:
    """Put somebody into a queue, at the place of its *due*."""
    if not queue or by_due(queue[-1]) <= by_due(ticket):
        queue.append(ticket)
    else:
        insort(queue, ticket, key=by_due)


def _known(ticket: Ticket) -> Estimates:
    assert ticket.known is not None  # it was offered
    return ticket.known


def _groups(queue: Sequence[Ticket]) -> dict[object, deque[Ticket]]:
    """Those of a queue that could run together, so that nobody is looked at for each batch anew."""
    groups: dict[object, deque[Ticket]] = {}
    for each in queue:
        if _known(each).preferred > 1:
            groups.setdefault((each.model, each.kind), deque()).append(each)
    return groups
