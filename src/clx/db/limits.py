"""Limits: how many jobs of one name run at a time, and how many begin within a time.

A claim takes rows without asking; only of those that count to a limit is it asked then whether there is room, with the
limit's row locked. What finds no room is put back as *held*: nobody claims it until a job of the limit ends, or the
window of its rate is over. Sweeps let go what should not be held any more, whatever happened in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from clx.db import statements as sql
from clx.db.models import Job
from clx.db.transaction import Transaction

SAFETY = 10 * 60_000
"""Milliseconds after which what is held is looked at again, even if nobody has let it go."""
_AHEAD = 200
"""Rows behind one that is held that are held with it, where they count to the same limit."""
_ALL = 1_000_000


class Limit(NamedTuple):
    """A limit as the table has it; ``period`` and ``window_at`` in milliseconds."""

    concurrency: int | None
    rate: int | None
    period: int | None
    window_at: int
    used: int

    def window(self, now: int) -> tuple[int, int]:
        """When the window of its rate that *now* lies in began, and how many have begun in it."""
        # one that lies ahead was begun before the clock was set back
        is_over = not self.window_at <= now < self.window_at + (self.period or 0)
        return (now, 0) if is_over else (self.window_at, self.used)

    def left(self, now: int) -> int:
        """How many may begin by its rate."""
        return _ALL if self.rate is None else max(0, self.rate - self.window(now)[1])


def lock(tx: Transaction, name: str) -> Limit | None:
    """The limit, which nobody else asks until this transaction ends; None: nothing limits."""
    row = tx.execute(tx.sql.limit, {"name": name}).fetchone()
    return None if row is None else Limit._make(row)


def admit(tx: Transaction, jobs: Sequence[Job]) -> list[Job]:
    """Those of *jobs*, just claimed, that their limits leave room for; the others are put back."""
    held: set[int] = set()
    for name in sorted({job.limit for job in jobs if job.limit is not None}):  # in one order, else a ring
        held |= _hold_back(tx, name, [job for job in jobs if job.limit == name])
    return [job for job in jobs if job.id not in held]


def _hold_back(tx: Transaction, name: str, mine: list[Job]) -> set[int]:
    limit = lock(tx, name)
    if limit is None:
        return set()
    room = min(len(mine), _free(tx, name, limit, ours=len(mine)), limit.left(tx.now))
    begun_at, used = limit.window(tx.now)
    if limit.rate is not None and room:
        used += room
        tx.execute(sql.USE_LIMIT, {"name": name, "window_at": begun_at, "used": used})
    until = tx.now + SAFETY
    for job in mine[room:]:
        tx.execute(sql.UNCLAIM, {"id": job.id, "held": 1, "until": until})
    for type_, pool in dict.fromkeys((job.type, job.pool) for job in mine[room:]):
        tx.execute(tx.sql.hold_ahead, {"name": name, "type": type_, "pool": pool, "until": until, "n": _AHEAD})
    if limit.rate is not None and limit.period is not None and used >= limit.rate:
        # as many as the next window takes: nobody has to end for them
        tx.execute(tx.sql.held_until, {"name": name, "until": begun_at + limit.period, "n": limit.rate})
    return {job.id for job in mine[room:]}


def _free(tx: Transaction, name: str, limit: Limit, *, ours: int = 0) -> int:
    """How many more may run; *ours* have just been claimed and are not counted."""
    if limit.concurrency is None:
        return _ALL
    running = tx.execute(tx.sql.running_of_limit, {"name": name}).fetchone()[0]
    return max(0, limit.concurrency - (int(running) - ours))


def free(tx: Transaction, name: str) -> None:
    """A job of a limit runs no more: the first one that it holds back may be claimed."""
    limit = lock(tx, name)
    if limit is None or limit.left(tx.now):
        _let_go(tx, name, 1)


def let_go(tx: Transaction, names: Sequence[str]) -> None:
    """Let as many be claimed as there is room for, whyever they are still held."""
    for name in names:
        limit = lock(tx, name)
        room = _ALL if limit is None else min(_free(tx, name, limit), limit.left(tx.now))
        if room > 0:
            _let_go(tx, name, room)
        if limit is not None and limit.concurrency is None and limit.rate is None:
            tx.execute(sql.REMOVE_LIMIT, {"name": name})


def _let_go(tx: Transaction, name: str, most: int) -> None:
    rows = tx.execute(tx.sql.let_held_go, {"name": name, "n": most, "now": tx.now}).fetchall()
    tx.bells.update(row[0] for row in rows)
