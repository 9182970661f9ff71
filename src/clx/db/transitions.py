"""The arrows of the state machine after a claim, each as one function that runs inside somebody's transaction.

They take the :class:`~clx.db.transaction.Transaction` first; nothing here commits. :mod:`clx.db.inserting` and
:mod:`clx.db.claiming` have the two before, :mod:`clx.db.consequences` what follows from an end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from clx.db import statements as sql
from clx.db.backoff import backoff
from clx.db.consequences import end_dependents, let_go, unlock
from clx.db.inserting import end_where_a_need_failed
from clx.db.models import Failure, Report, Success, encode, encode_error
from clx.db.transaction import Transaction
from clx.errors import JobExistsError

ENDED = "build"
"""The bell of whoever watches all work; whoever waits for certain jobs has bells of their own (``of_end``)."""
UNWANTED = "cancel"
"""The bell of workers: a job that one of them runs is not wanted any more."""


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
        end_dependents(tx, job_id, "failed")
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
        let_go(tx, job_id)
    unlock(tx, job_id)


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
        end_dependents(tx, run.job_id, state)
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
        end_dependents(tx, job_id, "cancelled")
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
        end_dependents(tx, job_id, state)
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
        end_dependents(tx, job_id, "cancelled")
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
            end_where_a_need_failed(tx, job_id, needs)  # else it ended with one before it
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
