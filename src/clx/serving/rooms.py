"""How long a run may be for requests of other models with little time not to suffer from it.

A run is never broken off: who comes while one has just begun waits for the whole of it. Where requests with little
time come again and again, batches of other models are therefore kept to two thirds of what such a request can wait: the
last third is for the next one of its kind. How much that is, is seen from those that come: nobody has to say it.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

SEEN = 256
"""Requests that are looked back at."""
RARE = 3
"""Requests among them that have so little time, for it to be heeded: one alone would shorten everybody's batches."""
EVERY = 32
"""Requests after which it is weighed anew."""
PATIENT = 4
"""Who has more than so many times that time is patient; a batch that waits itself for little is not cut short."""


class Guard(NamedTuple):
    """Nanoseconds that a run of a patient batch may take; 0: any number.

    Attributes:
        most: for all models but one.
        model: that one, whose requests have so little time; its own batches are for its own good.
        own: for that one, for the sake of those of others.
    """

    most: int = 0
    model: str = ""
    own: int = 0

    def of(self, model: str) -> int:
        """For a batch of *model*."""
        return self.own if model == self.model else self.most


NONE = Guard()


class Rooms:
    """What the last requests of a worker could wait."""

    __slots__ = ("_count", "_seen", "guard")

    def __init__(self) -> None:
        self._seen: deque[tuple[int, str]] = deque(maxlen=SEEN)
        self._count = 0
        self.guard = NONE

    def note(self, model: str, slack: int, alone: int) -> None:
        """A request has come.

        Args:
            model: what it asks.
            slack: nanoseconds until its deadline; 0: there is none.
            alone: nanoseconds that it takes.
        """
        room = (slack - alone) * 2 // 3
        self._seen.append((room if slack and room > 0 else 1 << 62, model))
        self._count += 1
        if self._count % EVERY == 0:
            self.guard = self._weighed()

    def _weighed(self) -> Guard:
        seen = sorted(self._seen)
        if len(seen) < RARE or seen[RARE - 1][0] == 1 << 62:
            return NONE
        most, model = seen[RARE - 1]
        others = [room for room, whose in seen if whose != model]
        own = others[RARE - 1] if len(others) >= RARE and others[RARE - 1] < 1 << 62 else 0
        return Guard(most, model, own)
