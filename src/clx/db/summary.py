"""Looking at the queue as a whole: what waits, which batches are live, who wanted a job."""

from __future__ import annotations

from dataclasses import dataclass

from clx.db.database import Database
from clx.db.identity import is_gone, is_ours_to_judge
from clx.db.odd_rows import Reader

_WAITING = Reader("jobs.type", "jobs.pool", "jobs.run", "jobs.run", "jobs.created_at")
_PROGRESS = Reader(
    *(f"batches.{name}" for name in ("id", "name", "host", "pid", "created_at", "identity", "lease_until")),
    "workers.reason",  # the state of its jobs; NULL where there are none
    "jobs.run",
)
_WANTED = Reader.of("batches", ("id", "name", "state", "identity", "lease_until"))


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
    """A batch that was not closed and how far it is: number of jobs by state.

    Attributes:
        state: ``live``; ``abandoned`` when its owner is gone or silent and nobody has swept it up yet.
        reason: why it is abandoned; empty otherwise.
    """

    id: int
    name: str
    host: str
    pid: int
    created_at: int
    states: dict[str, int]
    state: str
    reason: str


def waiting(database: Database) -> list[Waiting]:
    """What is queued, per type and pool."""
    rows = database.read(database.sql.waiting, {"now": database.clock.now()})
    return [Waiting(*_WAITING.read(row)[0]) for row in rows]


def owner_lost(identity: str, lease_until: int, now: int) -> str:
    """Why the owner of a live batch counts as lost; empty while it does not.

    The same judgement as :meth:`clx.db.batches.BatchTable.sweep`'s, for those who only read.
    """
    if is_gone(identity):
        return "its process is gone"
    return "its process is silent" if lease_until <= now and not is_ours_to_judge(identity) else ""


def live_batches(database: Database) -> list[BatchProgress]:
    """Every batch that was not closed, with the states of its jobs."""
    at = database.clock.now()
    rows = database.read(
        "SELECT b.id, b.name, b.host, b.pid, b.created_at, b.identity, b.lease_until, j.state, count(j.id) "
        "FROM batches b "
        "LEFT JOIN batch_jobs bj ON bj.batch_id = b.id LEFT JOIN jobs j ON j.id = bj.job_id "
        "WHERE b.state = 'live' GROUP BY b.id, j.state ORDER BY b.id"
    )
    found: dict[int, BatchProgress] = {}
    for row in rows:
        (id_, name, host, pid, created_at, identity, lease_until, state, count), _ = _PROGRESS.read(row)
        if id_ not in found:
            lost = owner_lost(identity, lease_until, at)
            found[id_] = BatchProgress(id_, name, host, pid, created_at, {}, "abandoned" if lost else "live", lost)
        progress = found[id_]
        if state is not None:
            progress.states[state] = count
    return list(found.values())


def wanted_by(database: Database, job_id: int) -> list[tuple[int, str, str]]:
    """The batches that wanted a job: id, name and state (as in :class:`BatchProgress`, or ``done``), oldest first."""
    at = database.clock.now()
    rows = database.read(
        "SELECT b.id, b.name, b.state, b.identity, b.lease_until FROM batch_jobs bj "
        "JOIN batches b ON b.id = bj.batch_id WHERE bj.job_id = ? ORDER BY b.id",
        (job_id,),
    )
    return [
        (id_, name, "abandoned" if state == "live" and owner_lost(identity, lease_until, at) else state)
        for id_, name, state, identity, lease_until in (_WANTED.read(row)[0] for row in rows)
    ]
