"""The arrows of the state machine, each as one function that runs inside somebody's transaction.

They take the :class:`~clx.db.transaction.Transaction` first; nothing here commits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from clx.db import statements as sql
from clx.db.backoff import backoff
from clx.db.doorbell import of_end
from clx.db.records import Failure, Job, NewJob, OnConflict, Report, Success, decode, encode, encode_error, job_from_row
from clx.db.transaction import Transaction
from clx.errors import JobExistsError, LostBatchError, LostWorkerError, QueueError, UnknownJobError

ENDED = "build"
"""The bell of whoever watches all work; whoever waits for certain jobs has bells of their own (``of_end``)."""
UNWANTED = "cancel"
"""The bell of workers: a job that one of them runs is not wanted any more."""

# -- putting in -------------------------------------------------------------------------------------


def insert(tx: Transaction, job: NewJob, on_conflict: OnConflict, batch: int | None) -> int:
    """Enter *job*, or find the live one that has its key; returns the id.

    Raises:
        JobExistsError: a live job has its key and *on_conflict* does not say what to do about it.
        UnknownJobError: it needs a job that is not in the table.
    """
    live = None
    if job.key is not None:
        live = tx.execute(sql.LIVE_BY_KEY, (job.pool, job.type, job.key)).fetchone()
    if live is None:
        return _insert_new(tx, job, batch)
    job_id, state = int(live[0]), live[1]
    if on_conflict == "raise" or (on_conflict == "replace" and state == "running"):
        raise JobExistsError(job_id, state)
    if on_conflict == "after" and (state == "running" or tx.execute(sql.BEHIND, (job_id,)).fetchone()):
        return _insert_behind(tx, job_id, job, batch)
    if on_conflict == "return":
        tx.execute(sql.WANT_TOO, (int(batch is None), job_id))
    else:  # "after" too: who has not begun yet may as well do what is wanted now
        _replace(tx, job_id, job, batch)
    return job_id


def _insert_behind(tx: Transaction, first: int, job: NewJob, batch: int | None) -> int:
    """Enter *job* behind the one of its key that runs, or ran; one that waits there already becomes this one."""
    row = tx.execute(sql.BEHIND, (first,)).fetchone()
    if row is None:
        return _insert_new(tx, job, batch, behind=first)
    _replace(tx, int(row[0]), job, batch, behind=first)
    return int(row[0])


def values(job: NewJob, waits_for: int, batch: int | None, now: int, behind: int | None = None) -> tuple[Any, ...]:
    """What :data:`~clx.db.statements.INSERT` wants; *waits_for* counts the job's needs."""
    waits_for += behind is not None
    not_before: Any = job.not_before
    return (
        job.type,
        job.pool,
        job.priority,
        5 - job.priority,
        encode(job.payload),
        job.key,
        job.max_runs,
        int(not_before <= now and not waits_for),
        not_before,
        sql.NO_TIME if job.deadline is None else job.deadline,
        job.timeout,
        now,
        waits_for,
        int(batch is None),
        behind,
    )


def _insert_new(tx: Transaction, job: NewJob, batch: int | None, behind: int | None = None) -> int:
    if not job.needs:
        return tx.insert(sql.INSERT, values(job, 0, batch, tx.now, behind))
    needed = _needed(tx, job.needs)
    waits_for = sum(1 for state in needed.values() if state != "succeeded")
    job_id = tx.insert(sql.INSERT, values(job, waits_for, batch, tx.now, behind))
    _note_needs(tx, job_id, needed)
    return job_id


def _replace(
    tx: Transaction,
    job_id: int,
    job: NewJob,
    batch: int | None,
    behind: int | None = None,
) -> None:
    needed = _needed(tx, job.needs)
    if needed and tx.execute(tx.sql.needed_by, {"needs": encode(list(needed)), "id": job_id}).fetchone():
        raise QueueError(
            f"Job {job_id} would wait for itself: what it is to need waits for it.", "Name other jobs as its needs."
        )
    waits_for = sum(1 for state in needed.values() if state != "succeeded")
    tx.execute("DELETE FROM dependencies WHERE job_id = ?", (job_id,))
    tx.execute(sql.REPLACE, (*values(job, waits_for, batch, tx.now, behind), job_id))
    _note_needs(tx, job_id, needed)


def _needed(tx: Transaction, needs: Iterable[int]) -> dict[int, str]:
    """State by id of the jobs that a new one needs."""
    found = {}
    for needs_id in needs:
        row = tx.execute("SELECT state FROM jobs WHERE id = ?", (needs_id,)).fetchone()
        if row is None:
            raise UnknownJobError(needs_id)
        found[needs_id] = row[0]
    return found


def _note_needs(tx: Transaction, job_id: int, needed: Mapping[int, str]) -> None:
    if needed:
        tx.executemany(sql.NEED, [(job_id, needs_id) for needs_id in needed])
        _end_where_a_need_failed(tx, job_id, needed)


def _end_where_a_need_failed(tx: Transaction, job_id: int, needed: Mapping[int, str]) -> None:
    for needs_id, state in needed.items():
        if state in {"failed", "cancelled"}:
            error = encode(_need_not_met(needs_id, state))
            tx.execute(sql.FAIL if state == "failed" else sql.CANCEL, (tx.now, error, job_id))
            _end_dependents(tx, job_id, state)
            return


def insert_all(tx: Transaction, jobs: Sequence[NewJob], on_conflict: OnConflict, batch: int | None) -> list[int]:
    """Enter *jobs*; returns their ids. Many that nothing hinges on go in with one statement."""
    if len(jobs) == 1 or any(job.key is not None or job.needs for job in jobs):
        return [insert(tx, job, on_conflict, batch) for job in jobs]
    if not jobs:
        return []
    return tx.insert_many(sql.INSERT, [values(job, 0, batch, tx.now) for job in jobs])


def keep_open(tx: Transaction, batch: int) -> None:
    """See that *batch* takes jobs, and that it calls nobody back before it has got them (:func:`want`).

    Raises:
        LostBatchError: it has ended.
    """
    if not tx.execute(sql.KEEP_OPEN, (batch,)).fetchall():
        raise LostBatchError(f"Batch {batch} has ended; it takes no more jobs.", "Build again.")


def want(tx: Transaction, batch: int, ids: Sequence[int]) -> None:
    """Note that *batch* wants these jobs; where none of its jobs is left to wait for, it calls back."""
    tx.executemany(sql.WANT, [(batch, id_) for id_ in ids])
    for pending, callback in tx.execute(sql.COUNT_PENDING, (batch,)).fetchall():
        if pending == 0:
            call_back(tx, batch, callback)


# -- claiming ---------------------------------------------------------------------------------------


def claim(
    tx: Transaction,
    worker: int,
    types: Sequence[str],
    pool: str,
    n: int,
    lease: int,
    *,
    harmless: bool,
    promote: bool = True,
) -> tuple[list[Job], bool]:
    """Give up to *n* queued jobs to *worker*, in claim order over all *types*.

    A job that nobody can read is failed with the reason instead.

    Args:
        harmless: give at most one that was rescued before, or that has a single run, and that one first.
        promote: let delayed jobs that are due take part; else only where no other is left.

    Returns:
        The jobs, and whether so many delayed ones were due that some were left for the next time.

    Raises:
        LostWorkerError: the worker was struck off.
    """
    live, due = tx.execute(sql.MAY_CLAIM, {"worker": worker, "now": tx.now}).fetchone()
    if not live:
        raise LostWorkerError(f"Worker {worker} was struck off and may not claim jobs.", "Register it again.")
    params = {"worker": worker, "lease": lease, "until": tx.now + lease, "now": tx.now, "pool": pool}
    flooded = bool(due) and promote and _promote(tx)
    taken = _take_readable(tx, types, params, n, harmless=harmless)
    if due and not promote and not taken:
        flooded = _promote(tx)
        taken = _take_readable(tx, types, params, n, harmless=harmless)
    return taken, flooded


def _promote(tx: Transaction) -> bool:
    """Let delayed jobs that are due be claimed; returns whether there may be more."""
    promoted = tx.execute(sql.PROMOTE, (tx.now, sql.PROMOTED)).fetchall()
    tx.bells.update(row[0] for row in promoted)
    return len(promoted) == sql.PROMOTED


def _take_readable(
    tx: Transaction, types: Sequence[str], params: dict[str, Any], n: int, *, harmless: bool
) -> list[Job]:
    taken: list[Job] = []
    while len(taken) < n:
        alone = harmless and not taken
        wanted = 1 if alone else n - len(taken)
        params["n"] = wanted
        found = _take(tx, types, params, harmless=harmless and not alone)
        if not found:
            break
        readable = [job for job in found if not job.odd]
        if len(readable) < len(found):
            put_aside(tx, {job.id: job.odd for job in found if job.odd})
        taken += readable
        if alone and readable and (readable[0].rescues or readable[0].max_runs == 1):
            break
        if len(readable) == len(found) and not alone:
            break  # there are no more
    return taken


def _take(tx: Transaction, types: Sequence[str], params: dict[str, Any], *, harmless: bool) -> list[Job]:
    """Give the first jobs of *types* to a worker; in claim order."""
    n = params["n"]
    if len(types) == 1:
        one = tx.sql.claim_harmless if harmless else tx.sql.claim_one if n == 1 else tx.sql.claim_many
        params["type"] = types[0]
        rows = tx.execute(one, params).fetchall()
        jobs = [job_from_row(row, quickly=True) for row in rows]
        return sorted(jobs, key=_claim_order) if n > 1 else jobs
    first = tx.sql.next_harmless if harmless else tx.sql.next
    queued = [row for type_ in dict.fromkeys(types) for row in tx.execute(first, {**params, "type": type_}).fetchall()]
    ids = [row[2] for row in sorted(queued, key=_numbers_first)[:n]]
    if not ids:
        return []
    rows = tx.execute(tx.sql.claim_these, {**params, "ids": encode(ids)}).fetchall()
    by_id = {row[0]: job_from_row(row, quickly=True) for row in rows}
    return [by_id[id_] for id_ in ids]


def _claim_order(job: Job) -> tuple[int, int, int, int]:
    deadline = sql.NO_TIME if job.deadline is None else job.deadline
    return (int(job.rescues >= 2), -job.priority, deadline, job.id)


def _numbers_first(row: tuple[Any, ...]) -> list[tuple[bool, Any]]:
    """A sort key as SQLite orders: what is no number, which only other programs write, comes last."""
    return [(False, value) if isinstance(value, int | float) else (True, 0) for value in row]


def put_aside(tx: Transaction, odd: Mapping[int, Sequence[str]]) -> None:
    """Fail live jobs whose rows another program wrote, each with what is odd; nothing is asked of their odd values."""
    for job_id, why in odd.items():
        error = {
            "type": "Unreadable",
            "message": f"Another program wrote its row: {'; '.join(why)}",
            "next_step": f"See `clx jobs show {job_id}`.",
        }
        params = {"id": job_id, "now": tx.now, "error": encode_error(error)}
        tx.execute(sql.RECORD_ODD, params)
        tx.execute(sql.FAIL_ODD, params)
    for job_id in odd:  # not before: one of them may need another, and SQLite would refuse to change it as usual
        _end_dependents(tx, job_id, "failed")
        tx.bells.add(ENDED)


def account(tx: Transaction, worker: int, *, succeeded: int = 0, failed: int = 0, is_alive: bool = True) -> None:
    """Count the jobs a worker ended, and note that it lives.

    What it holds at a moment is asked of the jobs, not kept beside them.
    """
    heard = tx.now if is_alive else 0
    tx.execute(sql.ACCOUNT, (succeeded, failed, heard, heard, worker))


# -- what workers report ------------------------------------------------------------------------------


def succeed(tx: Transaction, report: Success, encoded: str) -> int | None:
    """End a run well; returns the worker that did it, or None when the run is not its own any more.

    A run that was taken from its worker because of silence alone counts after all, when it is the newest.
    """
    params = {"id": report.job_id, "run": report.run, "now": tx.now, "result": encoded}
    rows = tx.execute(sql.SUCCEED, params).fetchall()
    if not rows:
        return _succeed_late(tx, report, params)
    worker, started_at, key, type_ = rows[0]
    begun = _begun(tx, started_at)
    told = (report.job_id, report.run, worker, begun, tx.now, "succeeded", None, None, None, report.peak_memory)
    tx.execute(sql.RECORD, told)
    _keep_and_unlock(tx, report.job_id, key, type_, encoded)
    return int(worker)


def _begun(tx: Transaction, started_at: int | None) -> int:
    """When a run began; it may be missing where another program wrote the job's row."""
    return tx.now if started_at is None else started_at


def _succeed_late(tx: Transaction, report: Success, params: dict[str, Any]) -> int | None:
    found = tx.execute(sql.LATE, params).fetchone()
    if found is None:
        return None
    state, worker, outcome, key, type_ = found
    tx.execute(sql.SUCCEED_LATE, params)
    tx.execute(sql.RECORD_LATE, {**params, "peak_memory": report.peak_memory})
    if outcome == "rescued":  # its silence had been counted as a failure
        account(tx, worker, failed=-1)
    if state == "failed":  # what waited for it has heard of that end; it is told of none again
        if key is not None:
            tx.execute(sql.KEEP_FIRST_RESULT, (key, type_, params["result"], tx.now, tx.now))
    else:
        _keep_and_unlock(tx, report.job_id, key, type_, params["result"])
    return int(worker)


def _keep_and_unlock(tx: Transaction, job_id: int, key: str | None, type_: str, encoded: str) -> None:
    if key is not None:
        tx.execute(sql.KEEP_RESULT, (key, type_, encoded, tx.now, tx.now))
        _let_go(tx, job_id)
    _unlock(tx, job_id)


def fail(tx: Transaction, report: Failure) -> tuple[int, Literal["queued", "failed", "cancelled"]] | None:
    """End a run badly; returns its worker and what the job is now, or None when the run is not its own any more."""
    run = running(tx, report.job_id, report.run)
    if run is None:
        return None
    error = encode_error(report.error)
    again = report.retry and run.counted < run.max_runs
    state: Literal["queued", "failed", "cancelled"] = "failed"
    if run.cancel_requested or report.cancelled:  # it ended because it was told to, however it says so
        state = "cancelled"
        tx.execute(sql.CANCEL, (tx.now, error, run.job_id))
    elif again:
        state = "queued"
        wait = backoff(run.counted) if report.backoff is None else report.backoff
        tx.execute(sql.REQUEUE_FAILED, (int(wait <= 0), tx.now + wait, error, run.job_id))
        tx.bells.add(run.type)
    else:
        tx.execute(sql.FAIL, (tx.now, error, run.job_id))
    _record(tx, run, "failed", error=error, stderr=report.stderr, peak_memory=report.peak_memory)
    if state != "queued":
        _end_dependents(tx, run.job_id, state)
    return run.worker, state


def settle_one(
    tx: Transaction,
    report: Report,
    encoded: str,
    tally: dict[str, int],
    lost: list[Report],
) -> None:
    """Take one report: count it in *tally*, or note it as *lost*."""
    if isinstance(report, Success):
        if succeed(tx, report, encoded) is None:
            lost.append(report)
        else:
            tally["succeeded"] += 1
    elif fail(tx, report) is None:
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
    rescues: int
    job_id: int
    run: int

    @property
    def counted(self) -> int:
        """Runs that count against ``max_runs``, this one included."""
        return self.run - self.released


def running(tx: Transaction, job_id: int, run: int) -> Running | None:
    """The run, or None when it is not its worker's own any more."""
    found = tx.execute(sql.RUNNING, {"id": job_id, "run": run}).fetchone()
    return None if found is None else Running._make((*found, job_id, run))


def _record(
    tx: Transaction,
    run: Running,
    outcome: str,
    *,
    error: str | None = None,
    cause: str | None = None,
    stderr: str | None = None,
    peak_memory: int | None = None,
) -> None:
    begun = _begun(tx, run.started_at)
    told = (run.job_id, run.run, run.worker, begun, tx.now, outcome, error, cause, stderr, peak_memory)
    tx.execute(sql.RECORD, told)


def release(tx: Transaction, job_id: int, run: int, *, delay: int = 0) -> bool:
    """Hand a running job back uncounted; false when the run is not its worker's own any more.

    *delay* is how many milliseconds it waits at least before it is claimed again.

    A job that somebody asked to be cancelled ends instead of waiting again. That is also how a worker ends a
    job it was told to cancel: where it is wanted again meanwhile, it waits.
    """
    held = running(tx, job_id, run)
    if held is None:
        return False
    if held.cancel_requested:
        tx.execute(sql.CANCEL, (tx.now, None, job_id))
        _end_dependents(tx, job_id, "cancelled")
    else:
        tx.execute(sql.REQUEUE_RELEASED, {"id": job_id, "ready": int(delay <= 0), "not_before": tx.now + delay})
        tx.bells.add(held.type)
    _record(tx, held, "cancelled" if held.cancel_requested else "released")
    tx.bells.add(ENDED)
    return True


SILENT = {"kind": "silent"}
"""The cause of a rescue from a worker whose lease was over; it may live."""


def rescue(
    tx: Transaction,
    job_id: int,
    run: int,
    cause: Mapping[str, Any],
    stderr: str | None,
    *,
    innocent: bool = False,
) -> bool:
    """Take one run from a worker that is gone or silent; false when it has ended meanwhile.

    Args:
        innocent: the worker held others too, and nobody knows which one was its end: the run does not count. A job
            that was rescued is only held by itself from then on, so the next time it is known.
    """
    held = running(tx, job_id, run)
    if held is None:
        return False
    killed = int(not innocent and cause.get("kind") != "silent")
    state, outcome = "queued", "released" if innocent else "rescued"
    if held.cancel_requested:
        state = "cancelled"
        tx.execute(sql.CANCEL, (tx.now, None, job_id))
    elif innocent or held.counted < held.max_runs:
        # after a first time the job is retried at once; from the second on it is claimed last
        rank = sql.CLAIMED_LAST if held.rescues == 1 else 0
        params = {"id": job_id, "kills": killed, "released": int(innocent), "rank": rank}
        tx.execute(sql.REQUEUE_RESCUED, params)
        tx.bells.add(held.type)
    else:
        state = "failed"
        error = encode(_killer(tx, held, killed, cause))
        tx.execute(sql.COUNT_RESCUE, (killed, job_id))
        tx.execute(sql.FAIL, (tx.now, error, job_id))
    _record(tx, held, outcome, cause=encode(cause), stderr=stderr)
    account(tx, held.worker, failed=int(not innocent), is_alive=False)
    if state != "queued":
        _end_dependents(tx, job_id, state)
    tx.bells.add(ENDED)
    return True


def _killer(tx: Transaction, run: Running, killed: int, cause: Mapping[str, Any]) -> dict[str, Any]:
    """Why a job has failed whose last run was rescued."""
    kills = run.kills + killed
    before = tx.execute(sql.SILENCES, (run.job_id,)).fetchone()[0]
    silences = min(before + (not killed), run.counted - kills)
    parts = []
    if kills:
        parts.append(f"killed its worker {kills} times" if kills > 1 else "killed its worker")
    if silences:
        parts.append("its worker was silent for a lease" + (f", {silences} times" if silences > 1 else ""))
    return {
        "type": "WorkerKilled" if kills else "WorkerSilent",
        "message": "; ".join(parts),
        "next_step": f"See `clx jobs show {run.job_id}` for the cause of each run.",
        "cause": dict(cause),
    }


# -- cancelling and retrying --------------------------------------------------------------------------


def request_cancel(tx: Transaction, job_id: int) -> bool:
    """Cancel a queued job, or leave word for the worker of a running one; true when it is cancelled now."""
    row = tx.execute("SELECT state FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None or row[0] not in {"queued", "running"}:
        return False
    if row[0] == "queued":
        tx.execute(sql.CANCEL, (tx.now, None, job_id))
        _end_dependents(tx, job_id, "cancelled")
        return True
    tx.execute(sql.REQUEST_CANCEL, (job_id,))
    tx.bells.add(UNWANTED)
    return False


def retry(tx: Transaction, job_ids: Sequence[int]) -> list[int]:
    """Queue failed and cancelled jobs again with all their runs; returns those that are queued now.

    One whose need has failed and is not tried again with it ends as it had ended.

    Raises:
        JobExistsError: another live job has the key of one of them.
    """
    again = [id_ for id_ in dict.fromkeys(job_ids) if _requeue(tx, id_)]
    for job_id in again:
        needs = dict(tx.execute(sql.UNMET_NEEDS, (job_id,)).fetchall())
        if tx.execute(sql.AWAIT_NEEDS, {"id": job_id, "waits_for": len(needs), "ready": int(not needs)}).fetchall():
            _end_where_a_need_failed(tx, job_id, needs)  # else it ended with one before it
    left = {row[0] for row in tx.execute(tx.sql.still_queued, {"ids": encode(again)}).fetchall()}
    return [id_ for id_ in again if id_ in left]


def _requeue(tx: Transaction, job_id: int) -> bool:
    row = tx.execute("SELECT state, type, pool, key FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None or row[0] not in {"failed", "cancelled"}:
        return False
    live = None if row[3] is None else tx.execute(sql.LIVE_BY_KEY, (row[2], row[1], row[3])).fetchone()
    if live is not None:
        raise JobExistsError(int(live[0]), live[1])
    tx.execute(sql.RETRY, {"id": job_id, "now": tx.now})
    tx.execute(sql.COUNT_UP, (job_id,))
    tx.bells.add(row[1])
    return True


# -- what follows from an end -------------------------------------------------------------------------


def _unlock(tx: Transaction, job_id: int) -> None:
    """A job succeeded: those that wait only for it can be claimed."""
    tx.bells.add(of_end(job_id))
    needed, awaited = tx.execute(sql.MATTERS, (job_id,)).fetchone()
    if needed:
        tx.bells.update(row[0] for row in tx.execute(sql.UNLOCK, {"id": job_id, "now": tx.now}).fetchall())
    if awaited:
        _count_down(tx, job_id)


def _let_go(tx: Transaction, job_id: int) -> None:
    """The job of a key has ended: the one that waited behind it can be claimed."""
    tx.bells.update(row[0] for row in tx.execute(sql.LET_GO, {"id": job_id, "now": tx.now}).fetchall())


def _end_dependents(tx: Transaction, job_id: int, state: str) -> None:
    """A job ended otherwise: everything that waits for it, near and far, ends the same way with the cause."""
    end = sql.FAIL_DEPENDENTS if state == "failed" else sql.CANCEL_DEPENDENTS
    ended = [job_id]
    while ended:
        needs_id = ended.pop()
        tx.bells.add(of_end(needs_id))
        _count_down(tx, needs_id)
        _let_go(tx, needs_id)
        error = encode(_need_not_met(needs_id, state))
        ended += (row[0] for row in tx.execute(end, (tx.now, error, needs_id)).fetchall())


def _need_not_met(needs_id: int, state: str) -> dict[str, Any]:
    return {
        "type": "NeedNotMet",
        "message": f"job {needs_id}, which it waits for, {'failed' if state == 'failed' else 'was cancelled'}",
        "next_step": f"See `clx jobs show {needs_id}`.",
        "cause": {"kind": "need", "job": needs_id, "state": state},
    }


def _count_down(tx: Transaction, job_id: int) -> None:
    """Batches with a callback have one job less to wait for; the last one queues the callback."""
    for batch_id, pending, callback in tx.execute(sql.COUNT_DOWN, (job_id,)).fetchall():
        if pending == 0:
            call_back(tx, batch_id, callback)


def call_back(tx: Transaction, batch_id: int, callback: str) -> None:
    """Every job of a batch has ended: queue its callback with the counts, and close it."""
    try:
        job = _callback(tx, batch_id, callback)
    except (QueueError, TypeError, ValueError, LookupError, AttributeError):  # another program wrote it
        tx.execute(sql.BATCH_CALLED, (tx.now, None, batch_id))
        return
    job_id = insert(tx, job, "return", None)
    tx.execute(sql.BATCH_CALLED, (tx.now, job_id, batch_id))
    tx.bells.add(job.type)


def _callback(tx: Transaction, batch_id: int, callback: str) -> NewJob:
    """The callback of a batch, with how its jobs have ended in its payload."""
    fields = decode(callback)
    counts = {"succeeded": 0, "failed": 0, "cancelled": 0}
    counts |= dict(tx.execute(sql.BATCH_COUNTS, (batch_id,)).fetchall())
    return NewJob(**{**fields, "payload": {**fields["payload"], "batch": {"id": batch_id, **counts}}})
