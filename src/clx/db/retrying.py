"""How jobs that have failed or were cancelled are queued again."""

from __future__ import annotations

from collections.abc import Sequence

from clx.db import statements as sql
from clx.db.calls.models import is_routine
from clx.db.calls.statements import FORGET_FAILURES
from clx.db.inserting import end_where_a_need_failed
from clx.db.models import encode
from clx.db.transaction import Transaction
from clx.db.works.following import note_retried
from clx.errors import JobExistsError


def retry(tx: Transaction, job_ids: Sequence[int]) -> list[int]:
    """Queue failed and cancelled jobs again with all their runs; returns those that are queued now.

    One whose need has failed and is not tried again with it ends as it had ended.

    Raises:
        JobExistsError: another live job has the key of one of them.
    """
    requeued = {id_: _requeue(tx, id_) for id_ in dict.fromkeys(job_ids)}
    again = {id_: type_ for id_, type_ in requeued.items() if type_ is not None}
    for job_id, type_ in again.items():
        needs = dict(tx.execute(tx.sql.unmet_needs, (job_id,)).fetchall())
        if tx.execute(sql.AWAIT_NEEDS, {"id": job_id, "waits_for": len(needs)}).fetchall():
            end_where_a_need_failed(tx, job_id, type_, needs)  # else it ended with one before it
    left = {row[0] for row in tx.execute(tx.sql.still_queued, {"ids": encode(list(again))}).fetchall()}
    return [id_ for id_ in again if id_ in left]


def _requeue(tx: Transaction, job_id: int) -> str | None:
    """Queue one again, if it has failed or was cancelled; returns its type then."""
    row = tx.execute(tx.sql.job_to_change, (job_id,)).fetchone()
    if row is None or row[0] not in {"failed", "cancelled"}:
        return None
    live = None if row[3] is None else tx.execute(tx.sql.live_by_key, (row[2], row[1], row[3])).fetchone()
    if live is not None:
        raise JobExistsError(int(live[0]), live[1])
    tx.execute(sql.RETRY, {"id": job_id, "now": tx.now})
    tx.execute(sql.COUNT_UP, (job_id,))
    note_retried(tx, job_id, row[1])
    if is_routine(row[1]):
        tx.execute(FORGET_FAILURES, (job_id,))
    tx.bells.add(row[1])
    return str(row[1])
