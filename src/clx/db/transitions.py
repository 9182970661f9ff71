"""The arrows of the state machine, each as one function that runs inside somebody's transaction.

They take the connection first. Names of bells to ring once the transaction is committed are added to the
set *bells*; nothing here commits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from clx.db import statements as sql
from clx.db.backoff import backoff
from clx.db.records import Failure, Job, NewJob, OnConflict, Report, Success, decode, encode, encode_error, job_from_row
from clx.errors import JobExistsError, LostBatchError, LostWorkerError, QueueError, UnknownJobError

ENDED = "build"
"""The bell of whoever waits for jobs to end."""
UNWANTED = "cancel"
"""The bell of workers: a job that one of them runs is not wanted any more."""

# -- putting in -------------------------------------------------------------------------------------


def insert(connection: Any, job: NewJob, on_conflict: OnConflict, batch: int | None, now: int, bells: set[str]) -> int:
    """Enter *job*, or find the live one that has its key; returns the id.

    Raises:
        JobExistsError: a live job has its key and *on_conflict* does not say what to do about it.
        UnknownJobError: it needs a job that is not in the table.
    """
    live = None if job.key is None else connection.execute(sql.LIVE_BY_KEY, (job.pool, job.key)).fetchone()
    if live is None:
        return _insert_new(connection, job, batch, now, bells)
    job_id = int(live[0])
    if on_conflict == "raise" or (on_conflict == "replace" and live[1] == "running"):
        raise JobExistsError(job_id, live[1])
    if on_conflict == "replace":
        _replace(connection, job_id, job, batch, now, bells)
    else:
        connection.execute(sql.WANT_TOO, (int(batch is None), job_id))
    return job_id


def values(job: NewJob, waits_for: int, batch: int | None, now: int) -> tuple[Any, ...]:
    """What :data:`~clx.db.statements.INSERT` wants."""
    return (
        job.type,
        job.pool,
        job.priority,
        5 - job.priority,
        encode(job.payload),
        job.key,
        job.max_runs,
        int(job.not_before <= now and not waits_for),
        job.not_before,
        sql.NO_TIME if job.deadline is None else job.deadline,
        job.timeout,
        now,
        waits_for,
        int(batch is None),
    )


def _insert_new(connection: Any, job: NewJob, batch: int | None, now: int, bells: set[str]) -> int:
    needed = _needed(connection, job.needs)
    waits_for = sum(1 for state in needed.values() if state != "succeeded")
    job_id = int(connection.execute(sql.INSERT, values(job, waits_for, batch, now)).lastrowid)
    _note_needs(connection, job_id, needed, now, bells)
    return job_id


def _replace(connection: Any, job_id: int, job: NewJob, batch: int | None, now: int, bells: set[str]) -> None:
    needed = _needed(connection, job.needs)
    if needed and connection.execute(sql.WAITS_FOR, (encode(list(needed)), job_id)).fetchone():
        raise QueueError(
            f"Job {job_id} would wait for itself: what it is to need waits for it.", "Name other jobs as its needs."
        )
    waits_for = sum(1 for state in needed.values() if state != "succeeded")
    connection.execute("DELETE FROM dependencies WHERE job_id = ?", (job_id,))
    connection.execute(sql.REPLACE, (*values(job, waits_for, batch, now), job_id))
    _note_needs(connection, job_id, needed, now, bells)


def _needed(connection: Any, needs: Iterable[int]) -> dict[int, str]:
    """State by id of the jobs that a new one needs."""
    found = {}
    for needs_id in needs:
        row = connection.execute("SELECT state FROM jobs WHERE id = ?", (needs_id,)).fetchone()
        if row is None:
            raise UnknownJobError(needs_id)
        found[needs_id] = row[0]
    return found


def _note_needs(connection: Any, job_id: int, needed: Mapping[int, str], now: int, bells: set[str]) -> None:
    if needed:
        connection.executemany(sql.NEED, [(job_id, needs_id) for needs_id in needed])
        _end_where_a_need_failed(connection, job_id, needed, now, bells)


def _end_where_a_need_failed(
    connection: Any, job_id: int, needed: Mapping[int, str], now: int, bells: set[str]
) -> None:
    for needs_id, state in needed.items():
        if state in {"failed", "cancelled"}:
            error = encode(_need_not_met(needs_id, state))
            connection.execute(sql.FAIL if state == "failed" else sql.CANCEL, (now, error, job_id))
            _end_dependents(connection, job_id, state, now, bells)
            return


def insert_all(
    connection: Any, jobs: Sequence[NewJob], on_conflict: OnConflict, batch: int | None, now: int, bells: set[str]
) -> list[int]:
    """Enter *jobs*; returns their ids. Many that nothing hinges on go in with one statement."""
    if len(jobs) == 1 or any(job.key is not None or job.needs for job in jobs):
        return [insert(connection, job, on_conflict, batch, now, bells) for job in jobs]
    if not jobs:
        return []
    connection.executemany(sql.INSERT, [values(job, 0, batch, now) for job in jobs])
    # AUTOINCREMENT numbers rise by one within a transaction, and nobody else writes meanwhile
    last = int(connection.execute("SELECT last_insert_rowid()").fetchone()[0])
    return list(range(last - len(jobs) + 1, last + 1))


def keep_open(connection: Any, batch: int) -> None:
    """See that *batch* takes jobs, and that it calls nobody back before it has got them (:func:`want`).

    Raises:
        LostBatchError: it has ended.
    """
    if not connection.execute(sql.KEEP_OPEN, (batch,)).fetchall():
        raise LostBatchError(f"Batch {batch} has ended; it takes no more jobs.", "Build again.")


def want(connection: Any, batch: int, ids: Sequence[int], now: int, bells: set[str]) -> None:
    """Note that *batch* wants these jobs; where none of its jobs is left to wait for, it calls back."""
    connection.executemany(sql.WANT, [(batch, id_) for id_ in ids])
    for pending, callback in connection.execute(sql.COUNT_PENDING, (batch,)).fetchall():
        if pending == 0:
            call_back(connection, batch, callback, now, bells)


# -- claiming ---------------------------------------------------------------------------------------


def claim(
    connection: Any,
    worker: int,
    types: Sequence[str],
    pool: str,
    n: int,
    lease: int,
    now: int,
    bells: set[str],
    *,
    harmless: bool,
) -> list[Job]:
    """Give up to *n* queued jobs to *worker*.

    Args:
        harmless: give at most one that has killed a worker, or that has a single run, and that one first.

    Raises:
        LostWorkerError: the worker was struck off.
    """
    live, due = connection.execute(sql.MAY_CLAIM, {"worker": worker, "now": now}).fetchone()
    if not live:
        raise LostWorkerError(f"Worker {worker} was struck off and may not claim jobs.", "Register it again.")
    if due:
        bells.update(row[0] for row in connection.execute(sql.PROMOTE, (now,)).fetchall())
    several = sql.CLAIM_HARMLESS if harmless else sql.CLAIM_MANY
    taken: list[Job] = []
    for type_ in types:
        params = {"worker": worker, "lease": lease, "now": now, "pool": pool, "type": type_}
        if not taken and (harmless or n == 1):
            taken = [job_from_row(row) for row in connection.execute(sql.CLAIM_ONE, params).fetchall()]
            if harmless and taken and (taken[0].kills or taken[0].max_runs == 1):
                break
        if len(taken) < n:
            rows = connection.execute(several, {**params, "n": n - len(taken)}).fetchall()
            taken += sorted((job_from_row(row) for row in rows), key=_claim_order)
        if len(taken) >= n:
            break
    return taken


def _claim_order(job: Job) -> tuple[int, int, int, int]:
    deadline = sql.NO_TIME if job.deadline is None else job.deadline
    return (int(job.kills >= 2), -job.priority, deadline, job.id)


def account(connection: Any, worker: int, now: int, *, succeeded: int = 0, failed: int = 0) -> None:
    """Count the jobs a worker ended, and note that it lived at *now*.

    What it holds at a moment is asked of the jobs, not kept beside them.
    """
    connection.execute(sql.ACCOUNT, (succeeded, failed, now, worker))


# -- what workers report ------------------------------------------------------------------------------


def succeed(connection: Any, report: Success, encoded: str, now: int, bells: set[str]) -> int | None:
    """End a run well; returns the worker that did it, or None when the run is not its own any more."""
    params = {"id": report.job_id, "run": report.run, "now": now, "result": encoded}
    rows = connection.execute(sql.SUCCEED, params).fetchall()
    if not rows:
        return None
    worker, started_at, key, type_ = rows[0]
    connection.execute(
        sql.RECORD,
        (report.job_id, report.run, worker, started_at, now, "succeeded", None, None, None, report.peak_memory),
    )
    if key is not None:
        connection.execute(sql.KEEP_RESULT, (key, type_, encoded, now, now))
    _unlock(connection, report.job_id, now, bells)
    return int(worker)


def fail(
    connection: Any, report: Failure, now: int, bells: set[str]
) -> tuple[int, Literal["queued", "failed", "cancelled"]] | None:
    """End a run badly; returns its worker and what the job is now, or None when the run is not its own any more."""
    run = running(connection, report.job_id, report.run)
    if run is None:
        return None
    error = encode_error(report.error)
    again = report.retry and run.counted < run.max_runs
    state: Literal["queued", "failed", "cancelled"] = "failed"
    if again and run.cancel_requested:
        state = "cancelled"
        connection.execute(sql.CANCEL, (now, error, run.job_id))
    elif again:
        state = "queued"
        wait = backoff(run.counted) if report.backoff is None else report.backoff
        connection.execute(sql.REQUEUE_FAILED, (int(wait <= 0), now + wait, error, run.job_id))
        bells.add(run.type)
    else:
        connection.execute(sql.FAIL, (now, error, run.job_id))
    _record(connection, run, now, "failed", error=error, stderr=report.stderr, peak_memory=report.peak_memory)
    if state != "queued":
        _end_dependents(connection, run.job_id, state, now, bells)
    return run.worker, state


def settle_one(
    connection: Any,
    report: Report,
    encoded: str,
    now: int,
    bells: set[str],
    tally: dict[str, int],
    lost: list[Report],
) -> None:
    """Take one report: count it in *tally*, or note it as *lost*."""
    if isinstance(report, Success):
        if succeed(connection, report, encoded, now, bells) is None:
            lost.append(report)
        else:
            tally["succeeded"] += 1
    elif fail(connection, report, now, bells) is None:
        lost.append(report)
    else:
        tally["failed"] += 1


class Running(NamedTuple):
    """A run that is still its worker's own."""

    worker: int
    started_at: int
    released: int
    kills: int
    max_runs: int
    type: str
    cancel_requested: int
    job_id: int
    run: int

    @property
    def counted(self) -> int:
        """Runs that count against ``max_runs``, this one included."""
        return self.run - self.released


def running(connection: Any, job_id: int, run: int) -> Running | None:
    """The run, or None when it is not its worker's own any more."""
    found = connection.execute(sql.RUNNING, {"id": job_id, "run": run}).fetchone()
    return None if found is None else Running._make((*found, job_id, run))


def _record(
    connection: Any,
    run: Running,
    now: int,
    outcome: str,
    *,
    error: str | None = None,
    cause: str | None = None,
    stderr: str | None = None,
    peak_memory: int | None = None,
) -> None:
    connection.execute(
        sql.RECORD,
        (run.job_id, run.run, run.worker, run.started_at, now, outcome, error, cause, stderr, peak_memory),
    )


def release(connection: Any, job_id: int, run: int, now: int, bells: set[str]) -> bool:
    """Hand a running job back uncounted; false when the run is not its worker's own any more.

    A job that somebody asked to be cancelled ends instead of waiting again. That is also how a worker ends a
    job it was told to cancel: where it is wanted again meanwhile, it waits.
    """
    held = running(connection, job_id, run)
    if held is None:
        return False
    if held.cancel_requested:
        connection.execute(sql.CANCEL, (now, None, job_id))
        _end_dependents(connection, job_id, "cancelled", now, bells)
    else:
        connection.execute(sql.REQUEUE_RELEASED, (job_id,))
        bells.add(held.type)
    _record(connection, held, now, "cancelled" if held.cancel_requested else "released")
    bells.add(ENDED)
    return True


def rescue(
    connection: Any, job_id: int, run: int, cause: Mapping[str, Any], stderr: str | None, now: int, bells: set[str]
) -> bool:
    """Take one run from a worker that is gone; false when it has ended meanwhile."""
    held = running(connection, job_id, run)
    if held is None:
        return False
    kills, state = held.kills + 1, "queued"
    if held.cancel_requested:
        state = "cancelled"
        connection.execute(sql.CANCEL, (now, None, job_id))
    elif held.counted < held.max_runs:
        # after a first kill the job is retried at once; from the second on it is claimed last
        connection.execute(sql.REQUEUE_RESCUED, (kills, sql.CLAIMED_LAST if kills == 2 else 0, job_id))
        bells.add(held.type)
    else:
        state = "failed"
        connection.execute(sql.COUNT_KILL, (kills, job_id))
        connection.execute(sql.FAIL, (now, encode(_killer(job_id, kills, cause)), job_id))
    _record(connection, held, now, "rescued", cause=encode(cause), stderr=stderr)
    account(connection, held.worker, 0, failed=1)  # at no moment: its worker has given no sign of life
    if state != "queued":
        _end_dependents(connection, job_id, state, now, bells)
    bells.add(ENDED)
    return True


def _killer(job_id: int, kills: int, cause: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "WorkerKilled",
        "message": f"killed its worker {kills} times" if kills > 1 else "killed its worker",
        "next_step": f"See `clx jobs show {job_id}` for the cause of each run.",
        "cause": dict(cause),
    }


# -- cancelling and retrying --------------------------------------------------------------------------


def request_cancel(connection: Any, job_id: int, now: int, bells: set[str]) -> bool:
    """Cancel a queued job, or leave word for the worker of a running one; true when it is cancelled now."""
    row = connection.execute("SELECT state FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None or row[0] not in {"queued", "running"}:
        return False
    if row[0] == "queued":
        connection.execute(sql.CANCEL, (now, None, job_id))
        _end_dependents(connection, job_id, "cancelled", now, bells)
        return True
    connection.execute(sql.REQUEST_CANCEL, (job_id,))
    bells.add(UNWANTED)
    return False


def retry(connection: Any, job_ids: Sequence[int], now: int, bells: set[str]) -> list[int]:
    """Queue failed and cancelled jobs again with all their runs; returns those that are queued now.

    One whose need has failed and is not tried again with it ends as it had ended.

    Raises:
        JobExistsError: another live job has the key of one of them.
    """
    again = [id_ for id_ in dict.fromkeys(job_ids) if _requeue(connection, id_, now, bells)]
    for job_id in again:
        needs = dict(connection.execute(sql.UNMET_NEEDS, (job_id,)).fetchall())
        if connection.execute(sql.AWAIT_NEEDS, {"id": job_id, "waits_for": len(needs)}).fetchall():
            _end_where_a_need_failed(connection, job_id, needs, now, bells)  # else it ended with one before it
    left = {row[0] for row in connection.execute(sql.STILL_QUEUED, (encode(again),)).fetchall()}
    return [id_ for id_ in again if id_ in left]


def _requeue(connection: Any, job_id: int, now: int, bells: set[str]) -> bool:
    row = connection.execute("SELECT state, type, pool, key FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None or row[0] not in {"failed", "cancelled"}:
        return False
    live = None if row[3] is None else connection.execute(sql.LIVE_BY_KEY, (row[2], row[3])).fetchone()
    if live is not None:
        raise JobExistsError(int(live[0]), live[1])
    connection.execute(sql.RETRY, {"id": job_id, "now": now})
    connection.execute(sql.COUNT_UP, (job_id,))
    bells.add(row[1])
    return True


# -- what follows from an end -------------------------------------------------------------------------


def _unlock(connection: Any, job_id: int, now: int, bells: set[str]) -> None:
    """A job succeeded: those that wait only for it can be claimed."""
    needed, awaited = connection.execute(sql.MATTERS, (job_id,)).fetchone()
    if needed:
        bells.update(row[0] for row in connection.execute(sql.UNLOCK, {"id": job_id, "now": now}).fetchall())
    if awaited:
        _count_down(connection, job_id, now, bells)


def _end_dependents(connection: Any, job_id: int, state: str, now: int, bells: set[str]) -> None:
    """A job ended otherwise: everything that waits for it, near and far, ends the same way with the cause."""
    ended = [job_id]
    while ended:
        needs_id = ended.pop()
        _count_down(connection, needs_id, now, bells)
        for (dependent,) in connection.execute(sql.DEPENDENTS, (needs_id,)).fetchall():
            error = encode(_need_not_met(needs_id, state))
            connection.execute(sql.FAIL if state == "failed" else sql.CANCEL, (now, error, dependent))
            ended.append(dependent)


def _need_not_met(needs_id: int, state: str) -> dict[str, Any]:
    return {
        "type": "NeedNotMet",
        "message": f"job {needs_id}, which it waits for, {'failed' if state == 'failed' else 'was cancelled'}",
        "next_step": f"See `clx jobs show {needs_id}`.",
        "cause": {"kind": "need", "job": needs_id, "state": state},
    }


def _count_down(connection: Any, job_id: int, now: int, bells: set[str]) -> None:
    """Batches with a callback have one job less to wait for; the last one queues the callback."""
    for batch_id, pending, callback in connection.execute(sql.COUNT_DOWN, (job_id,)).fetchall():
        if pending == 0:
            call_back(connection, batch_id, callback, now, bells)


def call_back(connection: Any, batch_id: int, callback: str, now: int, bells: set[str]) -> None:
    """Every job of a batch has ended: queue its callback with the counts, and close it."""
    fields = decode(callback)
    counts = {"succeeded": 0, "failed": 0, "cancelled": 0}
    counts |= dict(connection.execute(sql.BATCH_COUNTS, (batch_id,)).fetchall())
    job = NewJob(**{**fields, "payload": {**fields["payload"], "batch": {"id": batch_id, **counts}}})
    job_id = insert(connection, job, "return", None, now, bells)
    connection.execute(sql.BATCH_CALLED, (now, job_id, batch_id))
    bells.add(job.type)
