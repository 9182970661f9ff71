"""Questions that a fleet answers: what a request costs the controller where there is much, who suffers from whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice, takewhile
from random import Random
from typing import NamedTuple

from clx.serving.bench.arrivals import poisson
from clx.serving.bench.fleets import Ask, Fleet, Kind, Told, total

ONE = 2_000_000
"""Nanoseconds of a run of a model among many."""
SLACKS = (5, 20, 100)
"""Deadlines of its requests, in runs."""
LOAD = 0.7
"""Of what the workers can do, how much is asked of them."""
PER_WORKER = 300
"""Requests of each worker that are counted, and as many before that are not."""


class Crowd(NamedTuple):
    """What a run of many models came to.

    Attributes:
        cost: nanoseconds of CPU for a request, the simulation's own included.
        told: what became of the requests.
        evicted: models that were given up.
    """

    cost: float
    told: Told
    evicted: int


def crowd(models: int, workers: int, *, part: float = 0.0, load: float = LOAD, seed: int = 1) -> Crowd:
    """Many models on many workers, asked as Zipf has it.

    Args:
        models: how many.
        workers: how many.
        part: of all models, those for which a worker has room; 0: each model is on two workers, and stays there.
        load: of what the workers can do, how much is asked.
        seed: of what chance decides.
    """
    kinds = [Kind(f"m{number}", ONE) for number in range(models)]
    held = max(2, int(models * part)) if part else 0
    fleet = Fleet(kinds, workers, copies=1 if part else min(2, workers), held=held, seed=seed)
    counted = max(PER_WORKER * workers, 5_000)
    asks = islice(_asks(kinds, load * workers / ONE * 1e9, seed, steep=1.0 if part else 0.5), 2 * counted)
    cost = fleet.run(asks, skipped=counted)
    return Crowd(cost, total(fleet.told.values()), fleet.evicted)


def _asks(kinds: Sequence[Kind], rate: float, seed: int, *, steep: float) -> Iterator[Ask]:
    """Requests of models of which the n-th is asked for n**-steep as often as the first."""
    dice = Random(seed)  # noqa: S311
    weights, reached = [], 0.0
    for number in range(len(kinds)):
        reached += (number + 1) ** -steep
        weights.append(reached)
    arrivals = poisson(rate, dice)
    while True:
        for kind in dice.choices(kinds, cum_weights=weights, k=1_000):
            yield Ask(int(next(arrivals) * 1e9), kind.name, dice.choice(SLACKS) * kind.one)


QUICK = Kind("quick", 500_000)
"""A model whose requests have 5 ms."""
HEAVY = Kind("heavy", 1_000_000, more=0.4, largest=16)
"""A model whose batches take up to 7 ms: 2.3 times as many rows a second as one by one."""


def beside(rate: float, heavy: float, *, seconds: float = 60.0, seed: int = 1) -> dict[str, Told]:
    """Requests with 5 ms beside batches of another model on one worker.

    Args:
        rate: requests with 5 ms, a second.
        heavy: requests of the other model, a second, with half a second each; 0: they are alone.
        seconds: how long.
        seed: of what chance decides.
    """
    fleet = Fleet([QUICK, HEAVY], 1, seed=seed)
    quick = (Ask(int(at * 1e9), QUICK.name, 5_000_000) for at in poisson(rate, Random(seed)))  # noqa: S311
    others: Iterator[Ask] = iter(())
    if heavy:
        others = (Ask(int(at * 1e9), HEAVY.name, 500_000_000) for at in poisson(heavy, Random(seed + 1)))  # noqa: S311
    fleet.run(takewhile(lambda ask: ask.at < seconds * 1e9, merge(quick, others)))
    return fleet.told
