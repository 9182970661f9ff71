"""How the row of a job is entered, whyever it goes in."""

from __future__ import annotations

from clx.db import statements as sql
from clx.db.models import NewJob, more_to_insert, row_to_insert
from clx.db.transaction import Transaction


def enter(tx: Transaction, job: NewJob, waits_for: int, batch: int | None, behind: int | None = None) -> int:
    """Enter the row of a new job; returns its id."""
    row = row_to_insert(job, waits_for, batch, tx.now, behind)
    if job.expires is None and job.expires_in is None and job.limit is None:
        return tx.insert(sql.INSERT, row)
    return tx.insert(sql.INSERT_MORE, (*row, *more_to_insert(job, tx.now)))
