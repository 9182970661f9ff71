"""A worker's side of the queue: claim under a lease, keep it by a heartbeat, report under a fence."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from clx.db import claiming, finishing, leases
from clx.db import statements as sql
from clx.db.database import Database
from clx.db.doorbell import ENDED
from clx.db.durations import Milliseconds, in_ms
from clx.db.models import Failure, Job, Report, Settled, Success, check_reports, encode
from clx.db.queries import Lookup
from clx.db.rescue import Rescuer
from clx.db.settling import Together
from clx.db.transaction import Transaction, Write
from clx.db.validation import check_backoff, check_claim, check_ids, check_lease, check_types
from clx.db.writer import Writer
from clx.errors import LostRunError

DEFAULT_LEASE = 30_000
"""Milliseconds a claim lasts unless it is renewed."""
_RESCUE_EVERY = 1.0
"""Seconds between two looks for silent workers by claims that find jobs without them."""
_FLOOD_PAUSE = 0.05
"""Seconds between two slices of very many delayed jobs that are due at once, while others can be claimed."""


class WorkerSide(Lookup):
    """What :class:`clx.db.jobs.Queue` has for workers.

    Args:
        database: an open database.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._writer = Writer(database)
        self._write: Write = self._writer.write
        self._rescuer = Rescuer(database, self._writer)
        self._worker: int | None = None
        self._registering = threading.Lock()
        self._rescue_at = 0.0
        self._promote_at = 0.0
        self._was_first = False
        self._fruitful = False  # a claim after one that found something needs no look before it takes the lock

    def claim(
        self,
        types: Sequence[str],
        n: int = 1,
        *,
        worker: int | None = None,
        pool: str = "",
        lease: Milliseconds = DEFAULT_LEASE,
    ) -> list[Job]:
        """Take up to *n* jobs of *pool*, in claim order: priority, then deadline, then id.

        Those whose leases are over are taken from their silent workers first: where none waits, and else once a
        second.

        Args:
            types: whichever of them; the claim order is that over all of them.
            worker: whose they are; None: this object's own, registered with its first claim.
            lease: milliseconds, or a ``timedelta``, until the claim must have been renewed by :meth:`heartbeat`.

        Raises:
            LostWorkerError: the worker was struck off.
            DatabaseError: the file was removed or replaced.
        """
        lease = in_ms(lease)
        check_claim(types, n, lease, pool)
        claimed: list[Job] = []
        if self._fruitful and self.is_rescue_due:
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

    @property
    def is_rescue_due(self) -> bool:
        """Whether the last look for silent workers is a while ago."""
        return time.monotonic() >= self._rescue_at

    def rescue(self) -> list[int]:
        """Give every job whose lease is over to another worker, or fail it when its runs are used up.

        Jobs that have not begun in time are cancelled with that, and limits let go what they need not hold back.
        Steps of the clock are noticed (:class:`~clx.db.leases.LeaseWatch`), unless it is certain of itself.

        Returns:
            The ids of the jobs taken from silent workers.
        """
        self._rescue_at = time.monotonic() + _RESCUE_EVERY  # claims look once a second and no more
        self._rescuer.sweep()
        return self._rescuer.rescue()

    def may_claim(self, types: Sequence[str], pool: str = "", *, told: bool = False) -> bool:
        """Whether a claim could find something: a read, so that idle workers never take the write lock.

        Args:
            told: a bell has rung; who found something there the last time need not look.
        """
        database = self.database
        if told and self._was_first:
            return True
        if database.is_any_claimable(pool, types):
            return True
        is_due = bool(database.read(sql.DUE, (database.clock.now(),)))
        if not is_due:
            database.find_marks(pool, types, idle=True)
        return is_due

    def settle(
        self,
        reports: Sequence[Report],
        types: Sequence[str] = (),
        n: int = 0,
        *,
        worker: int | None = None,
        pool: str = "",
        lease: Milliseconds = DEFAULT_LEASE,
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
        lease = in_ms(lease)
        check_claim(types, n, lease, pool)
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
        me = self.worker_for(types) if worker is None else worker
        encoded = [encode(report.result) if isinstance(report, Success) else "" for report in reports]

        def body(tx: Transaction) -> Settled:
            promote = time.monotonic() >= self._promote_at
            claim = claiming.Claim(tx, me, types, pool, n, lease, harmless=harmless, promote=promote) if n else None
            lost = _report(tx, reports, encoded, me, claim)
            if claim is None:
                return Settled([], lost)
            claimed, flooded = claim.take()
            if flooded:
                self._promote_at = time.monotonic() + _FLOOD_PAUSE
            return Settled(claimed, lost)

        if n:
            self.database.find_marks(pool, types)
        settled = self._write("settle" if reports else "claim", body)
        if n and not reports:
            self._was_first = bool(settled.claimed)
        return settled

    def worker_for(self, types: Sequence[str]) -> int:
        """The worker that this object is when nobody says which one claims; registered as one of *types* at first."""
        with self._registering:
            if self._worker is None:
                from clx.db.workers import register_this_process

                self._worker = register_this_process(self.database, ",".join(types))
            return self._worker

    def heartbeat(
        self, job_id: int, run: int, *, lease: Milliseconds | None = None, progress: Any = None
    ) -> Literal["go on", "cancel"]:
        """Renew the lease of a running job, say how far it is and that its worker lives.

        Args:
            lease: milliseconds from now on, or a ``timedelta``; None: as many as the job was claimed with.

        Returns:
            ``"cancel"`` when somebody asked for the job to be cancelled.

        Raises:
            LostRunError: the run is no longer the caller's.
            QueueError: the lease is no number of milliseconds, or JSON cannot say *progress*.
        """
        check_ids((job_id, run))
        lease = in_ms(lease)
        if lease is not None:
            check_lease(lease)
        told = None if progress is None else encode(progress)

        def body(tx: Transaction) -> bool:
            renewed = leases.renew(tx, job_id, run, lease, told)
            if renewed is None:
                raise _lost(job_id, run)
            worker, is_cancelled = renewed
            finishing.account(tx, worker)
            return is_cancelled

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
        check_ids((job_id, run))
        report, encoded = Success(job_id, run, peak_memory=peak_memory), encode(result)

        def body(tx: Transaction) -> None:
            worker = finishing.succeed(tx, report, encoded)
            if worker is None:
                raise _lost(job_id, run)
            finishing.account(tx, worker, succeeded=1)
            tx.bells.add(ENDED)

        self._write("finish", body)

    def fail(
        self,
        job_id: int,
        run: int,
        error: Mapping[str, Any],
        *,
        retry: bool = False,
        backoff: Milliseconds | None = None,
        stderr: str | None = None,
        peak_memory: int | None = None,
    ) -> Literal["queued", "failed", "cancelled"]:
        """Report failure; arguments as in :class:`~clx.db.models.Failure`.

        Returns:
            The state the job is in now.

        Raises:
            LostRunError: the run is no longer the caller's; nothing was changed.
        """
        check_ids((job_id, run))
        report = Failure(job_id, run, error, retry, backoff, stderr, peak_memory)

        def body(tx: Transaction) -> Literal["queued", "failed", "cancelled"]:
            ended = finishing.fail(tx, report)
            if ended is None:
                raise _lost(job_id, run)
            finishing.account(tx, ended[0], failed=1)
            tx.bells.add(ENDED)
            return ended[1]

        return self._write("fail", body)

    def release(self, job_id: int, run: int, *, delay: Milliseconds = 0) -> None:
        """Hand a running job back uncounted, as a draining worker does.

        Args:
            delay: milliseconds, or a ``timedelta``, before anybody may claim it again: for one whose turn has not
                come yet.

        Raises:
            LostRunError: the run is no longer the caller's.
            QueueError: *delay* is no number of milliseconds.
        """
        delay = in_ms(delay)
        check_backoff(delay)
        self._give_back("release", job_id, run, delay)

    def release_many(self, runs: Sequence[tuple[int, int]]) -> None:
        """Hand back jobs, each by id and run, in one transaction; those that are somebody else's now are left alone."""

        def body(tx: Transaction) -> None:
            for job_id, run in runs:
                finishing.release(tx, job_id, run)

        self._write("release", body)

    def end_cancelled(self, job_id: int, run: int) -> None:
        """Report that a running job stopped because it was told to; one that is wanted again waits instead.

        Raises:
            LostRunError: the run is no longer the caller's.
        """
        self._give_back("end_cancelled", job_id, run)

    def _give_back(self, name: str, job_id: int, run: int, delay: int = 0) -> None:
        check_ids((job_id, run))

        def body(tx: Transaction) -> None:
            if not finishing.release(tx, job_id, run, delay=delay):
                raise _lost(job_id, run)

        self._write(name, body)

    def release_worker(self, worker_id: int) -> list[int]:
        """Hand the running jobs of a worker that was ended on purpose back, uncounted; returns their ids."""

        def body(tx: Transaction) -> list[int]:
            held = tx.execute(tx.sql.held_by, (worker_id,)).fetchall()
            for id_, run in held:
                finishing.release(tx, id_, run)
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

    def distrust_leases(self, waited: float = math.inf) -> None:
        """After this program was away for a while: leave others, who may have been too, the time to renew.

        What it waits for the table is noted by :meth:`~clx.db.database.Database.write` itself.

        Args:
            waited: for how many seconds; leases of which that is a small part are believed all the same.
        """
        self.database.leases.distrust(waited)

    def takes_writes(self) -> bool:
        """Whether the table takes writes at once; where it does not, nobody's silence says anything."""
        return self._rescuer.takes_writes()


def _report(
    tx: Transaction, reports: Sequence[Report], encoded: Sequence[str], worker: int, then: claiming.Claim | None
) -> list[Report]:
    """Take *reports*, and have what comes next asked with them; returns those not *worker*'s any more."""
    ahead = [] if then is None else then.statements
    if not reports:
        tx.ahead(ahead)
        return []
    told = Together(tx, reports, encoded, worker)
    only_successes = len(told.statements) > 0 and all(isinstance(report, Success) for report in reports)
    # else not: what a failure gives back may be claimed at once
    tx.ahead([*told.statements, *(ahead if only_successes else ())])
    return told.settle()


def _lost(job_id: int, run: int) -> LostRunError:
    return LostRunError(f"Run {run} of job {job_id} is no longer this worker's; its report was not taken.")
