"""How long a batch of a model will take: measured by warm-ups first, by every batch afterwards.

The 99th percentile (nearest rank) of the last 100 runs of a size, and a tenth more. Of the estimators that were
compared (docs/serving.md has the table) it is the one that kept every promise without refusing more.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from math import ceil

KEPT = 100
"""Runs of a size that are looked at."""
WARM_UPS = 20
"""Runs of a size that a model has to have before a request of it is accepted."""
MARGIN = 0.10
"""What is added to the percentile."""
AGAIN = 8
"""Runs after which it is weighed anew which size pays, of sizes that have run so often that one more changes little."""
PAYS = 0.95
"""A batch of twice the size pays when a request in it costs at most this part, by the run in the middle."""


def bucket(size: int) -> int:
    """The size under which a batch of *size* is measured: the next power of two."""
    return 1 << (size - 1).bit_length()


class Window:
    """The last runs of a model at one size; nanoseconds.

    Args:
        rank: which percentile, from 0 to 1.
        kept: how many runs.
        margin: what is added to it.

    Attributes:
        value: the percentile with its margin.
        middle: the median, which a disturbed run does not move.
    """

    __slots__ = ("_kept", "_last", "_margin", "_rank", "_sorted", "middle", "value")

    def __init__(self, rank: float = 0.99, kept: int = KEPT, margin: float = MARGIN) -> None:
        self._rank = rank
        self._kept = kept
        self._margin = margin
        self._last: deque[int] = deque()
        self._sorted: list[int] = []
        self.value = 0
        self.middle = 0

    def add(self, took: int) -> None:
        """Note a run of *took* nanoseconds."""
        if len(self._last) == self._kept:
            del self._sorted[bisect_left(self._sorted, self._last.popleft())]
        self._last.append(took)
        insort(self._sorted, took)
        at = ceil(self._rank * len(self._sorted)) - 1
        self.middle = self._sorted[len(self._sorted) // 2]
        self.value = int(self._sorted[max(at, 0)] * (1 + self._margin))

    def __len__(self) -> int:
        return len(self._last)


class Estimates:
    """How long a model's batches take, by their size.

    Args:
        largest: how many rows a batch may have; 1: the model takes no batches.

    Attributes:
        preferred: the largest size at which a row still costs clearly less than at half of it.
        one: nanoseconds that a batch of one row takes; 0: unknown.
        is_warm: whether enough is known for a request to be accepted.
    """

    __slots__ = ("_count", "_windows", "is_warm", "largest", "one", "preferred")

    def __init__(self, largest: int = 1) -> None:
        self.largest = largest
        self.preferred = 1
        self.one = 0
        self.is_warm = False
        self._count = 0
        self._windows: dict[int, Window] = {}

    def observe(self, size: int, took: int) -> None:
        """Note that a batch of *size* rows took so many nanoseconds."""
        at = bucket(size)
        window = self._windows.get(at)
        if window is None:
            window = self._windows[at] = Window()
        window.add(took)
        if at == 1:
            self.one = window.value
            self.is_warm = self.is_warm or len(window) >= WARM_UPS
        self._count += 1
        if self.largest > 1 and (self._count % AGAIN == 0 or len(window) < KEPT):
            self.preferred = self._which_pays()

    def of(self, size: int) -> int:
        """Nanoseconds that a batch of *size* rows takes, as far as is known; 0: nothing is known."""
        if size == 1 and self.one:
            return self.one
        at = bucket(size)
        window = self._windows.get(at)
        if window is not None:
            return window.value
        larger = [each for each in self._windows if each > at]
        if larger:
            return self._windows[min(larger)].value
        if not self._windows:
            return 0
        nearest = max(self._windows)
        return self._windows[nearest].value * at // nearest

    def _which_pays(self) -> int:
        """The largest size at which a row still costs clearly less than at half of it."""
        best, size = 1, 2
        while size <= self.largest and size in self._windows and best in self._windows:
            if self._windows[size].middle * best > PAYS * self._windows[best].middle * size:
                break
            best, size = size, size * 2
        return best
