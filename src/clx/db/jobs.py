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
from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from clx.commands import told_in
from clx.db import limits, retrying
from clx.db import statements as sql
from clx.db.cancelling import request_cancel
from clx.db.doorbell import ENDED
from clx.db.durations import Milliseconds, Seconds, in_ms, in_seconds
from clx.db.enqueuing import Enqueuing
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
    result_in,
)
from clx.db.transaction import Transaction
from clx.db.validation import (
    check_id,
    check_ids,
    check_limit_of_jobs,
    check_timeout,
    check_type,
)
from clx.db.worker_side import WorkerSide
from clx.db.writer import SLICE
from clx.errors import DatabaseError, JobExistsError

if TYPE_CHECKING:
    from clx.db.async_queue import AsyncQueue
    from clx.db.calls.table import Calls
    from clx.db.pipelines.table import Pipelines
    from clx.db.postgresql.within import Within
    from clx.db.retention import Pruned
    from clx.db.schedules.table import Schedules
    from clx.db.works.table import Works

__all__ = ["Failure", "Job", "JobState", "NewJob", "OnConflict", "Queue", "Settled", "Success"]

log = logging.getLogger("clx.queue")


class CancelledJobs(list[int]):
    """The ids of jobs that were cancelled.

    Attributes:
        asked: those of running ones, which were asked to end.
    """

    def __init__(self, found: Sequence[tuple[int, bool]]) -> None:
        super().__init__(job_id for job_id, is_cancelled in found if is_cancelled)
        self.asked = [job_id for job_id, is_cancelled in found if not is_cancelled]


class Queue(WorkerSide, Enqueuing):
    """The jobs of one database.

    Times are those of its database's clock; all durations are milliseconds. Usable from several threads at once.

    Args:
        database: an open :class:`~clx.db.database.Database`; :meth:`open` makes one.
    """

    _awaited: AsyncQueue | None = None

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
            if self._awaited is not None:
                self._awaited.let_go()
            self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @cached_property
    def schedules(self) -> Schedules:
        """What is queued at times: the schedules of this database."""
        from clx.db.schedules.table import Schedules

        return Schedules(self.database)

    @cached_property
    def calls(self) -> Calls:
        """What runs of workflows have called, and the routines that workers have."""
        from clx.db.calls.table import Calls

        return Calls(self.database)

    @cached_property
    def works(self) -> Works:
        """Works: everything about one piece of work in one document."""
        from clx.db.works.table import Works

        return Works(self)

    @cached_property
    def pipelines(self) -> Pipelines:
        """Pipelines: which works follow which."""
        from clx.db.pipelines.table import Pipelines

        return Pipelines(self)

    def within(self, connection: Any) -> Within:
        """This queue within a transaction of the caller's: what is put in is there exactly if that is committed.

        Args:
            connection: of psycopg to the database that the queue lies in; or a connection, session or cursor of
                SQLAlchemy or Django that has one.

        Returns:
            What has ``enqueue``, ``enqueue_many``, ``enqueue_batch``, and ``ring()``, to be called after the commit.

        Raises:
            QueueError: the queue lies in no PostgreSQL database, or the connection is in no transaction in it.
        """
        inside: Within = self.database.within(connection)
        return inside

    # -- everybody else's -------------------------------------------------------------------------

    def cancel(self, job_ids: Sequence[int]) -> CancelledJobs:
        """Cancel queued jobs at once; running ones are told through their next heartbeat.

        Some hundred are cancelled in one transaction, so that nobody waits for long.

        Returns:
            The ids that are cancelled now; its ``asked`` are those of running jobs, which end as soon as they heed it.
        """
        check_ids(job_ids)

        def body(ids: Sequence[int], tx: Transaction) -> list[tuple[int, bool]]:
            tx.bells.add(ENDED)
            return [(id_, done) for id_ in ids if (done := request_cancel(tx, id_)) is not None]

        found = self._writer.write_in_slices("cancel", list(job_ids), body)
        return CancelledJobs(found)

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
                found = JobExistsError(job_id, other if isinstance(other, str) else "queued")
                found.next_step = told_in(found.next_step, self.database.path)
                raise found
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
            was_paused = bool(tx.execute(sql.RESUME, (type, pool)).fetchall())
            waiting = tx.execute(tx.sql.limits_with_room, {"now": tx.now}).fetchall() if was_paused else ()
            limits.let_go(tx, sorted(name for (name,) in waiting))
            return was_paused

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
                tx.execute(sql.SET_NO_LIMIT, (name,))
            else:
                tx.execute(sql.SET_LIMIT, named)
            limits.let_go(tx, [name])

        self._write("set_limit", body)

    def prune(self, **days: float | timedelta) -> Pruned:
        """Remove what is long over, in small transactions: jobs with their runs, workers, batches, kept results.

        Args:
            days: what is kept for how many days, or how long a ``timedelta``, where it is not the usual:
                ``succeeded``, ``failed``, ``workers``, ``results``, ``works``, ``pipelines``
                (:class:`~clx.db.retention.Policy`). What a live row names is kept whatever its age.

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
        return result_in(self.database.path, job_id, found[0] if found else None)

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
        """As :meth:`wait`, in an event loop, and for any number of waiters: none keeps a thread while it waits.

        All that :class:`~clx.db.async_queue.AsyncQueue` has is awaited.
        """
        if self._awaited is None:
            from clx.db.async_queue import AsyncQueue

            self._awaited = AsyncQueue(self)
        return await self._awaited.wait(job_ids, timeout=timeout)
