"""The arrows of the state machine, each as one function that runs inside somebody's transaction.

They take the connection first. Names of bells to ring once the transaction is committed are added to the
set *bells*; nothing here commits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from clx.db import statements as sql
from clx.db.backoff import backoff
from clx.db.doorbell import of_end
from clx.db.records import Failure, Job, NewJob, OnConflict, Report, Success, decode, encode, encode_error, job_from_row
from clx.errors import JobExistsError, LostBatchError, LostWorkerError, QueueError, UnknownJobError

ENDED = "build"
"""The bell of whoever watches all work; whoever waits for certain jobs has bells of their own (``of_end``)."""
UNWANTED = "cancel"
"""The bell of workers: a job that one of them runs is not wanted any more."""

# -- putting in -------------------------------------------------------------------------------------


def insert(connection: Any, job: NewJob, on_conflict: OnConflict, batch: int | None, now: int, bells: set[str]) -> int:
    """Enter *job*, or find the live one that has its key; returns the id.

    Raises:
        JobExistsError: a live job has its key and *on_conflict* does not say what to do about it.
        UnknownJobError: it needs a job that is not in the table.
    """
    live = None
    if job.key is not None:
        live = connection.execute(sql.LIVE_BY_KEY, (job.pool, job.type, job.key)).fetchone()
    if live is None:
        return _insert_new(connection, job, batch, now, bells)
    job_id, state = int(live[0]), live[1]
    if on_conflict == "raise" or (on_conflict == "replace" and state == "running"):
        raise JobExistsError(job_id, state)
    if on_conflict == "after" and (state == "running" or connection.execute(sql.BEHIND, (job_id,)).fetchone()):
        return _insert_behind(connection, job_id, job, batch, now, bells)
    if on_conflict == "return":
        connection.execute(sql.WANT_TOO, (int(batch is None), job_id))
    else:  # "after" too: who has not begun yet may as well do what is wanted now
        _replace(connection, job_id, job, batch, now, bells)
    return job_id


def _insert_behind(connection: Any, first: int, job: NewJob, batch: int | None, now: int, bells: set[str]) -> int:
    """Enter *job* behind the one of its key that runs, or ran; one that waits there already becomes this one."""
    row = connection.execute(sql.BEHIND, (first,)).fetchone()
    if row is None:
        return _insert_new(connection, job, batch, now, bells, behind=first)
    _replace(connection, int(row[0]), job, batch, now, bells, behind=first)
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


def _insert_new(
    connection: Any, job: NewJob, batch: int | None, now: int, bells: set[str], behind: int | None = None
) -> int:
    if not job.needs:
        return int(connection.execute(sql.INSERT, values(job, 0, batch, now, behind)).lastrowid)
    needed = _needed(connection, job.needs)
    waits_for = sum(1 for state in needed.values() if state != "succeeded")
    job_id = int(connection.execute(sql.INSERT, values(job, waits_for, batch, now, behind)).lastrowid)
    _note_needs(connection, job_id, needed, now, bells)
    return job_id


def _replace(
    connection: Any,
    job_id: int,
    job: NewJob,
    batch: int | None,
    now: int,
    bells: set[str],
    behind: int | None = None,
) -> None:
    needed = _needed(connection, job.needs)
    if needed and connection.execute(sql.WAITS_FOR, (encode(list(needed)), job_id)).fetchone():
        raise QueueError(
            f"Job {job_id} would wait for itself: what it is to need waits for it.", "Name other jobs as its needs."
        )
    waits_for = sum(1 for state in needed.values() if state != "succeeded")
    connection.execute("DELETE FROM dependencies WHERE job_id = ?", (job_id,))
    connection.execute(sql.REPLACE, (*values(job, waits_for, batch, now, behind), job_id))
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
    live, due = connection.execute(sql.MAY_CLAIM, {"worker": worker, "now": now}).fetchone()
    if not live:
        raise LostWorkerError(f"Worker {worker} was struck off and may not claim jobs.", "Register it again.")
    params = {"worker": worker, "lease": lease, "now": now, "pool": pool}
    flooded = bool(due) and promote and _promote(connection, now, bells)
    taken = _take_readable(connection, types, params, n, bells, harmless=harmless)
    if due and not promote and not taken:
        flooded = _promote(connection, now, bells)
        taken = _take_readable(connection, types, params, n, bells, harmless=harmless)
    return taken, flooded


def _promote(connection: Any, now: int, bells: set[str]) -> bool:
    """Let delayed jobs that are due be claimed; returns whether there may be more."""
    promoted = connection.execute(sql.PROMOTE, (now, sql.PROMOTED)).fetchall()
    bells.update(row[0] for row in promoted)
    return len(promoted) == sql.PROMOTED


def _take_readable(
    connection: Any, types: Sequence[str], params: dict[str, Any], n: int, bells: set[str], *, harmless: bool
) -> list[Job]:
    taken: list[Job] = []
    while len(taken) < n:
        alone = harmless and not taken
        wanted = 1 if alone else n - len(taken)
        params["n"] = wanted
        found = _take(connection, types, params, harmless=harmless and not alone)
        if not found:
            break
        readable = [job for job in found if not job.odd]
        if len(readable) < len(found):
            put_aside(connection, {job.id: job.odd for job in found if job.odd}, params["now"], bells)
        taken += readable
        if alone and readable and (readable[0].rescues or readable[0].max_runs == 1):
            break
        if len(readable) == len(found) and not alone:
            break  # there are no more
    return taken


def _take(connection: Any, types: Sequence[str], params: dict[str, Any], *, harmless: bool) -> list[Job]:
    """Give the first jobs of *types* to a worker; in claim order."""
    n = params["n"]
    if len(types) == 1:
        one = sql.CLAIM_ONE if n == 1 and not harmless else sql.CLAIM_HARMLESS if harmless else sql.CLAIM_MANY
        params["type"] = types[0]
        rows = connection.execute(one, params).fetchall()
        jobs = [job_from_row(row, quickly=True) for row in rows]
        return sorted(jobs, key=_claim_order) if n > 1 else jobs
    first = sql.NEXT_HARMLESS if harmless else sql.NEXT
    queued = [
        row for type_ in dict.fromkeys(types) for row in connection.execute(first, {**params, "type": type_}).fetchall()
    ]
    ids = [row[2] for row in sorted(queued, key=_numbers_first)[:n]]
    if not ids:
        return []
    rows = connection.execute(sql.CLAIM_THESE, {**params, "ids": encode(ids)}).fetchall()
    by_id = {row[0]: job_from_row(row, quickly=True) for row in rows}
    return [by_id[id_] for id_ in ids]


def _claim_order(job: Job) -> tuple[int, int, int, int]:
    deadline = sql.NO_TIME if job.deadline is None else job.deadline
    return (int(job.rescues >= 2), -job.priority, deadline, job.id)


def _numbers_first(row: tuple[Any, ...]) -> list[tuple[bool, Any]]:
    """A sort key as SQLite orders: what is no number, which only other programs write, comes last."""
    return [(False, value) if isinstance(value, int | float) else (True, 0) for value in row]


def put_aside(connection: Any, odd: Mapping[int, Sequence[str]], now: int, bells: set[str]) -> None:
    """Fail live jobs whose rows another program wrote, each with what is odd; nothing is asked of their odd values."""
    for job_id, why in odd.items():
        error = {
            "type": "Unreadable",
            "message": f"Another program wrote its row: {'; '.join(why)}",
            "next_step": f"See `clx jobs show {job_id}`.",
        }
        params = {"id": job_id, "now": now, "error": encode_error(error)}
        connection.execute(sql.RECORD_ODD, params)
        connection.execute(sql.FAIL_ODD, params)
    for job_id in odd:  # not before: one of them may need another, and SQLite would refuse to change it as usual
        _end_dependents(connection, job_id, "failed", now, bells)
        bells.add(ENDED)


def account(connection: Any, worker: int, now: int, *, succeeded: int = 0, failed: int = 0) -> None:
    """Count the jobs a worker ended, and note that it lived at *now*.

    What it holds at a moment is asked of the jobs, not kept beside them.
    """
    connection.execute(sql.ACCOUNT, (succeeded, failed, now, worker))


# -- what workers report ------------------------------------------------------------------------------


def succeed(connection: Any, report: Success, encoded: str, now: int, bells: set[str]) -> int | None:
    """End a run well; returns the worker that did it, or None when the run is not its own any more.

    A run that was taken from its worker because of silence alone counts after all, when it is the newest.
    """
    params = {"id": report.job_id, "run": report.run, "now": now, "result": encoded}
    rows = connection.execute(sql.SUCCEED, params).fetchall()
    if not rows:
        return _succeed_late(connection, report, params, bells)
    worker, started_at, key, type_ = rows[0]
    connection.execute(
        sql.RECORD,
        (report.job_id, report.run, worker, started_at, now, "succeeded", None, None, None, report.peak_memory),
    )
    _keep_and_unlock(connection, report.job_id, key, type_, encoded, now, bells)
    return int(worker)


def _succeed_late(connection: Any, report: Success, params: dict[str, Any], bells: set[str]) -> int | None:
    found = connection.execute(sql.LATE, params).fetchone()
    if found is None:
        return None
    state, worker, outcome, key, type_ = found
    connection.execute(sql.SUCCEED_LATE, params)
    connection.execute(sql.RECORD_LATE, {**params, "peak_memory": report.peak_memory})
    if outcome == "rescued":  # its silence had been counted as a failure
        account(connection, worker, params["now"], failed=-1)
    if state == "failed":  # what waited for it has heard of that end; it is told of none again
        if key is not None:
            connection.execute(sql.KEEP_FIRST_RESULT, (key, type_, params["result"], params["now"], params["now"]))
    else:
        _keep_and_unlock(connection, report.job_id, key, type_, params["result"], params["now"], bells)
    return int(worker)


def _keep_and_unlock(
    connection: Any, job_id: int, key: str | None, type_: str, encoded: str, now: int, bells: set[str]
) -> None:
    if key is not None:
        connection.execute(sql.KEEP_RESULT, (key, type_, encoded, now, now))
        _let_go(connection, job_id, now, bells)
    _unlock(connection, job_id, now, bells)


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
    if run.cancel_requested or report.cancelled:  # it ended because it was told to, however it says so
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
    rescues: int
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


def release(connection: Any, job_id: int, run: int, now: int, bells: set[str], *, delay: int = 0) -> bool:
    """Hand a running job back uncounted; false when the run is not its worker's own any more.

    *delay* is how many milliseconds it waits at least before it is claimed again.

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
        connection.execute(sql.REQUEUE_RELEASED, {"id": job_id, "ready": int(delay <= 0), "not_before": now + delay})
        bells.add(held.type)
    _record(connection, held, now, "cancelled" if held.cancel_requested else "released")
    bells.add(ENDED)
    return True


SILENT = {"kind": "silent"}
"""The cause of a rescue from a worker whose lease was over; it may live."""


def rescue(
    connection: Any,
    job_id: int,
    run: int,
    cause: Mapping[str, Any],
    stderr: str | None,
    now: int,
    bells: set[str],
    *,
    innocent: bool = False,
) -> bool:
    """Take one run from a worker that is gone or silent; false when it has ended meanwhile.

    Args:
        innocent: the worker held others too, and nobody knows which one was its end: the run does not count. A job
            that was rescued is only held by itself from then on, so the next time it is known.
    """
    held = running(connection, job_id, run)
    if held is None:
        return False
    killed = int(not innocent and cause.get("kind") != "silent")
    state, outcome = "queued", "released" if innocent else "rescued"
    if held.cancel_requested:
        state = "cancelled"
        connection.execute(sql.CANCEL, (now, None, job_id))
    elif innocent or held.counted < held.max_runs:
        # after a first time the job is retried at once; from the second on it is claimed last
        rank = sql.CLAIMED_LAST if held.rescues == 1 else 0
        params = {"id": job_id, "kills": killed, "released": int(innocent), "rank": rank}
        connection.execute(sql.REQUEUE_RESCUED, params)
        bells.add(held.type)
    else:
        state = "failed"
        error = encode(_killer(connection, held, killed, cause))
        connection.execute(sql.COUNT_RESCUE, (killed, job_id))
        connection.execute(sql.FAIL, (now, error, job_id))
    _record(connection, held, now, outcome, cause=encode(cause), stderr=stderr)
    account(connection, held.worker, 0, failed=int(not innocent))  # at no moment: its worker has given no sign of life
    if state != "queued":
        _end_dependents(connection, job_id, state, now, bells)
    bells.add(ENDED)
    return True


def _killer(connection: Any, run: Running, killed: int, cause: Mapping[str, Any]) -> dict[str, Any]:
    """Why a job has failed whose last run was rescued."""
    kills = run.kills + killed
    before = connection.execute(sql.SILENCES, (run.job_id,)).fetchone()[0]
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
    live = None if row[3] is None else connection.execute(sql.LIVE_BY_KEY, (row[2], row[1], row[3])).fetchone()
    if live is not None:
        raise JobExistsError(int(live[0]), live[1])
    connection.execute(sql.RETRY, {"id": job_id, "now": now})
    connection.execute(sql.COUNT_UP, (job_id,))
    bells.add(row[1])
    return True


# -- what follows from an end -------------------------------------------------------------------------


def _unlock(connection: Any, job_id: int, now: int, bells: set[str]) -> None:
    """A job succeeded: those that wait only for it can be claimed."""
    bells.add(of_end(job_id))
    needed, awaited = connection.execute(sql.MATTERS, (job_id,)).fetchone()
    if needed:
        bells.update(row[0] for row in connection.execute(sql.UNLOCK, {"id": job_id, "now": now}).fetchall())
    if awaited:
        _count_down(connection, job_id, now, bells)


def _let_go(connection: Any, job_id: int, now: int, bells: set[str]) -> None:
    """The job of a key has ended: the one that waited behind it can be claimed."""
    bells.update(row[0] for row in connection.execute(sql.LET_GO, {"id": job_id, "now": now}).fetchall())


def _end_dependents(connection: Any, job_id: int, state: str, now: int, bells: set[str]) -> None:
    """A job ended otherwise: everything that waits for it, near and far, ends the same way with the cause."""
    end = sql.FAIL_DEPENDENTS if state == "failed" else sql.CANCEL_DEPENDENTS
    ended = [job_id]
    while ended:
        needs_id = ended.pop()
        bells.add(of_end(needs_id))
        _count_down(connection, needs_id, now, bells)
        _let_go(connection, needs_id, now, bells)
        error = encode(_need_not_met(needs_id, state))
        ended += (row[0] for row in connection.execute(end, (now, error, needs_id)).fetchall())


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
    try:
        job = _callback(connection, batch_id, callback)
    except (QueueError, TypeError, ValueError, LookupError, AttributeError):  # another program wrote it
        connection.execute(sql.BATCH_CALLED, (now, None, batch_id))
        return
    job_id = insert(connection, job, "return", None, now, bells)
    connection.execute(sql.BATCH_CALLED, (now, job_id, batch_id))
    bells.add(job.type)


def _callback(connection: Any, batch_id: int, callback: str) -> NewJob:
    """The callback of a batch, with how its jobs have ended in its payload."""
    fields = decode(callback)
    counts = {"succeeded": 0, "failed": 0, "cancelled": 0}
    counts |= dict(connection.execute(sql.BATCH_COUNTS, (batch_id,)).fetchall())
    return NewJob(**{**fields, "payload": {**fields["payload"], "batch": {"id": batch_id, **counts}}})
