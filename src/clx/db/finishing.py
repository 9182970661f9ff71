"""How runs end: the reports of workers, each fenced, and what is written down about the run.

Every function runs inside somebody's transaction; nothing here commits. :mod:`clx.db.consequences` has what follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast

from clx.db import limits
from clx.db import statements as sql
from clx.db.backoff import backoff
from clx.db.calls.ending import Ended
from clx.db.consequences import end_dependents, let_go, unlock
from clx.db.doorbell import ENDED
from clx.db.models import Failure, Report, Success, encode_error
from clx.db.transaction import Transaction
from clx.db.works.following import note_ends, note_waiting


def put_aside(tx: Transaction, odd: Mapping[int, Sequence[str]]) -> None:
    """Fail live jobs whose rows another program wrote, each with what is odd; nothing is asked of their odd values."""
    types: dict[int, list[Any]] = {}
    for job_id, why in odd.items():
        error = {
            "type": "Unreadable",
            "message": f"Another program wrote its row: {'; '.join(why)}",
            "next_step": f"See `clx jobs show {job_id}`.",
        }
        params = {"id": job_id, "now": tx.now, "error": encode_error(error)}
        tx.execute(sql.RECORD_ODD, params)
        types[job_id] = [row[0] for row in tx.execute(sql.FAIL_ODD, params).fetchall()]
    for job_id in odd:  # not before: one of them may need another, and SQLite would refuse to change it as usual
        end_dependents(tx, job_id, types[job_id][0] if types[job_id] else None, "failed")
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
    worker, started_at, key, type_, limit = rows[0]
    begun = _begun(tx, started_at)
    told = (
        report.job_id,
        report.run,
        worker,
        begun,
        tx.now,
        "succeeded",
        None,
        None,
        report.stderr,
        report.peak_memory,
    )
    tx.execute(sql.RECORD, told)
    _keep_and_unlock(tx, report.job_id, key, type_, encoded)
    if limit is not None:
        limits.free(tx, limit)
    return int(worker)


def _begun(tx: Transaction, started_at: int | None) -> int:
    """When a run began; it may be missing where another program wrote the job's row."""
    return tx.now if started_at is None else started_at


def _succeed_late(tx: Transaction, report: Success, params: dict[str, Any]) -> int | None:
    found = tx.execute(tx.sql.late, params).fetchone()
    if found is None:
        return None
    state, worker, outcome, key, type_ = found
    tx.execute(sql.SUCCEED_LATE, params)
    tx.execute(sql.RECORD_LATE, {**params, "peak_memory": report.peak_memory, "stderr": report.stderr})
    if outcome == "rescued":  # its silence had been counted as a failure
        account(tx, worker, failed=-1)
    if state == "failed":  # what waited for it has heard of that end; it is told of none again
        note_ends(tx, [Ended(report.job_id, type_, "succeeded")])
        if key is not None:
            tx.execute(sql.KEEP_FIRST_RESULT, (key, type_, params["result"], tx.now, tx.now))
    else:
        _keep_and_unlock(tx, report.job_id, key, type_, params["result"])
    return int(worker)


def _keep_and_unlock(tx: Transaction, job_id: int, key: str | None, type_: str, encoded: str) -> None:
    if key is not None:
        tx.execute(sql.KEEP_RESULT, (key, type_, encoded, tx.now, tx.now))
        let_go(tx, job_id)
    unlock(tx, job_id, type_)


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
        wait = backoff(run.counted) if report.backoff is None else cast("int", report.backoff)
        tx.execute(sql.REQUEUE_FAILED, (int(wait <= 0), tx.now + wait, error, run.job_id))
        note_waiting(tx, run.job_id, run.type)
        tx.bells.add(run.type)
    else:
        tx.execute(sql.FAIL, (tx.now, error, run.job_id))
    record(tx, run, "failed", error=error, stderr=report.stderr, peak_memory=report.peak_memory)
    if state != "queued":
        end_dependents(tx, run.job_id, run.type, state)
    if run.limit is not None:
        limits.free(tx, run.limit)
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
    limit: str | None
    job_id: int
    run: int

    @property
    def counted(self) -> int:
        """Runs that count against ``max_runs``, this one included."""
        return self.run - self.released


def running(tx: Transaction, job_id: int, run: int) -> Running | None:
    """The run, or None when it is not its worker's own any more."""
    found = tx.execute(tx.sql.running_run, {"id": job_id, "run": run}).fetchone()
    return None if found is None else Running._make((*found, job_id, run))


def record(
    tx: Transaction,
    run: Running,
    outcome: str,
    *,
    error: str | None = None,
    cause: str | None = None,
    stderr: str | None = None,
    peak_memory: int | None = None,
) -> None:
    """Write down how a run ended; *error* and *cause* are JSON, *peak_memory* bytes."""
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
        end_dependents(tx, job_id, held.type, "cancelled")
    else:
        tx.execute(sql.REQUEUE_RELEASED, {"id": job_id, "ready": int(delay <= 0), "not_before": tx.now + delay})
        note_waiting(tx, job_id, held.type, released=True)
        tx.bells.add(held.type)
    record(tx, held, "cancelled" if held.cancel_requested else "released")
    if held.limit is not None:
        limits.free(tx, held.limit)
    tx.bells.add(ENDED)
    return True
