"""Leases: how one is renewed, and how a silent worker is told from a clock that was moved.

Leases are moments of the system's clock, so that every process of every machine can compare them. When
that clock is set, or the machine slept, leases seem to be over (or far from over) though nobody was
silent. Whoever looks for overdue leases therefore also watches the monotonic clock: after a step, a lease
counts as over only when it has been seen unrenewed for its whole length.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from clx.db import statements as sql
from clx.db.transaction import Transaction

STEP = 2_000
"""Milliseconds by which the two clocks must drift apart between two looks to count as a step."""
HELD_UP = 2.0
"""Seconds of waiting from which on nobody is judged by his lease, however long that is."""
NOTICED = 0.1
"""Seconds of waiting that are taken note of."""
_SHARE = 3
"""A lease that is renewed each half of it cannot end because of a wait of a third of it."""
SLACK = 60_000
"""Milliseconds by which clocks of several machines may differ before a lease counts as implausible."""


def can_explain(waited: float, lease: int) -> bool:
    """Whether a lease of so many milliseconds may be over because its owner had to wait for *waited* seconds too."""
    return waited > HELD_UP or (waited > NOTICED and waited * 1000 * _SHARE > lease)


def beat_of(lease: int) -> float:
    """Seconds between two renewals of a lease of so many milliseconds: a sixth of it, so that several may come late."""
    return lease / 6000


class Lease(msgspec.Struct, frozen=True):
    """The lease of one run: when it ends (milliseconds UTC), how long a renewal makes it, and whose it is."""

    job_id: int
    run: int
    until: int
    length: int
    worker: int = 0


def renew(
    tx: Transaction, job_id: int, run: int, length: int | None = None, progress: str | None = None
) -> tuple[int, bool] | None:
    """Renew the lease of a run.

    Args:
        length: milliseconds from now on; None: as many as it was claimed with.
        progress: how far the job is, as JSON; None: not told.

    Returns:
        Its worker, and whether somebody asked for the job to be cancelled; None when the run is not its worker's own
        any more.
    """
    params = {"id": job_id, "run": run, "lease": length, "now": tx.now}
    if progress is None:
        rows = tx.execute(sql.HEARTBEAT, params).fetchall()
    else:
        rows = tx.execute(sql.HEARTBEAT_PROGRESS, {**params, "progress": progress}).fetchall()
    return (rows[0][1], bool(rows[0][0])) if rows else None


class LeaseWatch:
    """What one process has seen of leases and clocks."""

    def __init__(self) -> None:
        self._offset: int | None = None
        self._suspects: dict[Lease, int] = {}
        self._waited = 0.0

    def distrust(self, waited: float) -> None:
        """For *waited* seconds nobody could renew, or this process was away: what is over then may yet be renewed.

        What was suspected before is suspected anew from then on: in that time it could not be renewed either.
        """
        self._waited = max(self._waited, waited)

    def is_still_over(self, lease: Lease) -> bool:
        """Whether a lease that :meth:`over` has found to be over is so all the same after what was waited since."""
        # a suspect that was found to be over has been seen unrenewed for its whole length
        return lease in self._suspects or not can_explain(self._waited, lease.length)

    def over(self, overdue: Sequence[Lease], implausible: Sequence[Lease], now: int, monotonic: int) -> list[Lease]:
        """Which leases are over.

        Args:
            overdue: leases that ended before *now*.
            implausible: leases that end later than any renewal now could make them.
            now: the system's clock, milliseconds.
            monotonic: a clock that is never set, milliseconds.
        """
        waited, self._waited = self._waited, 0.0
        stepped = self._offset is not None and abs(now - monotonic - self._offset) > STEP
        self._offset = now - monotonic
        doubtful = {
            *implausible,
            *(one for one in overdue if stepped or one in self._suspects or can_explain(waited, one.length)),
        }
        self._suspects = {
            one: monotonic if can_explain(waited, one.length) else self._suspects.get(one, monotonic)
            for one in doubtful
        }
        sure = [one for one in overdue if one not in doubtful]
        return sure + [one for one, since in self._suspects.items() if monotonic - since >= one.length]
