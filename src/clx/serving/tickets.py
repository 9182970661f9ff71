"""Requests as the scheduler sees them: what is asked, by when, and what it says to that."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from operator import attrgetter
from typing import Literal, NamedTuple

from clx.serving.estimates import Estimates

PATIENCE = 1_000_000_000
"""Nanoseconds after which a request without a deadline is served like one whose deadline is here."""

Why = Literal["late", "backlog", "cold", "absent"]


@dataclass(slots=True, eq=False)
class Ticket:
    """A request, as far as the scheduler is concerned.

    Attributes:
        number: rises with every request.
        model: name and version of what it asks.
        arrived: when its first byte was read.
        deadline: when it has to be answered; 0: whenever.
        priority: 1 is first; only among those without a deadline.
        rows: how many rows it has, of a model that takes batches.
        kind: only requests of the same kind run in one batch: those whose rows look alike.
        due: by what it stands in the queue; the scheduler's.
        executor: for whom it waits, or who runs it; None: it was not accepted, or is done. The scheduler's.
        waits: whether it waits. The scheduler's.
        wanted: False: it was answered, or nobody asks any more, while it ran. The scheduler's.
        cost: nanoseconds that it was expected to take alone when it was put into its queue. The scheduler's.
        known: what is measured of its model. The scheduler's.
    """

    number: int
    model: str
    arrived: int
    deadline: int = 0
    priority: int = 3
    rows: int = 1
    kind: Hashable = None
    due: int = 0
    executor: int | None = None
    waits: bool = False
    wanted: bool = True
    cost: int = 0
    known: Estimates | None = None


class Refused(NamedTuple):
    """Why a request was not accepted.

    Attributes:
        why: ``late``: it, or somebody before it, would be; ``backlog``: too many wait; ``cold``: the model is not
            measured yet; ``absent``: no executor holds the model.
        finish: when it would have been finished; 0: unknown.
    """

    why: Why
    finish: int = 0


class Batch(NamedTuple):
    """What an executor runs next: requests of one model, the earliest due first."""

    model: str
    tickets: list[Ticket]
    expected: int


by_due = attrgetter("due", "number")
"""In this order they stand in a queue."""


def due_of(ticket: Ticket) -> int:
    return ticket.deadline or ticket.arrived + PATIENCE * ticket.priority
