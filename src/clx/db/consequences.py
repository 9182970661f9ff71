"""What follows when a job ends: those that wait for it, the one behind it, the batch that wants to hear of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from clx.db import statements as sql
from clx.db.doorbell import of_end
from clx.db.models import NewJob, decode, encode, more_to_insert, row_to_insert
from clx.db.transaction import Transaction
from clx.errors import QueueError


def unlock(tx: Transaction, job_id: int) -> None:
    """A job succeeded: those that wait only for it can be claimed."""
    tx.bells.add(of_end(job_id))
    needed, awaited = tx.execute(sql.MATTERS, (job_id,)).fetchone()
    if needed:
        tx.bells.update(row[0] for row in tx.execute(tx.sql.unlock, {"id": job_id, "now": tx.now}).fetchall())
    if awaited:
        _count_down(tx, job_id)


def unlock_many(tx: Transaction, job_ids: Collection[int], matters: Iterable[tuple[int, bool, bool]]) -> None:
    """The same for several jobs at a time; *matters* says of some of them whether jobs, and batches, wait for them."""
    tx.bells.update(map(of_end, job_ids))
    concerned = [row for row in matters if row[0] in job_ids]
    for job_id in (row[0] for row in concerned if row[1]):
        tx.bells.update(row[0] for row in tx.execute(tx.sql.unlock, {"id": job_id, "now": tx.now}).fetchall())
    awaited = [row[0] for row in concerned if row[2]]
    if awaited:
        _called_back(tx, tx.execute(tx.sql.count_down_many, {"ids": encode(awaited)}).fetchall())


def let_go(tx: Transaction, job_id: int) -> None:
    """The job of a key has ended: the one that waited behind it can be claimed."""
    tx.bells.update(row[0] for row in tx.execute(sql.LET_GO, {"id": job_id, "now": tx.now}).fetchall())


def end_dependents(tx: Transaction, job_id: int, state: str) -> None:
    """A job ended otherwise: everything that waits for it, near and far, ends the same way with the cause."""
    end = tx.sql.fail_dependents if state == "failed" else tx.sql.cancel_dependents
    ended = [job_id]
    while ended:
        needs_id = ended.pop()
        tx.bells.add(of_end(needs_id))
        _count_down(tx, needs_id)
        let_go(tx, needs_id)
        error = encode(need_not_met(needs_id, state))
        ended += (row[0] for row in tx.execute(end, (tx.now, error, needs_id)).fetchall())


def need_not_met(needs_id: int, state: str) -> dict[str, Any]:
    """The error of a job that waits for one that has failed or was cancelled, which *state* says."""
    return {
        "type": "NeedNotMet",
        "message": f"job {needs_id}, which it waits for, {'failed' if state == 'failed' else 'was cancelled'}",
        "next_step": f"See `clx jobs show {needs_id}`.",
        "cause": {"kind": "need", "job": needs_id, "state": state},
    }


def _count_down(tx: Transaction, job_id: int) -> None:
    """Batches with a callback have one job less to wait for; the last one queues the callback."""
    _called_back(tx, tx.execute(tx.sql.count_down, (job_id,)).fetchall())


def _called_back(tx: Transaction, batches: Sequence[tuple[int, int, str]]) -> None:
    for batch_id, pending, callback in batches:
        if pending == 0:
            call_back(tx, batch_id, callback)


def call_back(tx: Transaction, batch_id: int, callback: str) -> None:
    """Every job of a batch has ended: queue its callback with the counts, and close it."""
    try:
        job = _callback(tx, batch_id, callback)
    except (QueueError, TypeError, ValueError, LookupError, AttributeError):  # another program wrote it
        tx.execute(sql.BATCH_CALLED, (tx.now, None, batch_id))
        return
    job_id = enter(tx, job, 0, None)
    tx.execute(sql.BATCH_CALLED, (tx.now, job_id, batch_id))
    tx.bells.add(job.type)


def enter(tx: Transaction, job: NewJob, waits_for: int, batch: int | None, behind: int | None = None) -> int:
    """Enter the row of a new job; returns its id."""
    row = row_to_insert(job, waits_for, batch, tx.now, behind)
    if job.expires is None and job.expires_in is None and job.limit is None:
        return tx.insert(sql.INSERT, row)
    return tx.insert(sql.INSERT_MORE, (*row, *more_to_insert(job, tx.now)))


def _callback(tx: Transaction, batch_id: int, callback: str) -> NewJob:
    """The callback of a batch, with how its jobs have ended in its payload."""
    fields = decode(callback)
    counts = {"succeeded": 0, "failed": 0, "cancelled": 0}
    counts |= dict(tx.execute(sql.BATCH_COUNTS, (batch_id,)).fetchall())
    return NewJob(**{**fields, "payload": {**fields["payload"], "batch": {"id": batch_id, **counts}}})
