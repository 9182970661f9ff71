"""Telling a silent worker from a clock that was moved.

Leases are moments of the system's clock, so that every process of every machine can compare them. When
that clock is set, or the machine slept, leases seem to be over (or far from over) though nobody was
silent. Whoever looks for overdue leases therefore also watches the monotonic clock: after a step, a lease
counts as over only when it has been seen unrenewed for its whole length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

STEP = 2_000
"""Milliseconds by which the two clocks must drift apart between two looks to count as a step."""
HELD_UP = 2.0
"""Seconds from which on a transaction that had to wait shows that others could not renew their leases either."""
SLACK = 60_000
"""Milliseconds by which clocks of several machines may differ before a lease counts as implausible."""


def was_away(asked: float, took: float) -> bool:
    """Whether a process that wanted to sleep for *asked* seconds and slept for *took* stood still meanwhile.

    It was stopped, frozen with others, or something kept Python's lock: those that it finds silent may have been too.
    """
    return took - asked > HELD_UP


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease of one run: when it ends (milliseconds UTC), how long a renewal makes it, and whose it is."""

    job_id: int
    run: int
    until: int
    length: int
    worker: int = 0


class LeaseWatch:
    """What one process has seen of leases and clocks."""

    def __init__(self) -> None:
        self._offset: int | None = None
        self._suspects: dict[Lease, int] = {}
        self._distrusted = False

    def distrust(self) -> None:
        """Nobody could renew for a while, or this process was away: what is over at the next look may yet be renewed.

        What was suspected before is suspected anew from then on: in that time it could not be renewed either.
        """
        self._distrusted = True

    def waited_out(self, lease: Lease) -> bool:
        """Whether the lease, where :meth:`over` says that it is over, was seen unrenewed for its whole length."""
        return lease in self._suspects

    def over(self, overdue: Sequence[Lease], implausible: Sequence[Lease], now: int, monotonic: int) -> list[Lease]:
        """Which leases are over.

        Args:
            overdue: leases that ended before *now*.
            implausible: leases that end later than any renewal now could make them.
            now: the system's clock, milliseconds.
            monotonic: a clock that is never set, milliseconds.
        """
        distrusted, self._distrusted = self._distrusted, False
        stepped = distrusted or (self._offset is not None and abs(now - monotonic - self._offset) > STEP)
        self._offset = now - monotonic
        doubtful = {*implausible, *(overdue if stepped else (one for one in overdue if one in self._suspects))}
        before = {} if distrusted else self._suspects
        self._suspects = {one: before.get(one, monotonic) for one in doubtful}
        sure = [one for one in overdue if one not in doubtful]
        return sure + [one for one, since in self._suspects.items() if monotonic - since >= one.length]
