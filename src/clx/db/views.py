"""Looking at the queue as a whole: what waits, which batches are live, who wanted a job."""

from __future__ import annotations

from dataclasses import dataclass

from clx.db.clock import now_ms
from clx.db.database import Database


@dataclass(frozen=True, slots=True)
class Waiting:
    """Queued jobs of one type and pool.

    Attributes:
        count: how many may be claimed now.
        delayed: how many wait for their next try.
        since: when the oldest was queued, milliseconds UTC.
    """

    type: str
    pool: str
    count: int
    delayed: int
    since: int


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """A live batch and how far it is: number of jobs by state."""

    id: int
    name: str
    host: str
    pid: int
    created_at: int
    states: dict[str, int]


def waiting(database: Database, *, now: int | None = None) -> list[Waiting]:
    """What is queued, per type and pool."""
    rows = database.read(
        "SELECT type, pool, sum(not_before <= :now), sum(not_before > :now), min(created_at) FROM jobs "
        "WHERE state = 'queued' GROUP BY type, pool ORDER BY type, pool",
        {"now": now_ms() if now is None else now},
    )
    return [Waiting(*row) for row in rows]


def live_batches(database: Database) -> list[BatchProgress]:
    """Every live batch with the states of its jobs."""
    rows = database.read(
        "SELECT b.id, b.name, b.host, b.pid, b.created_at, j.state, count(j.id) FROM batches b "
        "LEFT JOIN batch_jobs bj ON bj.batch_id = b.id LEFT JOIN jobs j ON j.id = bj.job_id "
        "WHERE b.state = 'live' GROUP BY b.id, j.state ORDER BY b.id"
    )
    found: dict[int, BatchProgress] = {}
    for id_, name, host, pid, created_at, state, count in rows:
        progress = found.setdefault(id_, BatchProgress(id_, name, host, pid, created_at, {}))
        if state is not None:
            progress.states[state] = count
    return list(found.values())


def wanted_by(database: Database, job_id: int) -> list[tuple[int, str, str]]:
    """The batches that wanted a job: id, name and state, oldest first."""
    rows = database.read(
        "SELECT b.id, b.name, b.state FROM batch_jobs bj JOIN batches b ON b.id = bj.batch_id "
        "WHERE bj.job_id = ? ORDER BY b.id",
        (job_id,),
    )
    return [(row[0], row[1], row[2]) for row in rows]
