"""Does a worker still live? Asked here alone: of its process, its container's engine, its heartbeat, its job.

*Hung* means alive but silent, or over its job's time; *dead* means gone. What was judged dead is written down by
:func:`mark_dead`, and nothing else ends the rows of workers that this process has not started itself.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from clx.db.database import Database
from clx.db.identity import BY_LEASE, is_ours_to_judge
from clx.db.mark_dead import mark_worker_dead
from clx.db.models import Job
from clx.db.workers import WorkerRow, WorkerTable
from clx.settings.schema import JobsSettings
from clx.workers.process.directories import remove_work

log = logging.getLogger("clx.workers")

BEATS_MISSED = 3
"""Heartbeats after which a worker is shown as silent: one may be late on a busy machine, three are no accident."""
BEATS_OVERDUE = 1.5
"""Heartbeats after which one is late, so that whoever sweeps tries whether the table is locked."""
REMOVED = "removed"
"""The state of a container that the engine has had and does not have any more."""
_ENDS = {REMOVED: "was removed", "exited": "has ended", "dead": "has ended", "removing": "has ended"}


class Verdict(NamedTuple):
    """What is known of a worker."""

    status: str
    """``idle``, ``busy``, ``starting``, ``stopping``, ``stopped``, ``hung`` or ``dead``."""
    reason: str = ""
    """Why it is hung, dead or stopped."""
    cause: str = ""
    """Of one that is dead: what the runs of its jobs are recorded with. One only ``silent`` may yet speak up."""
    record: str = ""
    """The same in words, for its row."""


CONTAINER_REMOVED = Verdict("dead", "its container is gone", "container removed", "its container is gone")
"""What whoever has removed a worker's container knows of it."""


def judge(
    row: WorkerRow,
    now: int,
    jobs: JobsSettings | None,
    *,
    containers: Mapping[str, str] | None = None,
    job: Job | None = None,
) -> Verdict:
    """The status of a worker at *now*, milliseconds UTC.

    Args:
        jobs: how long it may be silent, and work on a job; None leaves that out: the table may have been locked.
        containers: state per container, where the engine was asked.
        job: what it works on, where that was looked up.
    """
    if row.ended_at is not None:
        return Verdict(row.state, row.reason or "")
    if row.identity == BY_LEASE:
        return Verdict(row.state)
    found = _by_process(row, now)
    if found is None and jobs is not None:
        found = by_engine(row, now, jobs, containers) or _by_heartbeat(row, now, jobs) or _by_job(row, now, jobs, job)
    return found or Verdict(row.state)


def _by_process(row: WorkerRow, now: int) -> Verdict | None:
    if not row.is_gone():
        return None
    if is_ours_to_judge(row.identity):
        return Verdict("dead", f"process {row.pid} is gone", "gone", "its process is gone")
    return _silent(row, now, "it was of an earlier boot of this machine")


def by_engine(row: WorkerRow, now: int, jobs: JobsSettings, containers: Mapping[str, str] | None) -> Verdict | None:
    """``dead`` or ``hung``, as the container engine sees it; None where it has nothing to say.

    A container that the engine does not know, and has not been seen to have, may be another engine's: it counts as
    gone only once it is silent.
    """
    if containers is None or row.mode != "docker" or row.container_id is None or not is_within_reach(row):
        return None
    state, name = containers.get(row.container_id), row.container_id[:12]
    if state == "paused":
        return Verdict("hung", f"its container is paused; type: docker unpause {name}")
    how = _ENDS.get(state or "", "")
    if state is None and now - row.heartbeat_at > BEATS_MISSED * jobs.heartbeat * 1000:
        how = "is gone"
    reason = f"its container {name} {how}"
    return Verdict("dead", reason, "gone", reason) if how else None


def _by_heartbeat(row: WorkerRow, now: int, jobs: JobsSettings) -> Verdict | None:
    ours, silent = is_ours_to_judge(row.identity), (now - row.heartbeat_at) / 1000
    if not ours and not is_heard(row, now, jobs):
        where = "in a container" if row.mode == "docker" else "not of this machine's present boot"
        if row.elsewhere_too and not is_within_reach(row):
            where = f"on {row.host}"
        return _silent(row, now, f"silent for {silent:.0f} s and {where}")
    if silent > BEATS_MISSED * jobs.heartbeat:
        return Verdict("hung", f"{'alive, but ' if ours else ''}silent for {silent:.0f} s")
    return None


def _silent(row: WorkerRow, now: int, reason: str) -> Verdict:
    """One that cannot be seen: it may only be paused."""
    return Verdict("dead", reason, "silent", f"it was silent for {(now - row.heartbeat_at) / 1000:.0f} s")


def _by_job(row: WorkerRow, now: int, jobs: JobsSettings, job: Job | None) -> Verdict | None:
    if job is None or job.state != "running" or job.worker_id != row.id:
        return None
    limit = time_limit(job, jobs)
    runs = (now - (job.started_at or now)) / 1000
    return Verdict("hung", f"job {job.id} has run for {runs:.0f} s; {limit:g} s are allowed") if runs > limit else None


def time_limit(job: Job, jobs: JobsSettings) -> float:
    """Seconds that a run of a job may take."""
    return jobs.timeout if job.timeout is None else job.timeout / 1000


def is_heard(row: WorkerRow, now: int, jobs: JobsSettings) -> bool:
    """Whether a worker was heard of within a lease; who was not is given up on where nobody can see it."""
    return row.heartbeat_at >= now - int(jobs.lease * 1000)


def is_within_reach(row: WorkerRow) -> bool:
    """Whether a worker can be ended from here: by this machine's container engine, or as a process of it."""
    if row.mode == "docker":
        return not row.elsewhere_too or row.host == platform.node()
    return is_ours_to_judge(row.identity)


def is_serving(row: WorkerRow, now: int, jobs: JobsSettings) -> bool:
    """Whether a worker takes jobs now, as far as can be seen from here."""
    return row.state in {"idle", "busy"} and is_heard(row, now, jobs) and not row.is_gone()


def mark_dead(database: Database, judged: Iterable[tuple[WorkerRow, Verdict]]) -> list[int]:
    """End the rows of those that were judged dead: their jobs go to others, their job directories are removed.

    Returns:
        Their ids, without those that were only silent and have spoken up since.
    """
    marked = []
    for row, verdict in judged:
        heard = row.heartbeat_at if verdict.cause == "silent" else None
        if verdict.status == "dead" and mark_worker_dead(
            database, row.id, {"kind": verdict.cause}, verdict.record, heard=heard
        ):
            remove_work(database, row.id)
            marked.append(row.id)
    return marked


def mark_lost(database: Database, jobs: JobsSettings | None = None, *, spare: Collection[int | None] = ()) -> list[int]:
    """Mark dead whose process is gone and, by their lease, who cannot be seen from here; returns their ids.

    Args:
        jobs: how long the latter may be silent; None leaves them alone.
        spare: workers this process started: it reaps them and knows how they ended.
    """
    marked, now = [], database.clock.now()
    for row in WorkerTable(database).list():
        verdict = judge(row, now, jobs)
        if row.id not in spare and mark_dead(database, [(row, verdict)]):
            marked.append(row.id)
            extra = {"action": "worker_dead", "worker": row.id, "type": row.type}
            log.warning("worker %s is struck off: %s", row.id, verdict.record, extra=extra)
    return marked
