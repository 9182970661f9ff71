"""Putting jobs in: what every face of the queue that can do so has in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from clx.db import inserting
from clx.db import statements as sql
from clx.db.consequences import call_back
from clx.db.database import Database
from clx.db.models import NewJob, OnConflict, encode, new_jobs
from clx.db.transaction import Transaction, Write
from clx.db.validation import check_batch, check_choice, check_moments
from clx.errors import QueueError

_ON_CONFLICT = get_args(OnConflict)


class Enqueuing:
    """Puts jobs into one database, in transactions of its own or of somebody else's."""

    database: Database
    _write: Write

    def enqueue(self, job: NewJob, *, on_conflict: OnConflict = "return") -> int:
        """Store *job* and wake a worker. The job is in the table when this returns.

        Args:
            on_conflict: what to do when a live job of the same pool and type has its key: ``return`` that one's id;
                ``raise``; ``replace``: a queued one becomes this job and keeps its id; or ``after``: likewise, but
                behind one that runs this job waits until that one has ended, so that no change is missed.

        Raises:
            QueueError: *on_conflict* is another word, or JSON cannot say the payload.
            JobExistsError: such a job exists and *on_conflict* is ``raise``, or it runs and may not be replaced.
            UnknownJobError: it needs a job that is not in the table.
        """
        check_choice("on_conflict", on_conflict, _ON_CONFLICT)
        if not isinstance(job, NewJob):
            raise QueueError("A job goes in as a NewJob.", 'Write NewJob("type", {…}); enqueue_many takes several.')
        check_moments([job], self.database.clock)

        def body(tx: Transaction) -> int:
            tx.bells.add(job.type)
            return inserting.insert(tx, job, on_conflict, None)

        return self._write("enqueue", body)

    def enqueue_many(
        self,
        jobs: Iterable[NewJob],
        *,
        batch: int | None = None,
        on_conflict: OnConflict = "return",
    ) -> list[int]:
        """Store many jobs in one transaction, all or none; *batch* is noted as wanting each of them.

        Raises:
            QueueError, JobExistsError, UnknownJobError: as :meth:`enqueue`.
            LostBatchError: the batch has ended.
        """
        check_choice("on_conflict", on_conflict, _ON_CONFLICT)
        todo = new_jobs(jobs)
        check_moments(todo, self.database.clock)

        def body(tx: Transaction) -> list[int]:
            tx.bells.update([job.type for job in todo])
            if batch is not None:
                inserting.keep_open(tx, batch)
            ids = inserting.insert_all(tx, todo, on_conflict, batch)
            if batch is not None:
                inserting.want(tx, batch, ids)
            return ids

        return self._write("enqueue", body)

    def enqueue_batch(self, jobs: Iterable[NewJob], callback: NewJob, *, name: str = "") -> tuple[int, list[int]]:
        """Store jobs, and a *callback* that is queued when the last of them has ended, however it ended.

        The callback's payload gets ``batch``: its id and how many jobs ``succeeded``, ``failed`` and were
        ``cancelled``. Its row is written in the transaction that ends the last job.

        Returns:
            The id of the batch and those of its jobs.

        Raises:
            QueueError: the callback has needs or a key; it waits for its batch and belongs to it alone.
            UnknownJobError: as :meth:`enqueue`.
        """
        todo = new_jobs(jobs)
        check_batch(name, callback)
        check_moments([*todo, callback], self.database.clock)
        told = encode(callback)

        def body(tx: Transaction) -> tuple[int, list[int]]:
            batch = tx.insert(sql.OPEN_OWNERLESS, (name, sql.NO_TIME, tx.now))
            tx.bells.update(job.type for job in todo)
            ids = inserting.insert_all(tx, todo, "return", batch)
            inserting.want(tx, batch, ids)
            if tx.execute(sql.SET_CALLBACK, (told, batch)).fetchone()[0] == 0:
                call_back(tx, batch, told)
            return batch, ids

        return self._write("enqueue_batch", body)
