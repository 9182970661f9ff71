"""What happened to a job, told: who wanted it, what it waits for, how each run ended and why."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from clx.commands import on_database, resume_jobs
from clx.db.database import Database
from clx.db.jobs import Queue
from clx.db.models import Job
from clx.db.queries import LimitState
from clx.db.summary import wanted_by
from clx.jobtypes.registry import JOB_TYPES
from clx.settings.schema import JobsSettings
from clx.workers.supervision.status import WorkerStatus, worker_statuses

_STDERR_LINES = 8
_ALIVE = {"starting", "idle", "busy", "hung"}


def job_history(database: Database, job: Job, settings: JobsSettings) -> list[str]:
    """The lines that ``clx jobs show`` prints."""
    lines, queue = [_queued(database, job)], Queue(database)
    lines += [f"Another program wrote its row: {why}." for why in job.odd]
    if job.state == "queued" and job.expires_at is not None:
        lines.append(f"Is cancelled unless it has begun by {moment(job.expires_at)}.")
    runs = queue.runs(job.id)
    for run in runs:
        lines += run_words(run)
    match job.state:
        case "queued" if job.waits_for:
            return lines + _waits_for_others(queue, job)
        case "queued":
            return lines + _waits(database, job, runs, worker_statuses(database, settings))
        case "running":
            return lines + _runs(job, worker_statuses(database, settings), database.clock.now())
    return lines + _over(job)


def _queued(database: Database, job: Job) -> str:
    batches = wanted_by(database, job.id)
    who = ", ".join(f"batch {id_} ({name}, {state})" for id_, name, state in batches) or "nobody's batch"
    why = f" because: {job.payload['why']}" if job.is_readable and job.payload.get("why") else ""
    return f"Queued {moment(job.created_at)} for {who}; priority {job.priority}{why}."


def run_words(run: dict[str, Any]) -> list[str]:
    """How a run that is over went, and the last it said."""
    seconds = (run["ended_at"] - run["started_at"]) / 1000
    memory = f", peak memory {run['peak_memory'] >> 20} MiB" if run["peak_memory"] else ""
    lines = [f"Run {run['run']} on worker #{run['worker_id']}: {_outcome(run)} after {seconds:.1f} s{memory}."]
    if run["stderr"]:
        lines += [f"    {line}" for line in run["stderr"].splitlines()[-_STDERR_LINES:]]
    return lines


def _outcome(run: dict[str, Any]) -> str:
    outcome: str = run["outcome"]
    if outcome == "rescued":
        return f"rescued: {cause_words(run['cause'])}"
    if outcome == "failed":
        return f"failed: {(run['error'] or {}).get('message', 'no message')}".rstrip(".")
    return {"released": "handed back uncounted, its worker was stopped"}.get(outcome, outcome)


def cause_words(cause: dict[str, Any] | None) -> str:
    """How the worker of a rescued job ended."""
    kind = (cause or {}).get("kind")
    match kind:
        case "signal":
            memory = ", probably because memory ran out" if (cause or {}).get("memory") else ""
            return f"its worker was killed by {(cause or {}).get('signal')}{memory}"
        case "exit":
            return f"its worker ended with exit code {(cause or {}).get('code')}"
        case "oom":
            return "its worker ran out of memory and was killed"
        case "silent":
            return "its worker was silent until the lease ended"
        case "gone":
            return "its worker's process was gone"
        case _:
            return "its worker was lost"


def _waits_for_others(queue: Queue, job: Job) -> list[str]:
    needed = queue.get_many(queue.needs(job.id))
    told = ", ".join(f"{each.id} ({each.state})" for each in needed if each.state != "succeeded")
    return [f"Waits for {job.waits_for} other job(s) to succeed: {told}."]


def _waits(database: Database, job: Job, runs: list[dict[str, Any]], members: list[WorkerStatus]) -> list[str]:
    now, queue = database.clock.now(), Queue(database)
    if job.limit is not None and queue.is_held(job.id):
        limits = [each for each in queue.limits() if each.name == job.limit]
        return [f"Waits for its limit {_limit_words(each)}: {each.running} run, {each.held} wait." for each in limits]
    if any((each.type, each.pool) == (job.type, job.pool) for each in queue.paused()):
        return [
            f"Waits: jobs of the type {job.type} are paused.",
            f"Let them go on: {resume_jobs(job.type, job.pool, database.path)}",
        ]
    if job.not_before > now:
        why = "because the last one failed" if runs else "as asked for"
        return [f"Waits {(job.not_before - now) / 1000:.1f} s before run {job.run + 1} {why}."]
    # a retry, and a pause after a failure, are noted as the earliest moment of the next run
    queued_at = max(job.created_at, job.not_before, *(run["ended_at"] for run in runs))
    since = f"Waits for a {job.type} worker since {moment(queued_at)}"
    able = [
        each
        for each in members
        if job.type in each.takes and each.row.pool in {job.pool, job.pool.removesuffix("nested")}
    ]
    named = ", ".join(f"#{each.row.id} {each.status}" for each in able)
    if any(each.status in _ALIVE for each in able):
        there = "of its pool there are" if job.pool else "there are"
        return [f"{since}; {there}: {named}."]
    if job.pool.startswith("batch:"):
        return [f"{since}: only a worker of its build would take it, and there is none.", "Build again."]
    whose = f"worker of its pool ({job.pool})" if job.pool else "program that takes it"
    none = f"no {whose} is alive{f': {named}' if named else ''}"
    if job.type not in JOB_TYPES:
        return [f"{since}: {none}.", "Start the program that does them."]
    start = on_database("clx start-services", database.path)
    return [f"{since}: {none}.", f"Start some: {start}, or build again."]


def _limit_words(limit: LimitState) -> str:
    """A limit by its name and what it allows."""
    parts = [] if limit.concurrency is None else [f"{limit.concurrency} at a time"]
    if limit.rate is not None and limit.period is not None:
        parts.append(f"{limit.rate} within {limit.period / 1000:g} s")
    return f"{limit.name} ({', '.join(parts)})"


def _runs(job: Job, members: list[WorkerStatus], now: int) -> list[str]:
    since = (now - (job.started_at or job.created_at)) / 1000
    lines = [f"Run {job.run} on worker #{job.worker_id} goes on for {since:.1f} s."]
    worker = next((each for each in members if each.row.id == job.worker_id), None)
    if worker is None or worker.status in {"hung", "dead"}:
        why = worker.reason if worker else "it is not registered any more"
        lines.append(f"Its worker is {worker.status if worker else 'gone'} ({why}); the job is given to another soon.")
    if job.cancel_requested:
        lines.append("Somebody asked for it to be cancelled; its worker has not answered yet.")
    return lines


def _over(job: Job) -> list[str]:
    at = moment(job.finished_at or job.created_at)
    if job.state == "failed":
        error = job.error or {}
        lines = [f"Failed for good {at}: {error.get('message', 'no message')}"]
        return lines + ([str(error["next_step"])] if error.get("next_step") else [])
    message = (job.error or {}).get("message") if job.state == "cancelled" else None
    return [f"{job.state.capitalize()} {at}{f': {message}' if message else ''}."]


def moment(at: float) -> str:
    """A moment, in milliseconds UTC, by the clock of this machine."""
    return datetime.fromtimestamp(at / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")
