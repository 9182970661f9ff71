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
import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from clx.db import statements as sql
from clx.db import transitions
from clx.db.handling import refuse_endless_wait
from clx.db.lookup import Lookup
from clx.db.records import (
    Failure,
    Job,
    JobState,
    NewJob,
    OnConflict,
    Report,
    Settled,
    Success,
    check_reports,
    encode,
    new_jobs,
)
from clx.db.rescue import Rescuer
from clx.db.sqlite.database import Database
from clx.db.transaction import Transaction
from clx.db.validation import (
    check_backoff,
    check_batch,
    check_choice,
    check_claim,
    check_ids,
    check_lease,
    check_moments,
    check_timeout,
    check_types,
)
from clx.db.writer import SLICE, Writer
from clx.errors import DatabaseError, JobExistsError, LostRunError

if TYPE_CHECKING:
    from clx.db.retention import Pruned

__all__ = ["Failure", "Job", "JobState", "NewJob", "OnConflict", "Queue", "Settled", "Success"]

log = logging.getLogger("clx.queue")

DEFAULT_LEASE = 30_000
"""Milliseconds a claim lasts unless it is renewed."""
_RESCUE_EVERY = 1.0
"""Seconds between two looks for silent workers by claims that find jobs without them."""
_ON_CONFLICT = get_args(OnConflict)
_FLOOD_PAUSE = 0.05
"""Seconds between two slices of very many delayed jobs that are due at once, while others can be claimed."""


class Queue(Lookup):
    """The jobs of one database.

    Times are those of its database's clock; all durations are milliseconds. Usable from several threads at once.

    Args:
        database: an open :class:`~clx.db.sqlite.database.Database`; :meth:`open` makes one.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._writer = Writer(database)
        self._write = self._writer.write
        self._rescuer = Rescuer(database, self._writer)
        self._worker: int | None = None
        self._registering = threading.Lock()
        self._rescue_at = 0.0
        self._promote_at = 0.0
        self._fruitful = False  # a claim after one that found something needs no look before it takes the lock

    @classmethod
    def open(cls, path_or_url: str | Any, **options: Any) -> Self:
        """The queue in a file, made where there is none.

        Args:
            path_or_url: a path, ``sqlite:///PATH`` with ``?journal_mode=delete`` where wanted, or ``memory:``
                for a queue that lives and ends with this object.
            options: as :class:`~clx.db.sqlite.database.Database` takes them.

        Raises:
            DatabaseError: as :meth:`clx.db.sqlite.database.Database.open` says.
            UsageError: the URL names something else.
        """
        from clx.db.location import open_database

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
        if type(job) is not NewJob:
            new_jobs([job])
        check_moments([job], self.database.clock)

        def body(tx: Transaction) -> int:
            tx.bells.add(job.type)
            return transitions.insert(tx, job, on_conflict, None)

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
                transitions.keep_open(tx, batch)
            ids = transitions.insert_all(tx, todo, on_conflict, batch)
            if batch is not None:
                transitions.want(tx, batch, ids)
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
            ids = transitions.insert_all(tx, todo, "return", batch)
            transitions.want(tx, batch, ids)
            if tx.execute(sql.SET_CALLBACK, (told, batch)).fetchone()[0] == 0:
                transitions.call_back(tx, batch, told)
            return batch, ids

        return self._write("enqueue_batch", body)

    # -- a worker's side --------------------------------------------------------------------------

    def claim(
        self,
        types: Sequence[str],
        n: int = 1,
        *,
        worker: int | None = None,
        pool: str = "",
        lease: int = DEFAULT_LEASE,
    ) -> list[Job]:
        """Take up to *n* jobs of *pool*, in claim order: priority, then deadline, then id.

        Those whose leases are over are taken from their silent workers first: where none waits, and else once a
        second.

        Args:
            types: whichever of them; the claim order is that over all of them.
            worker: whose they are; None: this object's own, registered with its first claim.
            lease: milliseconds until the claim must have been renewed by :meth:`heartbeat`.

        Raises:
            LostWorkerError: the worker was struck off.
            DatabaseError: the file was removed or replaced.
        """
        check_claim(types, n, lease)
        claimed: list[Job] = []
        if time.monotonic() >= self._rescue_at and self._fruitful:
            self.rescue()  # jobs of the silent must not wait for a backlog to end
        if self._fruitful or self.may_claim(types, pool):
            claimed = self._settle((), types, n, worker, pool, lease, False).claimed
        if not claimed and n:
            check_types(types)
            self.database.require_in_place()  # else a program whose file was removed waits for ever
            if self.rescue():
                claimed = self._settle((), types, n, worker, pool, lease, False).claimed
        self._fruitful = bool(claimed)
        return claimed

    def rescue(self) -> list[int]:
        """Give every job whose lease is over to another worker, or fail it when its runs are used up.

        Steps of the clock are noticed (:class:`~clx.db.leases.LeaseWatch`), unless it is certain of itself.

        Returns:
            The ids of the jobs taken from silent workers.
        """
        self._rescue_at = time.monotonic() + _RESCUE_EVERY  # claims look once a second and no more
        return self._rescuer.rescue()

    def may_claim(self, types: Sequence[str], pool: str = "") -> bool:
        """Whether a claim could find something: a read, so that idle workers never take the write lock."""
        read = self.database.read
        due = (self.database.clock.now(),)
        return any(read(sql.CLAIMABLE, (pool, type_)) for type_ in types) or bool(read(sql.DUE, due))

    def settle(
        self,
        reports: Sequence[Report],
        types: Sequence[str] = (),
        n: int = 0,
        *,
        worker: int | None = None,
        pool: str = "",
        lease: int = DEFAULT_LEASE,
        harmless: bool = False,
    ) -> Settled:
        """Report ended runs and take the next jobs, in one transaction.

        Args:
            reports: of runs of this *worker*; each is fenced for itself.
            harmless: take several only among jobs that can be held beside others: those that were rescued
                before, or have a single run, come alone.

        Raises:
            LostWorkerError: the worker was struck off; no job was taken and no report either.
        """
        check_claim(types, n, lease)
        return self._settle(check_reports(reports), types, n, worker, pool, lease, harmless)

    def _settle(
        self,
        reports: Sequence[Report],
        types: Sequence[str],
        n: int,
        worker: int | None,
        pool: str,
        lease: int,
        harmless: bool,
    ) -> Settled:
        me = self._me(types) if worker is None else worker
        encoded = [encode(report.result) if isinstance(report, Success) else "" for report in reports]

        def body(tx: Transaction) -> Settled:
            lost: list[Report] = []
            if reports:
                tally = {"succeeded": 0, "failed": 0}
                for report, text in zip(reports, encoded, strict=True):
                    transitions.settle_one(tx, report, text, tally, lost)
                if tally["succeeded"] or tally["failed"]:
                    tx.bells.add(transitions.ENDED)
                transitions.account(tx, me, succeeded=tally["succeeded"], failed=tally["failed"])
            if not n:
                return Settled([], lost)
            promote = time.monotonic() >= self._promote_at
            claimed, flooded = transitions.claim(tx, me, types, pool, n, lease, harmless=harmless, promote=promote)
            if flooded:
                self._promote_at = time.monotonic() + _FLOOD_PAUSE
            return Settled(claimed, lost)

        return self._write("settle" if reports else "claim", body)

    def _me(self, types: Sequence[str]) -> int:
        """The worker that this object is when nobody says which one claims."""
        with self._registering:
            if self._worker is None:
                from clx.db.workers import register_this_process

                self._worker = register_this_process(self.database, ",".join(types))
            return self._worker

    def heartbeat(
        self, job_id: int, run: int, *, lease: int | None = None, progress: Any = None
    ) -> Literal["go on", "cancel"]:
        """Renew the lease of a running job, say how far it is and that its worker lives.

        Args:
            lease: milliseconds from now on; None: as many as the job was claimed with.

        Returns:
            ``"cancel"`` when somebody asked for the job to be cancelled.

        Raises:
            LostRunError: the run is no longer the caller's.
            QueueError: the lease is no number of milliseconds, or JSON cannot say *progress*.
        """
        if lease is not None:
            check_lease(lease)
        params: dict[str, Any] = {"id": job_id, "run": run, "lease": lease}
        statement = sql.HEARTBEAT
        if progress is not None:
            statement, params = sql.HEARTBEAT_PROGRESS, {**params, "progress": encode(progress)}

        def body(tx: Transaction) -> bool:
            rows = tx.execute(statement, {**params, "now": tx.now}).fetchall()
            if not rows:
                raise _lost(job_id, run)
            cancel_requested, worker = rows[0]
            transitions.account(tx, worker)
            return bool(cancel_requested)

        return "cancel" if self._write("heartbeat", body) else "go on"

    def has_live(self, types: Sequence[str], pool: str = "") -> bool:
        """Whether a job of one of these types waits, for whatever, or runs."""
        return bool(self.database.read(self.database.sql.any_live, {"types": encode(list(types)), "pool": pool}))

    def is_cancelled(self, job_id: int, run: int) -> bool:
        """Whether somebody asked for a job that the caller runs to end, or another has begun it anew."""
        rows = self.database.read(sql.CANCEL_REQUESTED, (job_id,))
        if not rows:
            return True
        cancel_requested, state, newest = rows[0]
        return bool(cancel_requested) or state == "cancelled" or newest != run

    def finish(
        self,
        job_id: int,
        run: int,
        result: Any = None,
        *,
        peak_memory: int | None = None,
    ) -> None:
        """Report success; a job with a key leaves its result for whoever asks the same question.

        Raises:
            LostRunError: the run is no longer the caller's; nothing was changed.
        """
        report, encoded = Success(job_id, run, peak_memory=peak_memory), encode(result)

        def body(tx: Transaction) -> None:
            worker = transitions.succeed(tx, report, encoded)
            if worker is None:
                raise _lost(job_id, run)
            transitions.account(tx, worker, succeeded=1)
            tx.bells.add(transitions.ENDED)

        self._write("finish", body)

    def fail(
        self,
        job_id: int,
        run: int,
        error: Mapping[str, Any],
        *,
        retry: bool = False,
        backoff: int | None = None,
        stderr: str | None = None,
        peak_memory: int | None = None,
    ) -> Literal["queued", "failed", "cancelled"]:
        """Report failure; arguments as in :class:`~clx.db.records.Failure`.

        Returns:
            The state the job is in now.

        Raises:
            LostRunError: the run is no longer the caller's; nothing was changed.
        """
        report = Failure(job_id, run, error, retry, backoff, stderr, peak_memory)

        def body(tx: Transaction) -> Literal["queued", "failed", "cancelled"]:
            ended = transitions.fail(tx, report)
            if ended is None:
                raise _lost(job_id, run)
            transitions.account(tx, ended[0], failed=1)
            tx.bells.add(transitions.ENDED)
            return ended[1]

        return self._write("fail", body)

    def release(self, job_id: int, run: int, *, delay: int = 0) -> None:
        """Hand a running job back uncounted, as a draining worker does.

        Args:
            delay: milliseconds before anybody may claim it again: for one whose turn has not come yet.

        Raises:
            LostRunError: the run is no longer the caller's.
            QueueError: *delay* is no number of milliseconds.
        """
        check_backoff(delay)
        self._give_back("release", job_id, run, delay)

    def release_many(self, runs: Sequence[tuple[int, int]]) -> None:
        """Hand back jobs, each by id and run, in one transaction; those that are somebody else's now are left alone."""

        def body(tx: Transaction) -> None:
            for job_id, run in runs:
                transitions.release(tx, job_id, run)

        self._write("release", body)

    def end_cancelled(self, job_id: int, run: int) -> None:
        """Report that a running job stopped because it was told to; one that is wanted again waits instead.

        Raises:
            LostRunError: the run is no longer the caller's.
        """
        self._give_back("end_cancelled", job_id, run)

    def _give_back(self, name: str, job_id: int, run: int, delay: int = 0) -> None:
        def body(tx: Transaction) -> None:
            if not transitions.release(tx, job_id, run, delay=delay):
                raise _lost(job_id, run)

        self._write(name, body)

    def release_worker(self, worker_id: int) -> list[int]:
        """Hand the running jobs of a worker that was ended on purpose back, uncounted; returns their ids."""

        def body(tx: Transaction) -> list[int]:
            held = tx.execute(sql.HELD_BY, (worker_id,)).fetchall()
            for id_, run in held:
                transitions.release(tx, id_, run)
            return [id_ for id_, _ in held]

        return self._write("release_worker", body)

    def rescue_worker(
        self,
        worker_id: int,
        cause: Mapping[str, Any],
        *,
        stderr: str | None = None,
        is_lost: Callable[[Transaction], bool] = lambda _: True,
        end: Callable[[Transaction], None] = lambda _: None,
    ) -> list[int]:
        """Give the running jobs of a worker known to be dead to another at once.

        Where it held several, none of them counts a run: nobody knows which one it died of.

        Args:
            cause: how it died: ``{"kind": "signal", "signal": 9}``, ``{"kind": "exit", "code": 1}``, …
            stderr: its last lines.
            is_lost: asked in the transaction: whether it is dead indeed.
            end: what else is to be written down about it.

        Returns:
            The ids of its jobs; none where it is not lost.
        """
        return self._rescuer.rescue_worker(worker_id, cause, stderr, is_lost, end)

    def doubt_leases(self, waited: float = math.inf) -> None:
        """After this program was away for a while: leave others, who may have been too, the time to renew.

        What it waits for the table is noted by :meth:`~clx.db.sqlite.database.Database.write` itself.

        Args:
            waited: for how many seconds; leases of which that is a small part are believed all the same.
        """
        self.database.leases.distrust(waited)

    def takes_writes(self) -> bool:
        """Whether the table takes writes at once; where it does not, nobody's silence says anything."""
        return self._rescuer.takes_writes()

    # -- everybody else's -------------------------------------------------------------------------

    def cancel(self, job_ids: Sequence[int]) -> list[int]:
        """Cancel queued jobs at once; running ones are told through their next heartbeat.

        Some hundred are cancelled in one transaction, so that nobody waits for long.

        Returns:
            The ids that are cancelled now.
        """
        check_ids(job_ids)

        def body(ids: Sequence[int], tx: Transaction) -> list[int]:
            tx.bells.add(transitions.ENDED)
            return [id_ for id_ in ids if transitions.request_cancel(tx, id_)]

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
            return transitions.retry(tx, part)

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

    def prune(self, **days: float) -> Pruned:
        """Remove what is long over, in small transactions: jobs with their runs, workers, batches, kept results.

        Args:
            days: what is kept for how long where it is not the usual: ``succeeded``, ``failed``, ``workers``,
                ``results`` (:class:`~clx.db.retention.Policy`). What a live row names is kept whatever its age.

        Raises:
            QueueError: a value is no number of days.
        """
        from clx.db.retention import Policy, prune

        return prune(self.database, Policy(**days))

    def sql(self, query: str, parameters: Any = ()) -> list[dict[str, Any]]:
        """What a SELECT of one's own finds in the table; it cannot change anything.

        Args:
            query: one statement, with ``?`` or ``:name`` for *parameters*. The tables are described in
                docs/queue.md; columns are only ever added.

        Returns:
            A mapping of column to value for each row.

        Raises:
            QueueError: it is no SELECT, or SQLite does not understand it.
        """
        from clx.db.sqlite.looking import select

        return select(self.database, query, parameters)

    def backup(self, target: str | os.PathLike[str]) -> int:
        """Copy the whole queue to the file *target*, also while it is used; returns its size in bytes.

        Raises:
            UsageError: *target* exists, or cannot be written.
        """
        from clx.db.sqlite.backup import backup

        return backup(self.database, Path(target))

    def wait(self, job_ids: Sequence[int], *, timeout: float | None = None) -> list[Job]:
        """Wait until every one of *job_ids* has ended.

        Args:
            timeout: seconds; None waits as long as it takes.

        Returns:
            The jobs as they are then; some are still live when the time was up.

        Raises:
            QueueError: *timeout* is no number; or there is none, and it is the function of a job that waits.
            DatabaseError: the file was removed or replaced; nobody can end them any more.
        """
        check_ids(job_ids)
        check_timeout(timeout)
        refuse_endless_wait(timeout)
        from clx.db.waiting import wait_for_jobs

        wait_for_jobs(self, job_ids, timeout)
        return self.get_many(job_ids)

    async def wait_async(self, job_ids: Sequence[int], *, timeout: float | None = None) -> list[Job]:
        """As :meth:`wait`, in an event loop, and for any number of waiters: none keeps a thread while it waits."""
        check_ids(job_ids)
        check_timeout(timeout)
        refuse_endless_wait(timeout)
        import asyncio

        from clx.db.awaiting import wait_for_jobs

        await wait_for_jobs(self, job_ids, timeout)
        return await asyncio.to_thread(self.get_many, job_ids)


def _lost(job_id: int, run: int) -> LostRunError:
    return LostRunError(f"Run {run} of job {job_id} is no longer this worker's; its report was not taken.")
