"""What follows when a job ends: those that wait for it, the one behind it, the batch that wants to hear of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clx.db import statements as sql
from clx.db.calls.ending import Ended, after_routines, cancel_unwanted
from clx.db.doorbell import of_end
from clx.db.entering import enter
from clx.db.models import NewJob, decode, encode
from clx.db.transaction import Transaction
from clx.db.works.following import note_ends
from clx.errors import QueueError


def unlock(tx: Transaction, job_id: int, type_: Any) -> None:
    """A job succeeded: those that wait only for it can be claimed."""
    tx.bells.add(of_end(job_id))
    needed, awaited = tx.execute(sql.MATTERS, (job_id,)).fetchone()
    if needed:
        tx.bells.update(row[0] for row in tx.execute(tx.sql.unlock, {"id": job_id, "now": tx.now}).fetchall())
    if awaited:
        _count_down(tx, job_id)
    _follow(tx, _after(tx, [Ended(job_id, type_, "succeeded")]))


def unlock_many(tx: Transaction, types: Mapping[int, Any], matters: Iterable[tuple[int, bool, bool]]) -> None:
    """The same for several jobs at a time.

    Args:
        types: their types by id.
        matters: of some of them, whether jobs, and batches, wait for them.
    """
    tx.bells.update(map(of_end, types))
    concerned = [row for row in matters if row[0] in types]
    for job_id in (row[0] for row in concerned if row[1]):
        tx.bells.update(row[0] for row in tx.execute(tx.sql.unlock, {"id": job_id, "now": tx.now}).fetchall())
    awaited = [row[0] for row in concerned if row[2]]
    if awaited:
        _called_back(tx, tx.execute(tx.sql.count_down_many, {"ids": encode(awaited)}).fetchall())
    _follow(tx, _after(tx, [Ended(*each, "succeeded") for each in types.items()]))


def let_go(tx: Transaction, job_id: int) -> None:
    """The job of a key has ended: the one that waited behind it can be claimed."""
    tx.bells.update(row[0] for row in tx.execute(sql.LET_GO, {"id": job_id, "now": tx.now}).fetchall())


def end_dependents(tx: Transaction, job_id: int, type_: Any, state: str) -> None:
    """A job ended otherwise: everything that waits for it, near and far, ends the same way with the cause.

    What it has called, if it was a workflow, and nobody else wants is cancelled.
    """
    _follow(tx, [Ended(job_id, type_, state)])


def drop_unwanted(tx: Transaction, job_id: int) -> None:
    """Cancel a job, which this transaction has alone, unless somebody wants it."""
    _follow(tx, cancel_unwanted(tx, [job_id], None))


def _follow(tx: Transaction, ended: Sequence[Ended]) -> None:
    """See to what follows from the ends of jobs that did not succeed, and from what ends by that."""
    while ended:
        tx.bells.update(of_end(each.id) for each in ended)
        following: list[Ended] = []
        for each in _that_matter(tx, ended):
            _count_down(tx, each.id)
            let_go(tx, each.id)
            end = tx.sql.fail_dependents if each.state == "failed" else tx.sql.cancel_dependents
            error = encode(need_not_met(each.id, each.state))
            rows = tx.execute(end, (tx.now, error, each.id)).fetchall()
            following += [Ended(row[0], row[1], each.state) for row in rows]
        ended = following + _after(tx, ended)


def _after(tx: Transaction, ended: Sequence[Ended]) -> list[Ended]:
    """See to what follows for jobs of some kinds; returns those that are cancelled by that."""
    note_ends(tx, ended)
    return after_routines(tx, ended)


def _that_matter(tx: Transaction, ended: Sequence[Ended]) -> Sequence[Ended]:
    """Those of some jobs for whose end others may wait: thousands end with the workflow that called them."""
    if len(ended) == 1:
        return ended
    found = {row[0] for row in tx.execute(tx.sql.matter_among, {"ids": encode([each.id for each in ended])}).fetchall()}
    return [each for each in ended if each.id in found]


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


def _callback(tx: Transaction, batch_id: int, callback: str) -> NewJob:
    """The callback of a batch, with how its jobs have ended in its payload."""
    fields = decode(callback)
    counts = {"succeeded": 0, "failed": 0, "cancelled": 0}
    counts |= dict(tx.execute(sql.BATCH_COUNTS, (batch_id,)).fetchall())
    return NewJob(**{**fields, "payload": {**fields["payload"], "batch": {"id": batch_id, **counts}}})
