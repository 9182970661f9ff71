"""The queue: jobs go in, are claimed under a lease, and finish under a fence.

Rules, each held by a test (docs/guarantees.md):

* a job is in the table when :meth:`Queue.enqueue` returned;
* every report of a worker is fenced by ``id AND run AND state = 'running'``;
* every claimed run ends in exactly one ``runs`` row;
* a rescue repeats its predicate inside its transaction and counts the run;
* time is a parameter of every statement that compares times, and is taken inside its transaction.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, get_args

from clx.db import inserting, limits, retrying
from clx.db import statements as sql
from clx.db.cancelling import request_cancel
from clx.db.consequences import call_back
from clx.db.doorbell import ENDED
from clx.db.durations import Milliseconds, Seconds, in_ms, in_seconds
from clx.db.handlers import refuse_endless_wait
from clx.db.models import (
    Failure,
    Job,
    JobState,
    NewJob,
    OnConflict,
    Settled,
    Success,
    encode,
    new_jobs,
    result_of,
)
from clx.db.transaction import Transaction
from clx.db.validation import (
    check_batch,
    check_choice,
    check_id,
    check_ids,
    check_limit_of_jobs,
    check_moments,
    check_timeout,
    check_type,
)
from clx.db.worker_side import WorkerSide
from clx.db.writer import SLICE
from clx.errors import DatabaseError, JobExistsError, QueueError

if TYPE_CHECKING:
    from clx.db.retention import Pruned
    from clx.db.schedules.table import Schedules

__all__ = ["Failure", "Job", "JobState", "NewJob", "OnConflict", "Queue", "Settled", "Success"]

log = logging.getLogger("clx.queue")

_ON_CONFLICT = get_args(OnConflict)


class Queue(WorkerSide):
    """The jobs of one database.

    Times are those of its database's clock; all durations are milliseconds. Usable from several threads at once.

    Args:
        database: an open :class:`~clx.db.database.Database`; :meth:`open` makes one.
    """

    @classmethod
    def open(cls, path_or_url: str | Any, **options: Any) -> Self:
        """The queue in a file, made where there is none.

        Args:
            path_or_url: a path, ``sqlite:///PATH`` with ``?journal_mode=delete`` where wanted, ``memory:`` for a
                queue that lives and ends with this object, or ``postgresql://USER:PASSWORD@HOST/DATABASE``.
            options: as :class:`~clx.db.database.Database` takes them.

        Raises:
            DatabaseError: as :meth:`clx.db.database.Database.open` says.
            UsageError: the URL names something else.
        """
        from clx.db.url import open_database

        return cls(open_database(path_or_url, **options))

    def close(self) -> None:
        """Hand back what :meth:`claim` took and nobody reported, strike its worker off, and close the database."""
        from clx.db.workers import WorkerTable

        try:
            if self._worker is not None:
                self.release_worker(self._worker)
                WorkerTable(self.database).end(self._worker, "closed")
        except DatabaseError as error:  # its lease tells; closing must not hide why it is closed
            log.warning("%s", error.fact)
        finally:
            self._worker = None
            self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # -- putting in -------------------------------------------------------------------------------

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

    @cached_property
    def schedules(self) -> Schedules:
        """What is queued at times: the schedules of this database."""
        from clx.db.schedules.table import Schedules

        return Schedules(self.database)

    # -- everybody else's -------------------------------------------------------------------------

    def cancel(self, job_ids: Sequence[int]) -> list[int]:
        """Cancel queued jobs at once; running ones are told through their next heartbeat.

        Some hundred are cancelled in one transaction, so that nobody waits for long.

        Returns:
            The ids that are cancelled now.
        """
        check_ids(job_ids)

        def body(ids: Sequence[int], tx: Transaction) -> list[int]:
            tx.bells.add(ENDED)
            return [id_ for id_ in ids if request_cancel(tx, id_)]

        return self._writer.write_in_slices("cancel", list(job_ids), body)

    def retry(self, job_ids: Sequence[int]) -> list[int]:
        """Queue failed and cancelled jobs again, with all their runs.

        Some hundred are queued in one transaction, so that nobody waits for long.

        Returns:
            The ids that are queued now.

        Raises:
            JobExistsError: a live job has the key of one of them, or two of them share one; none was changed. (Of
                many, some may have been, where somebody puts a job with one of their keys in meanwhile.)
        """
        check_ids(job_ids)
        ids = list(dict.fromkeys(job_ids))
        if len(ids) > SLICE:
            ids = self._ready_to_retry(ids)

        def body(part: Sequence[int], tx: Transaction) -> list[int]:
            return retrying.retry(tx, part)

        return self._writer.write_in_slices("retry", ids, body)

    def _ready_to_retry(self, ids: list[int]) -> list[int]:
        """Many jobs in the order in which they can be queued again one after the other: needs first.

        Raises:
            JobExistsError: as :meth:`retry`.
        """
        from graphlib import TopologicalSorter

        named = {"ids": encode(ids)}
        for query in (self.database.sql.key_taken, self.database.sql.key_shared):
            for job_id, other in self.database.read(query, named):
                raise JobExistsError(job_id, other if isinstance(other, str) else "queued")
        sorter = TopologicalSorter[int](dict.fromkeys(ids, ()))
        for job_id, needs_id in self.database.read(self.database.sql.needs_among, named):
            sorter.add(job_id, needs_id)
        return list(sorter.static_order())

    def pause(self, type: str, pool: str = "") -> bool:  # noqa: A002
        """Let nobody claim jobs of a type until :meth:`resume`; those that run go on, and more may go in.

        Args:
            pool: of which pool; each is paused for itself.

        Returns:
            Whether it was not paused before.

        Raises:
            QueueError: no job can be of that type and pool.
        """
        check_type(type, pool)
        return self._write("pause", lambda tx: bool(tx.execute(sql.PAUSE, (type, pool, tx.now)).fetchall()))

    def resume(self, type: str, pool: str = "") -> bool:  # noqa: A002
        """Let jobs of a type be claimed again; returns whether it was paused.

        Raises:
            QueueError: as :meth:`pause`.
        """
        check_type(type, pool)

        def body(tx: Transaction) -> bool:
            tx.bells.add(type)
            return bool(tx.execute(sql.RESUME, (type, pool)).fetchall())

        return self._write("resume", body)

    def set_limit(
        self,
        name: str,
        *,
        concurrency: int | None = None,
        rate: int | None = None,
        per: Milliseconds | None = None,
    ) -> None:
        """Say how many jobs put in with ``NewJob(…, limit=name)`` may run, on however many machines.

        It holds for those that wait already, too. What runs goes on. With neither, nothing limits them any more.

        Args:
            concurrency: at a time.
            rate: begun within *per*, counted from the first one that begins when none was counted; runs count, so that
                one that is tried again counts again.
            per: milliseconds, or a ``timedelta``.

        Raises:
            QueueError: a value is no whole number from 1, or there is a *rate* without *per*.
        """
        period = in_ms(per)
        check_limit_of_jobs(name, concurrency, rate, period)
        named = {"name": name, "concurrency": concurrency, "rate": rate, "period": period}

        def body(tx: Transaction) -> None:
            if concurrency is None and rate is None:
                tx.execute(sql.REMOVE_LIMIT, (name,))
            else:
                tx.execute(sql.SET_LIMIT, named)
            limits.let_go(tx, [name])

        self._write("set_limit", body)

    def prune(self, **days: float | timedelta) -> Pruned:
        """Remove what is long over, in small transactions: jobs with their runs, workers, batches, kept results.

        Args:
            days: what is kept for how many days, or how long a ``timedelta``, where it is not the usual:
                ``succeeded``, ``failed``, ``workers``, ``results`` (:class:`~clx.db.retention.Policy`). What a live row
                names is kept whatever its age.

        Raises:
            QueueError: a value is no number of days.
        """
        from clx.db.retention import Policy, prune

        return prune(self.database, Policy.of(days))

    def sql(self, query: str, parameters: Any = ()) -> list[dict[str, Any]]:
        """What a SELECT of one's own finds in the table; it cannot change anything.

        Args:
            query: one statement, with ``?`` or ``:name`` for *parameters*. The tables are described in
                docs/queue.md; columns are only ever added.

        Returns:
            A mapping of column to value for each row.

        Raises:
            QueueError: it is no SELECT, or the database does not understand it.
        """
        return self.database.select(query, parameters)

    def backup(self, target: str | os.PathLike[str]) -> int:
        """Copy the whole queue to the file *target*, also while it is used; returns its size in bytes.

        Raises:
            UsageError: *target* exists, or cannot be written.
        """
        return self.database.backup(Path(target))

    def result(self, job_id: int, timeout: Seconds | None = None) -> Any:
        """Wait until a job has ended, and give what its function returned.

        Args:
            timeout: seconds, or a ``timedelta``; None waits as long as it takes, 0 not at all.

        Raises:
            JobFailedError: it has failed; with the error that is stored.
            JobCancelledError: it was cancelled.
            JobTimeoutError: it has not ended in time; also a ``TimeoutError``.
            UnknownJobError: it is not in the table, or not any more.
            QueueError, DatabaseError: as :meth:`wait`.
        """
        check_id(job_id)
        found = self.wait([job_id], timeout=timeout)
        return result_of(job_id, found[0] if found else None)

    def wait(self, job_ids: Sequence[int], *, timeout: Seconds | None = None) -> list[Job]:
        """Wait until every one of *job_ids* has ended.

        Args:
            timeout: seconds, or a ``timedelta``; None waits as long as it takes.

        Returns:
            The jobs as they are then; some are still live when the time was up.

        Raises:
            QueueError: *timeout* is no number; or there is none, and it is the function of a job that waits.
            DatabaseError: the file was removed or replaced; nobody can end them any more.
        """
        check_ids(job_ids)
        timeout = in_seconds(timeout)
        check_timeout(timeout)
        refuse_endless_wait(timeout)
        from clx.db.wait import wait_for_jobs

        wait_for_jobs(self, job_ids, timeout)
        return self.get_many(job_ids)

    async def wait_async(self, job_ids: Sequence[int], *, timeout: Seconds | None = None) -> list[Job]:
        """As :meth:`wait`, in an event loop, and for any number of waiters: none keeps a thread while it waits."""
        check_ids(job_ids)
        timeout = in_seconds(timeout)
        check_timeout(timeout)
        refuse_endless_wait(timeout)
        import asyncio

        from clx.db.wait_async import wait_for_jobs

        await wait_for_jobs(self, job_ids, timeout)
        return await asyncio.to_thread(self.get_many, job_ids)
