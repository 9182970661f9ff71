"""The state of a database at one moment, for ``clx workers`` and ``clx status``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psutil

from clx import __version__
from clx.commands import on_database
from clx.db.database import Database
from clx.db.identity import is_ours_to_judge
from clx.db.jobs import Queue
from clx.db.models import Job
from clx.db.summary import Waiting, live_batches, waiting
from clx.db.workers import WorkerRow, WorkerTable
from clx.jobtypes.registry import JOB_TYPES
from clx.settings.schema import ROUTINE_WORKERS, JobsSettings
from clx.workers.executors.docker.containers import container_states
from clx.workers.executors.spec import count_by_type
from clx.workers.liveness import is_within_reach, judge
from clx.workers.processes import is_stopped, pid_of
from clx.workers.supervision.build_workers import anew
from clx.workers.supervision.service_state import (
    service_workers,
    start_command,
    state_of,
    stop_command,
    supervisor_lives,
    supervisor_log,
    unkept_workers,
)


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker as it is now: its row, and what :func:`~clx.workers.liveness.judge` says of it."""

    row: WorkerRow
    status: str
    reason: str
    job: Job | None
    """What it works on."""
    uptime: float
    """Seconds."""
    memory: int | None
    """Bytes it and its helpers hold; None when it cannot be seen from here."""
    routines: tuple[str, ...] = ()
    """The tasks or workflows it takes; none for workers of one type."""

    @property
    def takes(self) -> tuple[str, ...]:
        """The job types it takes."""
        return (*self.row.types, *self.routines)

    @property
    def is_here(self) -> bool:
        """Whether it is this machine's, to watch and to end."""
        return is_within_reach(self.row)


def worker_statuses(
    database: Database, settings: JobsSettings, *, everybody: bool = False, now: int | None = None
) -> list[WorkerStatus]:
    """The workers of a database, by id; *everybody*: also those that have ended."""
    at = database.clock.now() if now is None else now
    rows = WorkerTable(database).list(live=not everybody)
    jobs = {job.id: job for job in Queue(database).get_many([row.job_id for row in rows if row.job_id is not None])}
    containers = container_states(database, rows)
    takes = {row.id: WorkerTable(database).routines(row.id) for row in rows if row.type in ROUTINE_WORKERS}
    return [_member(row, jobs.get(row.job_id or 0), settings, at, containers, takes.get(row.id, ())) for row in rows]


def _member(
    row: WorkerRow,
    job: Job | None,
    settings: JobsSettings,
    now: int,
    containers: Mapping[str, str] | None,
    routines: tuple[str, ...],
) -> WorkerStatus:
    status, reason, *_ = judge(row, now, settings, containers=containers, job=job)
    uptime = ((row.ended_at or now) - row.started_at) / 1000
    alive = row.ended_at is None and status != "dead"
    return WorkerStatus(row, status, reason, job, max(0.0, uptime), _memory(row) if alive else None, routines)


def _memory(row: WorkerRow) -> int | None:
    """Bytes that the worker's process and its helpers hold."""
    if row.mode != "direct" or not is_ours_to_judge(row.identity):
        return None
    try:
        process = psutil.Process(row.pid)
        return sum(_resident(each) for each in (process, *process.children(recursive=True)))
    except psutil.Error:
        return None


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


# -- the whole database ---------------------------------------------------------------------------


_STATUSES = ("idle", "busy", "stopping", "hung", "dead")


def status_of(database: Database, settings: JobsSettings) -> dict[str, Any]:
    """Everything ``clx status`` shows, as its JSON document; times in seconds.

    What cannot be read raises; it is never shown as zero.
    """
    members = worker_statuses(database, settings)
    queued = waiting(database)
    unserved = _unserved(members, queued)
    busy = any(member.status == "busy" for member in members)
    return {
        "database": database.name,
        "state": "working" if busy or len(queued) > len(unserved) else "waiting" if unserved else "idle",
        "workers": _workers(members),
        "queue": _queue(database, members, queued),
        "batches": _batches(database),
        "paused": _paused(database),
        "limits": [
            {"name": each.name, "running": each.running, "held": each.held} for each in Queue(database).limits()
        ],
        "services": _services(database),
        "warnings": [*_hung(members), *_odd(members), *_unkept(database), *_outdated(members, database), *unserved],
    }


def _workers(members: list[WorkerStatus]) -> dict[str, dict[str, int]]:
    found = {type_: dict.fromkeys(_STATUSES, 0) for type_ in JOB_TYPES}
    for member in members:
        numbers = found.setdefault(member.row.type, dict.fromkeys(_STATUSES, 0))
        numbers[member.status] = numbers.get(member.status, 0) + 1
    return found


def _queue(database: Database, members: list[WorkerStatus], queued: list[Waiting]) -> dict[str, dict[str, Any]]:
    queue, found = Queue(database), {}
    for type_, states in queue.stats(list(JOB_TYPES)).items():
        mean = queue.mean_seconds(type_)
        able = sum(1 for each in members if each.row.type == type_ and each.status in {"idle", "busy"})
        left = states.get("queued", 0) + states.get("running", 0)
        found[type_] = {
            "queued": sum(each.count for each in queued if each.type == type_),
            "delayed": sum(each.delayed for each in queued if each.type == type_),
            "running": states.get("running", 0),
            "succeeded": states.get("succeeded", 0),
            "failed": states.get("failed", 0),
            "cancelled": states.get("cancelled", 0),
            "mean_seconds": None if mean is None else round(mean, 3),
            "seconds_left": round(left * mean / able, 1) if mean is not None and able and left else None,
        }
    return found


def _batches(database: Database) -> list[dict[str, Any]]:
    return [
        {
            "id": batch.id,
            "name": batch.name,
            "host": batch.host,
            "pid": batch.pid,
            "seconds": (database.clock.now() - batch.created_at) / 1000,
            "jobs": batch.states,
            "state": batch.state,
            "reason": batch.reason,
        }
        for batch in live_batches(database)
    ]


def _paused(database: Database) -> list[dict[str, Any]]:
    now = database.clock.now()
    return [
        {"type": each.type, "pool": each.pool, "seconds": max(0, now - each.paused_at) / 1000}
        for each in Queue(database).paused()
    ]


def _services(database: Database) -> dict[str, Any]:
    state = state_of(database.path)
    if state is None:
        return {"supervisor": None, "wanted": {}}
    supervisor = "running" if supervisor_lives(state) else "gone"
    return {"supervisor": supervisor, "wanted": count_by_type(state.wanted)}


def _unkept(database: Database) -> list[str]:
    """What keeps services from being what was asked for, each with what to type."""
    state = state_of(database.path)
    if state is None:
        return _without_supervisor(database)
    log = f"its log is {supervisor_log(database.state.path)}"
    again, end = start_command(state), stop_command(database.path)
    if not supervisor_lives(state):
        return [f"The supervisor of the services is gone ({log}): no worker is replaced. Type: {again}, or: {end}"]
    if is_stopped(state.supervisor):
        pid = pid_of(state.supervisor)
        return [f"The supervisor of the services is stopped: no worker is replaced. Type: kill -CONT {pid}, or: {end}"]
    given_up = {
        str(detail.get("type")): str(detail.get("fact"))
        for _, detail in WorkerTable(database).events(0, action="startup_failed", after=state.started_at)
    }
    there = Counter(row.key for row in service_workers(database))
    return [
        *(
            f"No more {type_} workers are started as services. {fact} ({log}). Type: {again}"
            for type_, fact in given_up.items()
        ),
        *(
            f"{there[each.key]} of {each.count} {each.type} worker(s) run as services; more are tried ({log})."
            for each in state.wanted
            if there[each.key] < each.count and each.type not in given_up
        ),
    ]


def _without_supervisor(database: Database) -> list[str]:
    """Service workers of which nothing tells but their rows."""
    rows = unkept_workers(database)
    if not rows:
        return []
    names = ", ".join(f"#{row.id}" for row in rows)
    told = (
        f"{len(rows)} service worker(s) run without a supervisor and without its state file: {names}; none is replaced"
    )
    return [f"{told}. Type: {on_database('clx workers cleanup', database.path)}"]


def _outdated(members: list[WorkerStatus], database: Database) -> list[str]:
    """Services of another version of CLX: no build of this one uses them."""
    others: dict[str, list[str]] = {}
    for each in members:
        if each.row.service is not None and each.row.version != __version__ and each.status != "dead":
            others.setdefault(each.row.version or "unknown", []).append(f"#{each.row.id}")
    again = anew(database.path)
    return [
        f"Service worker(s) {', '.join(names)} are of CLX {version}; this is {__version__}, whose builds do not use "
        f"them. Type: {again}"
        for version, names in others.items()
    ]


def _hung(members: list[WorkerStatus]) -> list[str]:
    return [
        f"Worker #{member.row.id} ({member.row.type}) is {member.status}: {member.reason}."
        for member in members
        if member.status in {"hung", "dead"}
    ]


def _odd(members: list[WorkerStatus]) -> list[str]:
    return [
        f"Another program wrote the row of worker #{each.row.id}: {'; '.join(each.row.odd)}. See: clx db check"
        for each in members
        if each.row.odd
    ]


def _unserved(members: list[WorkerStatus], queued: list[Waiting]) -> list[str]:
    """Jobs that no worker there is would ever take."""
    alive = [each for each in members if each.status in {"idle", "busy", "hung"}]
    served = {(type_, each.row.pool) for each in alive for type_ in each.takes}
    return [
        f"{each.count + each.delayed} {each.type} job(s) wait and no worker takes them. "
        + (
            "Start some: clx start-services, or build again."
            if each.type in JOB_TYPES
            else "Start the program that does them."
        )
        for each in queued
        if not {(each.type, each.pool), (each.type, each.pool.removesuffix("nested"))} & served
    ]
