"""Batches: the jobs of one build. A batch has an owner, and the owner has a lease of its own.

Two builds may want the same job: it is cancelled only when no live batch wants it any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from clx.db.cancelling import request_cancel
from clx.db.database import Database
from clx.db.doorbell import ENDED
from clx.db.identity import is_ours_to_judge
from clx.db.odd_rows import Reader
from clx.db.statements import NEEDS, NOT_CALLED
from clx.db.transaction import Transaction

_NAMES = (
    "id", "name", "state", "host", "pid", "identity", "lease_until", "created_at", "finished_at", "callback_job",
)  # fmt: skip
_READER = Reader.of("batches", _NAMES)
_SELECT = f"SELECT {', '.join(_NAMES)} FROM batches"
_PROMPT = 0.1
"""Seconds within which the lock must have been got for owners to be judged by their leases."""
_LEASE = "SELECT lease_until FROM batches WHERE id = ? AND state = 'live'"
_UNWANTED = f"""
SELECT bj.job_id FROM batch_jobs bj JOIN jobs j ON j.id = bj.job_id
WHERE bj.batch_id = :id AND j.state IN ('queued', 'running') AND j.unbatched = 0
  AND {NOT_CALLED.format(job="bj.job_id")} AND NOT EXISTS (
  SELECT 1 FROM batch_jobs other JOIN batches b ON b.id = other.batch_id
  WHERE other.job_id = bj.job_id AND b.state = 'live' AND b.id <> :id)"""

_LIVE_DEPENDENTS = (
    "SELECT d.job_id FROM dependencies d JOIN jobs j ON j.id = d.job_id "
    "WHERE d.needs_id = ? AND j.state IN ('queued', 'running')"
)


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch; times in milliseconds UTC.

    Attributes:
        odd: what is odd in its row, in words (:mod:`clx.db.odd_rows`); only other programs write such.
    """

    id: int
    name: str
    state: str
    host: str
    pid: int
    identity: str
    lease_until: int
    created_at: int
    finished_at: int | None
    callback_job: int | None
    odd: tuple[str, ...] = ()


class BatchTable:
    """The batches of one database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def open(self, name: str, *, host: str, pid: int, identity: str, lease: int) -> int:
        """A new live batch owned by this process for *lease* milliseconds; returns its id."""
        sql = "INSERT INTO batches (name, host, pid, identity, lease_until, created_at) VALUES (?,?,?,?,?,?)"

        def body(tx: Transaction) -> int:
            return tx.insert(sql, (name, host, pid, identity, tx.now + lease, tx.now))

        return self.database.write("open_batch", body)

    def renew(self, batch_id: int, *, lease: int) -> bool:
        """Renew the owner's lease; false when the batch has been given up on."""
        sql = "UPDATE batches SET lease_until = ? WHERE id = ? AND state = 'live' RETURNING id"

        def body(tx: Transaction) -> bool:
            return bool(tx.execute(sql, (tx.now + lease, batch_id)).fetchall())

        return self.database.write("renew_batch", body)

    def is_owned(self, batch_id: int) -> bool:
        """Whether a batch is live and its owner has been heard of within its lease."""
        return _is_owned(self.database.read(_LEASE, (batch_id,)), self.database.clock.now())

    def close(self, batch_id: int, *, abandoned: bool = False) -> list[int]:
        """End a batch and cancel what nobody else wants.

        Returns:
            The ids of jobs that are cancelled, or will be with their next heartbeat.
        """

        def body(tx: Transaction) -> list[int]:
            tx.bells.add(ENDED)
            return _close(tx, batch_id, abandoned) or []

        return self.database.write("close_batch", body)

    def cancel(self, batch_id: int, job_ids: Collection[int]) -> list[int]:
        """Cancel those of a live batch's jobs that nobody else wants; returns their ids."""
        named = set(job_ids)

        def body(tx: Transaction) -> list[int]:
            tx.bells.add(ENDED)
            unwanted = [job_id for job_id in _unwanted(tx, batch_id) if job_id in named]
            for job_id in unwanted:
                request_cancel(tx, job_id)
            return unwanted

        return self.database.write("cancel_of_batch", body)

    def live(self) -> list[Batch]:
        """Batches that have not ended, by id."""
        return [_from_row(row) for row in self.database.read(f"{_SELECT} WHERE state = 'live' ORDER BY id")]

    def get(self, batch_id: int) -> Batch | None:
        """One batch, or None."""
        rows = self.database.read(f"{_SELECT} WHERE id = ?", (batch_id,))
        return _from_row(rows[0]) if rows else None

    def sweep(self, is_gone: Callable[[str], bool], *, spare: Collection[int] = ()) -> list[int]:
        """Abandon batches whose owner *is_gone*, or cannot be judged from here and let its lease end.

        An owner that this machine sees to live is not silent for good, and one that could not renew because the table
        was locked is given the time to: after a wait for the lock nobody is judged by his lease.

        Args:
            spare: batches that are left alone: one's own.

        Returns:
            Their ids.
        """
        begun = time.monotonic()
        at = self.database.clock.now()
        lost = []
        for batch in self.live():
            if batch.id in spare:
                continue
            gone = is_gone(batch.identity)
            if gone or (batch.lease_until <= at and not is_ours_to_judge(batch.identity)):
                lost.append((batch.id, gone))

        def body(tx: Transaction) -> list[int]:
            tx.bells.add(ENDED)
            held_up = time.monotonic() - begun > _PROMPT
            return [
                batch_id
                for batch_id, gone in lost
                if (gone or (not held_up and not _is_owned(tx.execute(_LEASE, (batch_id,)).fetchall(), tx.now)))
                and _close(tx, batch_id, True) is not None
            ]

        return self.database.write("sweep_batches", body) if lost else []


def _is_owned(rows: Sequence[Sequence[Any]], now: int) -> bool:
    """Whether there is a live batch, and its lease not over; what is no number another program wrote."""
    return any(isinstance(row[0], int) and row[0] > now for row in rows)


def _from_row(row: Sequence[Any]) -> Batch:
    values, odd = _READER.read(row)
    values.append(odd)
    return Batch(*values)


def _close(tx: Transaction, batch_id: int, abandoned: bool) -> list[int] | None:
    """End a live batch; returns the jobs that nobody wants any more, None where it had ended before."""
    unwanted = _unwanted(tx, batch_id)
    # before the jobs: a batch that is closed is not waiting for its callback any more
    closed = tx.execute(
        "UPDATE batches SET state = ?, finished_at = ? WHERE id = ? AND state = 'live' RETURNING id",
        ("abandoned" if abandoned else "done", tx.now, batch_id),
    ).fetchall()
    if not closed:
        return None
    for job_id in unwanted:
        request_cancel(tx, job_id)
    return unwanted


def _unwanted(tx: Transaction, batch_id: int) -> list[int]:
    """Jobs that nobody wants once this batch is closed, neither themselves nor for a job that needs them."""
    if tx.sql.hold_wanted:  # who wants one of them too has said so, or waits until they have ended
        tx.execute(tx.sql.hold_wanted, {"id": batch_id})
    found = {row[0]: True for row in tx.execute(_UNWANTED, {"id": batch_id}).fetchall()}
    doubtful = list(found)
    while doubtful:
        job_id = doubtful.pop()
        if job_id not in found:
            continue
        dependents = tx.execute(_LIVE_DEPENDENTS, (job_id,)).fetchall()
        if any(dependent not in found for (dependent,) in dependents):
            del found[job_id]  # what it needs is wanted with it
            doubtful += (row[0] for row in tx.execute(NEEDS, (job_id,)).fetchall())
    return list(found)
