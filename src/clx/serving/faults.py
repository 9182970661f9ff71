"""Models at fault: which one it was when a worker ended, and for how long nobody may ask it then.

A worker that ends by itself, or has to be ended since it hangs, takes all its models along until it is replaced. The
model that it ran or loaded is struck: for a while, which grows with every strike, it is not asked, so that it ends no
other worker meanwhile, and those serve all other models on.
"""

from __future__ import annotations

from collections import defaultdict, deque

MOST = 3
"""Strikes within :data:`MEMORY` after which a model is loaded again only if somebody asks for that."""
MEMORY = 600_000_000_000
"""Nanoseconds for which a strike counts."""
RESTS = (1_000_000_000, 5_000_000_000, 30_000_000_000)
"""Nanoseconds for which a model is not asked after its first strike, its second, and so on."""
FACTOR = 10
"""How many times as long as expected a batch may take before it can be taken for hung."""
UNWAITED = 10
"""The part of the patience, one of so many, that a batch gets for which nobody waits any more."""


class Faults:
    """The strikes of models, by key; every call is told the time (nanoseconds, monotonic)."""

    def __init__(self) -> None:
        self._strikes: defaultdict[str, deque[int]] = defaultdict(deque)
        self._until: dict[str, int] = {}

    def strike(self, now: int, key: str) -> int:
        """A worker ended by a model's fault. Returns how many strikes it has."""
        strikes = self._strikes[key]
        strikes.append(now)
        while strikes[0] < now - MEMORY:
            strikes.popleft()
        self._until[key] = now + RESTS[min(len(strikes), len(RESTS)) - 1]
        return len(strikes)

    def rest(self, now: int, key: str) -> int:
        """Nanoseconds for which a model is not to be asked; 0: it may be."""
        until = self._until.get(key)
        if until is None:
            return 0
        if until <= now:
            del self._until[key]
            return 0
        return until - now

    def is_out(self, key: str) -> bool:
        """Whether a model has as many strikes as it may have."""
        return len(self._strikes.get(key, ())) >= MOST

    def forgive(self, key: str) -> None:
        """Somebody wants a model loaded again: its strikes are forgotten."""
        self._strikes.pop(key, None)
        self._until.pop(key, None)


def hangs(took: int, expected: int, patience: int, *, is_awaited: bool) -> bool:
    """Whether a batch is to be taken for hung.

    Args:
        took: nanoseconds for which it has run.
        expected: nanoseconds that it was expected to run.
        patience: nanoseconds that every batch has.
        is_awaited: whether anybody waits for it still.
    """
    return took > FACTOR * expected and took > (patience if is_awaited else patience // UNWAITED)
