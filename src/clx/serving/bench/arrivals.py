"""When requests come: at random times, in bursts, or as a trace has them. Seconds from the start of a run."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

BURST = 0.1
"""Seconds of a burst; nine times as long is the silence after it."""


def poisson(rate: float, dice: Random) -> Iterator[float]:
    """Requests that know nothing of each other, *rate* a second in the mean."""
    at = 0.0
    while True:
        at += dice.expovariate(rate)
        yield at


def bursts(rate: float, dice: Random, *, length: float = BURST) -> Iterator[float]:
    """Bursts at ten times *rate*, and silence between them, each of them as long as chance has it."""
    at, until = 0.0, dice.expovariate(1 / length)
    while True:
        at += dice.expovariate(10 * rate)
        if at < until:
            yield at
            continue
        at = until + dice.expovariate(1 / (9 * length))  # the rest of a silence
        until = at + dice.expovariate(1 / length)
