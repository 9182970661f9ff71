"""The loop of a worker inside a program of one's own: claim, run a function, report.

Usage::

    with Queue.open("jobs.db") as queue:
        Consumer(queue, {"resize": resize}).run()

While jobs are long, each is claimed, run and reported by itself; the report and the next claim share a
transaction. While jobs are short, several are claimed ahead and reported together, :data:`FLUSH` seconds
late at most, or 0.1 s when a long job follows a short one. Jobs held ahead of a long one are handed back.
The function runs in this process: a timeout fails the job but cannot stop the function. To have it killed,
use worker processes.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from clx.db.claimed_jobs import ClaimedJobs
from clx.db.durations import Milliseconds, Seconds, counted, in_ms, in_seconds
from clx.db.handlers import (
    Interrupted,
    by_type,
    call,
    described,
    functions,
    is_awaited,
    is_of_the_program,
    pause_after,
)  # fmt: skip
from clx.db.hooks import Hooks, tell
from clx.db.jobs import Failure, Job, Queue, Success
from clx.db.leases import beat_of
from clx.db.mark_dead import mark_gone_workers_dead
from clx.db.models import Report, encode
from clx.db.schedules.sweep import Sweep
from clx.db.shutdown import Ending
from clx.db.tasks import Task
from clx.db.upkeep import USUAL, Upkeep
from clx.db.validation import check_consumer
from clx.db.wait import SLOW_BEAT, Bells, rest
from clx.db.worker_side import DEFAULT_LEASE
from clx.db.workers import WorkerTable, register_this_process
from clx.errors import (
    PASSING,
    Cancelled,
    ClxError,
    DatabaseError,
    DatabaseWriteError,
    LostRunError,
    OddRowError,
    QueueError,
    Retry,
)

if TYPE_CHECKING:
    from clx.db.async_consumer import Serving

log = logging.getLogger("clx.consumer")

Handler = Callable[[Job], Any]
FLUSH = 0.010
"""Seconds a result waits at most before it is reported, counted from the first unreported one."""
GRACE = 8.0
"""Seconds after SIGTERM or SIGINT at which the job at hand is given up: containers are killed after 10."""
_LEAVE_IN = 5.0
"""Seconds that leaving may wait for the lock of the table; what it could not say, leases tell."""
_REFUSALS = 60
"""Tries, one a second, after which a disk that refuses to be written to is given up: that is no full quota."""
_PAUSE = 0.2  # seconds between two tries of the heartbeat while the table takes nothing


class Consumer:
    """Runs the jobs of one queue with functions of this process, one at a time unless more are asked for.

    Coroutine functions run as tasks of an event loop that :meth:`run` has; a timeout, a cancellation and the end of the
    time to stop reach them as ``asyncio.CancelledError``. Where there is one, or *concurrency* is above 1, functions
    that are none run in threads.

    Args:
        queue: where the jobs are.
        handlers: job type → the function that does it; what it returns is the job's result, an exception
            its failure, tried again while runs are left (:class:`~clx.errors.Retry` and
            :class:`~clx.errors.Discard` say more). ``job.progress(x)`` tells how far it is, ``job.cancelled()``
            whether it is to end, which it does by raising :class:`~clx.errors.Cancelled`; ``job.queue`` is *queue*.
        tasks: functions that know the type of their jobs (:func:`~clx.db.tasks.task`), beside *handlers* or instead.
        pool: whose jobs are taken.
        lease: milliseconds, or a ``timedelta``; renewed every sixth of it.
        ahead: jobs held at most; 1 claims nothing ahead. None: 64, and 512 from a database of a server, to which the
            way is longer.
        limit: end after so many runs; None: no limit.
        concurrency: jobs done at a time at most.
        stop_after: seconds, or a ``timedelta``, after SIGTERM or SIGINT at which the job at hand is given up and
            handed back, uncounted.
        hooks: what is told of each job.
        retention: how many days what has ended is kept, as :meth:`~clx.db.jobs.Queue.prune` takes them; whoever comes
            first prunes once a day. None: this consumer never does.

    Raises:
        QueueError: an argument is of another kind.
    """

    def __init__(
        self,
        queue: Queue,
        handlers: Mapping[str, Handler] = MappingProxyType({}),
        *,
        tasks: Iterable[Task[..., Any]] = (),
        pool: str = "",
        lease: Milliseconds = DEFAULT_LEASE,
        ahead: int | None = None,
        limit: int | None = None,
        concurrency: int = 1,
        stop_after: Seconds = GRACE,
        hooks: Hooks | None = None,
        retention: Mapping[str, float | timedelta] | None = USUAL,
    ) -> None:
        ahead = queue.database.sql.ahead if ahead is None else ahead
        found, lease, stop_after = by_type(handlers, tasks), in_ms(lease), in_seconds(stop_after)
        check_consumer(functions(found), lease, ahead, limit, stop_after, concurrency)
        self.queue = queue
        self.handlers = dict(found)
        self.worker = self._register(list(found), pool)
        self._types = list(found)
        self._functions = {type_: each.run if isinstance(each, Task) else each for type_, each in found.items()}
        self._hooks = hooks
        self._upkeep = Upkeep(queue.database, retention)
        self._pool = pool
        self._lease = lease
        self._ahead = ahead
        self._limit = sys.maxsize if limit is None else limit
        self._done = self._refusals = 0
        self._room = 1
        self._told = False
        self._given_up = False
        self._bells: Bells | None = None
        self._ending = Ending(stop_after, self._wake)
        self._begun = threading.Lock()
        self._over = threading.Event()
        self._watched = threading.Event()  # the heartbeat has its connection: a job may take the last descriptor
        self._broken: BaseException | None = None
        self._claimed = ClaimedJobs()
        self._serving: Serving | None = None
        if concurrency > 1 or any(map(is_awaited, functions(found).values())):
            from clx.db.async_consumer import ConcurrentJobs, Serving  # asyncio takes longer to load than all the rest

            self._claimed = ConcurrentJobs()
            self._serving = Serving(self, self._claimed, concurrency)
        self._schedules = Sweep(queue.database)

    def _register(self, types: list[str], pool: str) -> int:
        """Enter this process as a worker; its id."""
        return register_this_process(self.queue.database, ",".join(types), pool)

    def stop(self) -> None:
        """End :meth:`run` after the job it is at; safe from other threads and signal handlers."""
        self._ending.ask()

    def _wake(self) -> None:
        if self._bells is not None:
            self._bells.wake()
        if self._serving is not None:
            self._serving.wake()

    def run(self, *, until_idle: bool = False, until_done: bool = False, handle_signals: bool = True) -> int:
        """Do jobs until :meth:`stop`, SIGTERM or SIGINT; returns how many were done.

        However it ends, what was done is reported and what was not goes back to the queue. At a signal the job at hand
        may end, within ``stop_after`` seconds; at a second one it is given up at once.

        Args:
            until_idle: end when there is none that can be claimed now; delayed ones and those of others are not
                waited for. Schedules that are due are fired first, with either of the two.
            until_done: end when there is none left that waits or runs, here or elsewhere.
            handle_signals: end in order at SIGTERM and SIGINT, where this is the main thread and the program has no
                handlers of its own for them. Before and after, they end the program as always; so does one that comes
                when this is ending for another reason, as soon as it has left.

        Raises:
            QueueError: it has ended before, or runs in another thread.
            LostWorkerError: somebody took this program for dead, and its jobs were given to others.
            DatabaseError: the database failed for good. Locked or full it is waited for instead.
        """
        if not self._begun.acquire(blocking=False):
            state = "has ended; it was struck off" if self._over.is_set() else "runs already"
            raise QueueError(f"This consumer {state}.", "Make another.")
        heartbeat = threading.Thread(target=self._watch_over_jobs, name="heartbeat", daemon=True)
        with self._ending.by_signals(wanted=handle_signals):
            try:
                heartbeat.start()
                self._watched.wait()
                if until_idle or until_done:
                    self._fire_overdue()
                if self._serving is not None:
                    self._serving.run(until_idle=until_idle, until_done=until_done)
                else:
                    self._serve(until_idle=until_idle, until_done=until_done)
            finally:
                self._ending.leave()
                self._over.set()
                self._upkeep.end()
                self._claimed.end()
                if heartbeat.ident is not None:
                    heartbeat.join()
                self._leave()
        if self._broken is not None:
            raise self._broken
        return self._done

    def _fire_overdue(self) -> None:
        """Look after schedules once: what is due counts among the jobs that there are."""
        try:
            Sweep(self.queue.database).fire_due()
        except (OddRowError, *PASSING) as error:
            log.warning("%s", error.fact)

    def _serve(self, *, until_idle: bool, until_done: bool) -> None:
        with (
            Bells(self.queue.database, self._types) as self._bells,
            self.queue.database.waiting_until(lambda: self._ending.is_asked),
        ):
            self._serve_one_by_one(self._bells, until_idle=until_idle, until_done=until_done)

    def _serve_one_by_one(self, bells: Bells, *, until_idle: bool, until_done: bool) -> None:
        while not self._ending.is_asked and self._done < self._limit:
            bells.silence()
            if self._turn_or_wait(bells) != 0:
                continue
            if self._claimed.is_holding():  # the heartbeat is about to hand it back
                bells.pause(_PAUSE)
            elif until_idle or (until_done and not self.queue.has_live(self._types, self._pool)):
                return
            else:
                self._told = bells.wait(rest(self.queue))

    def _turn_or_wait(self, bells: Bells) -> int | None:
        """One turn; None when the table takes nothing at the moment, after a pause."""
        try:
            done = self._turn()
            self._refusals = 0
            return done
        except PASSING as error:
            self._refused(error)
            if not self._ending.is_asked:
                bells.pause(SLOW_BEAT)
            return None

    def _refused(self, error: DatabaseError) -> None:
        """The table takes nothing at the moment; raises *error* when that has gone on for too long."""
        log.warning("%s", error.fact)
        self._refusals += isinstance(error, DatabaseWriteError)
        if self._refusals > _REFUSALS:
            raise error

    def _leave(self) -> None:
        """Report what is done, hand back what is not, and strike this worker off, where that does not take long."""
        table, ends = WorkerTable(self.queue.database), time.monotonic() + _LEAVE_IN
        with self.queue.database.waiting_until(lambda: time.monotonic() >= ends):
            for step in (
                lambda: self._report_and_claim(claim=False),
                lambda: self.queue.release_worker(self.worker),
                lambda: table.end(self.worker, "stopped"),
            ):
                try:
                    step()
                except ClxError as error:  # its leases tell what it could not say
                    log.warning("%s", error.fact)

    # -- jobs -------------------------------------------------------------------------------------

    def _turn(self) -> int:
        """Claim, and go on until nothing is held; returns how many jobs were done."""
        told, self._told = self._told, False
        if not self._claimed.is_holding() and not self.queue.may_claim(self._types, self._pool, told=told):
            return 0
        done = 0
        self._report_and_claim(claim=True)
        while held := self._claimed.waiting:
            started = flushed = time.perf_counter()
            while not self._ending.is_asked and (job := self._next()) is not None:
                report = self._do(job)
                if report is None:
                    break
                self._claimed.done(report)
                self._done += 1
                done += 1
                if time.perf_counter() - flushed >= FLUSH and self._claimed.waiting:
                    self._report_and_claim(claim=False)
                    flushed = time.perf_counter()
            if self._ending.is_asked:
                break
            self._adapt(held, time.perf_counter() - started)
            self._report_and_claim(claim=True)
        return done

    def _next(self) -> Job | None:
        """The next job held; after a pause as long as a lease (a stopped process), none that went to another."""
        if self._claimed.is_stale(self._lease / 1000):
            self._renew()
        return self._claimed.take()

    def _adapt(self, jobs: int, seconds: float) -> None:
        """Hold as many as are done within the time a result may wait."""
        fitting = int(FLUSH * jobs / max(seconds, 1e-6))
        self._room = max(1, min(self._ahead, fitting, self._room * 4))

    def _report_and_claim(self, *, claim: bool) -> None:
        """Report what is done, and claim as many as there is room for."""
        reports = self._claimed.take_reports()
        # nothing beside what waits: a job that must be held alone would not be
        room = min(self._room, self._limit - self._done) if claim and not self._claimed.waiting else 0
        if not reports and not room:
            return
        try:
            settled = self.queue.settle(
                *(reports, self._types, room),
                worker=self.worker, pool=self._pool, lease=self._lease, harmless=self._serving is None,
            )  # fmt: skip
        except BaseException:
            self._claimed.reported(reports, taken=False)
            raise
        self._claimed.reported(reports, taken=True)
        for report in settled.lost:
            log.warning(
                "run %s of job %s was not this consumer's any more; its end was not taken", report.run, report.job_id
            )
        self._claimed.fill(settled.claimed)

    def _do(self, job: Job) -> Report | None:
        """Run the function of *job*; None where it was given up."""
        is_told = log.isEnabledFor(logging.DEBUG)
        if is_told:
            log.debug("job %s (%s) begins run %s", job.id, job.type, job.run)
        try:
            self._ending.in_function = True
            try:
                if self._hooks is not None:
                    tell(self._hooks, "on_start", job)
                result = call(self.queue, self._functions[job.type], job)
            finally:
                self._ending.in_function = False
            # said in JSON here, so that a result which JSON cannot say is this job's failure and nobody else's
            report = Success(job.id, job.run, None if result is None else msgspec.Raw(encode(result).encode()))
        except BaseException as error:
            return self._ended_by(job, error)
        if self._hooks is not None:
            tell(self._hooks, "on_success", job, result)
        if is_told:
            log.debug("job %s (%s) has succeeded", job.id, job.type)
        return report

    def _ended_by(self, job: Job, error: BaseException) -> Failure | None:
        """What is reported of a job whose function raised *error*; None where it was given up."""
        if isinstance(error, Interrupted):
            log.warning("job %s (%s) was given up; it goes to another", job.id, job.type)
            return None
        if isinstance(error, Cancelled):
            log.info("job %s (%s) was cancelled", job.id, job.type)
            tell(self._hooks, "on_cancelled", job)
            return Failure(job.id, job.run, described(error), cancelled=True)
        if is_of_the_program(error):  # no fault of the job's: it goes back uncounted
            raise error
        return self._failed(job, error)

    def _failed(self, job: Job, error: BaseException) -> Failure:
        pause, why = pause_after(job, self.handlers[job.type], error)
        then = why if pause is None else f"it is tried again in {pause / 1000:.1f} s"
        with suppress(ClxError):
            if self.queue.is_cancelled(job.id, job.run):
                then = "it was cancelled or given to another"
        failed = f"job {job.id} ({job.type}) failed in run {job.run - job.released} of {job.max_runs}; {then}"
        tell(self._hooks, "on_failure", job, error, retried_in=None if pause is None else pause / 1000)
        if isinstance(error, Retry) and pause is not None:  # nothing went wrong that anybody should look at
            log.info("%s: %s", failed, error.fact)
            return Failure(job.id, job.run, described(error), retry=True, backoff=pause)
        try:
            log.error("%s", failed, exc_info=(type(error), error, error.__traceback__))
        except BaseException:  # whatever the exception's own class raises when it is told
            log.error("%s", failed)  # noqa: TRY400
        return Failure(job.id, job.run, described(error), retry=pause is not None, backoff=pause)

    # -- the heartbeat's thread ----------------------------------------------------------------------

    def _watch_over_jobs(self) -> None:
        with self.queue.database.waiting_until(self._over.is_set):
            try:
                self.queue.database.connection()
                self._watched.set()
                self._beat_until_over()
            except BaseException as error:  # without this thread nothing renews the leases: the other one must end
                self._broken = error
                self._watched.set()
                self.stop()

    def _beat_until_over(self) -> None:
        beat = beat_of(self._lease)
        next_beat, next_sweep = time.monotonic() + beat, time.monotonic() + SLOW_BEAT
        while not self._over.is_set():
            self._rest(min(next_beat, next_sweep) - time.monotonic())
            try:
                self._look_after_job()
                if time.monotonic() >= next_beat:
                    self._beat()  # before any sweep, so that it does not take what is its own
                    next_beat = time.monotonic() + beat
                if time.monotonic() >= next_sweep:
                    next_sweep = time.monotonic() + SLOW_BEAT
                    self._sweep()
            except PASSING as error:
                log.warning("%s", error.fact)
                next_beat = time.monotonic()
                self._over.wait(_PAUSE)

    def _rest(self, seconds: float) -> None:
        """Wait; where that took much longer, the process stood still, and so may have those it finds silent."""
        left = self._ending.seconds_left()
        asked = max(0.0, seconds if left is None or not self._claimed.is_at_work else min(seconds, max(left, 0.05)))
        began = time.monotonic()
        self._claimed.wait(asked)
        self.queue.distrust_leases(time.monotonic() - began - asked)

    def _look_after_job(self) -> None:
        if self._claimed.is_at_a_long_job():
            self._hand_back()
        if (job := self._claimed.overrun()) is not None:
            self._time_out(job)
        if self._ending.is_over() and self._claimed.is_at_work:
            self._give_up()

    def _give_up(self) -> None:
        """The time to end in order is over: hand everything back, so that others begin it, and end the function."""
        if not self._given_up:
            self._report_and_claim(claim=False)
            self._claimed.drop_all()
            self.queue.release_worker(self.worker)
            self._given_up = True
        self._ending.interrupt()

    def _sweep(self) -> None:
        """Look after the others: jobs of those that are gone, or silent for a lease, go to somebody else.

        And after schedules: whoever is alive fires what is due.
        """
        try:
            for row in mark_gone_workers_dead(self.queue.database):
                log.warning("worker %s is gone; its jobs were given to others", row.id)
            self.queue.rescue()
            self._schedules.fire_due()
            self._upkeep.prune_if_due()
        except OddRowError as error:  # it is in the way of others, not of this consumer's own jobs
            log.warning("%s", error.fact)

    def _hand_back(self) -> None:
        """Report what was done before the long job, and hand back what waits behind it."""
        self._report_and_claim(claim=False)
        leaving = self._claimed.begin_to_hand_back()
        if leaving:
            self.queue.release_many(leaving)
            self._claimed.handed_back()

    def _time_out(self, job: Job) -> None:
        said = f"The job ran longer than {counted((job.timeout or 0) / 1000, 'second')}."
        with suppress(LostRunError):
            self.queue.fail(job.id, job.run, {"type": "Timeout", "message": said})
        self._claimed.drop(job.id, job.run)

    def _beat(self) -> None:
        if not self.queue.database.is_in_place():
            raise DatabaseError(f"{self.queue.database.path} was removed or replaced.", "Start this program again.")
        WorkerTable(self.queue.database).beat(self.worker)
        self._renew()

    def _renew(self) -> None:
        """Renew every lease; what went to another, or is not wanted any more, is not held any more."""
        for job_id, run in self._claimed.held():
            try:
                if self.queue.heartbeat(job_id, run, lease=self._lease) == "cancel":
                    self._end_cancelled(job_id, run)
            except LostRunError:
                self._claimed.drop_unbegun(job_id, run)
        self._claimed.renewed()

    def _end_cancelled(self, job_id: int, run: int) -> None:
        """A run is not wanted any more: it is over in the table, and given up here.

        Raises:
            LostRunError: it is another's.
        """
        self._claimed.withhold(job_id, run)  # first: once the table says so, it is not begun any more
        self.queue.end_cancelled(job_id, run)
        self._claimed.drop(job_id, run)
