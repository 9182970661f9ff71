"""What is counted for everybody together, seldom enough to cost little: jobs by state, and the last hour."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import quantiles
from typing import Generic, TypeVar

from clx.db.browsing import Recent, recent_runs
from clx.db.jobs import Queue
from clx.db.live import newest_job
from clx.errors import ClxError

T = TypeVar("T")

_SHARE = 20
"""Counting may take a twentieth of the time."""
_AT_ONCE = 0.03
"""Seconds: what takes no longer is counted while somebody waits for it."""
_SHORT = 20_000
"""Jobs of a table that is counted at once the first time."""
HOUR = 3600_000
BARS = 12
"""Parts of the last hour."""


class Counted(Generic[T]):
    """A value that is found anew when it is asked for, but no more often than its cost allows.

    Args:
        count: finds it.
        least: seconds for which it holds at least.
    """

    def __init__(self, count: Callable[[], T], least: float) -> None:
        self._count = count
        self._least = least
        self._lock = threading.Lock()
        self._value: T | None = None
        self._cost: float | None = None
        self._at = -1e9

    def get(self, *, is_short: Callable[[], bool]) -> T | None:
        """The value; None while it is found for the first time, which takes long.

        Args:
            is_short: asked once: whether the first time may be waited for.
        """
        age = time.monotonic() - self._at
        if age < max(self._least, (self._cost or 0) * _SHARE) or not self._lock.acquire(blocking=False):
            return self._value
        if self._cost is None and not is_short():
            self._cost = 1e9
        if (self._cost or 0) <= _AT_ONCE:
            self._find()
        else:
            threading.Thread(target=self._find, name="clx-count", daemon=True).start()
        return self._value

    def _find(self) -> None:
        begun = time.monotonic()
        try:
            with suppress(ClxError):  # the table does not answer: what was known holds
                self._value = self._count()
        finally:
            self._at = time.monotonic()
            self._cost = self._at - begun
            self._lock.release()


@dataclass(frozen=True, slots=True)
class Pace:
    """The last hour of a type of jobs.

    Attributes:
        done, failed: runs that ended well, or otherwise.
        bars: how many in each twelfth of the hour, oldest first.
        took, took_most: milliseconds that half of the runs, and 95 of 100, took at most.
        waited: milliseconds that half of the jobs waited at most before their first run.
    """

    done: int
    failed: int
    bars: tuple[int, ...]
    took: int
    took_most: int
    waited: int | None


class Board:
    """What is counted of a queue."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._counts = Counted(queue.stats, 1.0)
        self._paces = Counted(self._pace, 5.0)

    def counts(self) -> dict[str, dict[str, int]] | None:
        """Number of jobs by type and state; None while they are counted for the first time."""
        return self._counts.get(is_short=self._is_short)

    def paces(self) -> dict[str, Pace] | None:
        """The last hour by type, of the newest jobs and those around what runs now."""
        return self._paces.get(is_short=lambda: True)

    def _is_short(self) -> bool:
        return newest_job(self._queue.database) <= _SHORT

    def _pace(self) -> dict[str, Pace]:
        now = self._queue.database.clock.now()
        width = HOUR // BARS
        begins = (now // width + 1 - BARS) * width
        by_type: dict[str, list[Recent]] = {}
        for run in recent_runs(self._queue.database, begins):
            if run.outcome != "released":
                by_type.setdefault(run.type, []).append(run)
        return {type_: _pace_of(runs, begins, width) for type_, runs in by_type.items()}


def _pace_of(runs: Sequence[Recent], begins: int, width: int) -> Pace:
    bars = [0] * BARS
    for run in runs:
        bars[min(BARS - 1, max(0, (run.ended_at - begins) // width))] += 1
    took = [max(0, run.ended_at - run.started_at) for run in runs]
    waited = [max(0, run.started_at - run.created_at) for run in runs if run.run == 1]
    done = sum(run.outcome == "succeeded" for run in runs)
    return Pace(done, len(runs) - done, tuple(bars), _part(took, 50), _part(took, 95), _part(waited, 50, None))


def _part(values: Sequence[int], percent: int, none: int | None = 0) -> int:
    if len(values) < 2:
        return values[0] if values else none  # type: ignore[return-value]
    return int(quantiles(values, n=100, method="inclusive")[percent - 1])
