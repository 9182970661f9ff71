"""How jobs come in: new, in place of one that waits, or behind one that runs."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from operator import attrgetter, eq
from typing import cast

import msgspec

from clx.db import statements as sql
from clx.db.consequences import call_back, end_dependents, need_not_met
from clx.db.entering import enter
from clx.db.models import NewJob, OnConflict, decode, encode, more_to_insert, row_to_insert
from clx.db.transaction import Transaction
from clx.errors import JobExistsError, LostBatchError, QueueError, UnknownJobError
from clx.settings.problems import shortened

_RARE = attrgetter("key", "needs", "unique_for", "limit", "expires", "expires_in")
_RARELY_GIVEN = (None, (), None, None, None, None)
"""What a job has of these that goes in with many others by one statement."""


def insert(tx: Transaction, job: NewJob, on_conflict: OnConflict, batch: int | None) -> int:
    """Enter *job*, or find the live one that has its key; returns the id.

    Raises:
        JobExistsError: a live job has its key and *on_conflict* does not say what to do about it.
        UnknownJobError: it needs a job that is not in the table.
    """
    if job.limit is not None:
        require_limit(tx, job.limit)
    if job.unique_for is not None:
        return _insert_unique(tx, job, on_conflict, batch)
    return _insert_new(tx, job, batch) if job.key is None else _insert_keyed(tx, job, on_conflict, batch)


def require_limit(tx: Transaction, name: str) -> None:
    """See that a limit is set.

    Raises:
        QueueError: it is not.
    """
    if not tx.execute(sql.IS_LIMIT, (name,)).fetchone():
        raise no_such_limit(name)


def no_such_limit(name: str) -> QueueError:
    """That a job names a limit that is not set."""
    command = f"clx limits set {shlex.quote(shortened(name))} --concurrency 2"
    return QueueError(
        f"There is no limit {shortened(repr(name))}.",
        f'Set it first: {command} (in Python: queue.set_limit("{shortened(name)}", concurrency=2)).',
    )


def _insert_unique(tx: Transaction, job: NewJob, on_conflict: OnConflict, batch: int | None) -> int:
    """Enter *job* unless its key was taken for a time that is not over; then the id is that of whoever took it."""
    if on_conflict not in {"return", "raise"}:
        raise QueueError(
            f"A job that is unique for a time cannot be put in with on_conflict={on_conflict!r}.",
            'Use "return", which is usual, or "raise"; or leave unique_for out.',
        )
    key = job.key if job.key is not None else _key_of_content(job)
    named = {"key": key, "type": job.type, "pool": job.pool}
    until = tx.now + cast("int", job.unique_for)
    if tx.execute(sql.TAKE_KEY, {**named, "until": until, "now": tx.now}).fetchall():
        job_id = _insert_new(tx, job, batch) if job.key is None else _insert_keyed(tx, job, on_conflict, batch)
        tx.execute(sql.NAME_KEY, {**named, "id": job_id})
        return job_id
    job_id = int(tx.execute(sql.RECENT, named).fetchone()[0])
    state = tx.execute(sql.STATE, (job_id,)).fetchone()
    if on_conflict == "raise":
        raise JobExistsError(job_id, state[0] if state else "over")
    if state is not None and state[0] in {"queued", "running"}:
        tx.execute(sql.WANT_TOO, (int(batch is None), job_id))
    return job_id


def _key_of_content(job: NewJob) -> str:
    import hashlib

    content = msgspec.json.encode(decode(encode(job.payload)), order="deterministic")
    return f"payload:{hashlib.sha256(content).hexdigest()}"


def _insert_keyed(tx: Transaction, job: NewJob, on_conflict: OnConflict, batch: int | None) -> int:
    live = tx.execute(tx.sql.live_by_key, (job.pool, job.type, job.key)).fetchone()
    if live is None:
        return _insert_new(tx, job, batch)
    job_id, state = int(live[0]), live[1]
    if on_conflict == "raise" or (on_conflict == "replace" and state == "running"):
        raise JobExistsError(job_id, state)
    if on_conflict == "after" and (state == "running" or tx.execute(tx.sql.behind_of, (job_id,)).fetchone()):
        return _insert_behind(tx, job_id, job, batch)
    if on_conflict == "return":
        tx.execute(sql.WANT_TOO, (int(batch is None), job_id))
    else:  # "after" too: who has not begun yet may as well do what is wanted now
        _replace(tx, job_id, job, batch)
    return job_id


def _insert_behind(tx: Transaction, first: int, job: NewJob, batch: int | None) -> int:
    """Enter *job* behind the one of its key that runs, or ran; one that waits there already becomes this one."""
    row = tx.execute(tx.sql.behind_of, (first,)).fetchone()
    if row is None:
        return _insert_new(tx, job, batch, behind=first)
    _replace(tx, int(row[0]), job, batch, behind=first)
    return int(row[0])


def _insert_new(tx: Transaction, job: NewJob, batch: int | None, behind: int | None = None) -> int:
    if not job.needs:
        return enter(tx, job, 0, batch, behind)
    needed = _needed(tx, job.needs)
    waits_for = sum(1 for state in needed.values() if state != "succeeded")
    job_id = enter(tx, job, waits_for, batch, behind)
    _note_needs(tx, job_id, job.type, needed)
    return job_id


def _replace(
    tx: Transaction,
    job_id: int,
    job: NewJob,
    batch: int | None,
    behind: int | None = None,
) -> None:
    if job.needs and tx.sql.in_turn:
        tx.execute(tx.sql.in_turn)  # two that each add a half of a circle
    needed = _needed(tx, job.needs)
    if needed and tx.execute(tx.sql.needed_by, {"needs": encode(list(needed)), "id": job_id}).fetchone():
        raise QueueError(
            f"Job {job_id} would wait for itself: what it is to need waits for it.", "Name other jobs as its needs."
        )
    waits_for = sum(1 for state in needed.values() if state != "succeeded")
    tx.execute("DELETE FROM dependencies WHERE job_id = ?", (job_id,))
    # claims may be past its id: it tells since when it is this one
    row = row_to_insert(job, waits_for, batch, tx.now, behind, since=tx.now)
    tx.execute(sql.REPLACE, (*row, *more_to_insert(job, tx.now), job_id))
    _note_needs(tx, job_id, job.type, needed)


def _needed(tx: Transaction, needs: Iterable[int]) -> dict[int, str]:
    """State by id of the jobs that a new one needs."""
    found = {}
    for needs_id in sorted(needs):
        row = tx.execute(tx.sql.needed_job, (needs_id,)).fetchone()
        if row is None:
            raise UnknownJobError(needs_id)
        found[needs_id] = row[0]
    return found


def _note_needs(tx: Transaction, job_id: int, type_: str, needed: Mapping[int, str]) -> None:
    if needed:
        tx.executemany(sql.NEED, [(job_id, needs_id) for needs_id in needed])
        end_where_a_need_failed(tx, job_id, type_, needed)


def end_where_a_need_failed(tx: Transaction, job_id: int, type_: str, needed: Mapping[int, str]) -> None:
    """End a job as the first of what it needs has ended that did not succeed; *needed* are their states by id."""
    for needs_id, state in needed.items():
        if state in {"failed", "cancelled"}:
            error = encode(need_not_met(needs_id, state))
            tx.execute(sql.FAIL if state == "failed" else sql.CANCEL, (tx.now, error, job_id))
            end_dependents(tx, job_id, type_, state)
            return


def insert_all(tx: Transaction, jobs: Sequence[NewJob], on_conflict: OnConflict, batch: int | None) -> list[int]:
    """Enter *jobs*; returns their ids. Many that nothing hinges on go in with one statement."""
    if len(jobs) == 1 or not all(map(eq, map(_RARE, jobs), repeat(_RARELY_GIVEN))):
        return [insert(tx, job, on_conflict, batch) for job in jobs]
    if not jobs:
        return []
    return tx.insert_many(sql.INSERT, [row_to_insert(job, 0, batch, tx.now) for job in jobs])


def keep_open(tx: Transaction, batch: int) -> None:
    """See that *batch* takes jobs, and that it calls nobody back before it has got them (:func:`want`).

    Raises:
        LostBatchError: it has ended.
    """
    if not tx.execute(sql.KEEP_OPEN, (batch,)).fetchall():
        raise LostBatchError(
            f"Batch {batch} has ended, or never was; it takes no more jobs.", "Put them into another, or build again."
        )


def want(tx: Transaction, batch: int, ids: Sequence[int]) -> None:
    """Note that *batch* wants these jobs; where none of its jobs is left to wait for, it calls back."""
    tx.executemany(sql.WANT, [(batch, id_) for id_ in ids])
    for pending, callback in tx.execute(sql.COUNT_PENDING, (batch,)).fetchall():
        if pending == 0:
            call_back(tx, batch, callback)
