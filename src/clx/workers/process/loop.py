"""A worker's life: register, claim, run, report, and end when it is time.

Two threads. The main one waits for the doorbell, claims and runs jobs, one at a time. The heartbeat says
that worker and job live, on a connection of its own, and ends the process when a job overruns its time, is
cancelled, outlives the grace period after SIGTERM, or when the process that started this one is gone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil

from clx.artifacts.store import ArtifactStore
from clx.db.batches import BatchTable
from clx.db.clock import now_ms
from clx.db.database import Database
from clx.db.doorbell import Bell
from clx.db.jobs import Failure, Job, Queue, Success
from clx.db.leases import can_explain
from clx.db.models import Report
from clx.db.transitions import UNWANTED
from clx.db.wait import SLOW_BEAT, Bells, rest
from clx.db.workers import WorkerTable
from clx.errors import DatabaseBusyError, DatabaseError, DatabaseFullError, LostRunError
from clx.jobtypes.converter import Converter
from clx.platforms import system
from clx.settings.schema import JobsSettings
from clx.workers.liveness import time_limit
from clx.workers.process.directories import work_directory
from clx.workers.process.job_run import describe_failure, run_job
from clx.workers.process.seal import require_sealed

log = logging.getLogger("clx.worker")

_DIE_IN = 0.5  # seconds that killed helpers may take to be gone


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where a worker serves."""

    worker_id: int
    type: str
    pool: str
    grace: float
    """Seconds it has on SIGTERM to finish its job."""
    batch: int | None = None
    """The batch whose owner's lease it lives by; None where a lifeline or nothing tells its end."""
    lifeline: int | None = None
    """A descriptor that reaches end of file once whoever started this worker is gone: then it ends."""


class Worker:
    """One worker process.

    Args:
        converter: makes the converter; called with the first job, so that an idle worker costs little.
        jobs: leases and heartbeats.
    """

    def __init__(
        self, database: Database, assignment: Assignment, converter: Callable[[], Converter], jobs: JobsSettings
    ) -> None:
        self.database = database
        self.assignment = assignment
        self._make_converter = converter
        self._converter: Converter | None = None
        self._lease = int(jobs.lease * 1000)
        self._queue = Queue(database)
        self._store = ArtifactStore(database.state.shared / "artifacts")
        self._directory = work_directory(database, assignment.worker_id)
        self._stop_reason = ""
        self._bells: Bells | None = None
        self._heartbeat = Heartbeat(self._queue, assignment, jobs, self._clear)

    def run(self) -> str:
        """Serve until told to stop; returns the reason."""
        with Bells(self.database, [self.assignment.type]) as self._bells:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._on_signal)
            self._heartbeat.start()  # signals are held back still, so that this thread alone will get them
            system.hold_back_signals(hold=False)
            try:
                self._serve(self._bells)
            finally:
                self._heartbeat.finish()
                if self._converter is not None:
                    self._converter.close()
                shutil.rmtree(self._directory, ignore_errors=True)
        return self._heartbeat.reason or self._stop_reason

    def _serve(self, bells: Bells) -> None:
        """Claim whenever a bell rings and once a beat; claims that find nothing look for silent workers, too."""
        while not self._stop_reason:
            bells.silence()
            if self._run_once_or_wait():
                continue
            asked, asked_at = rest(self._queue), time.monotonic()
            bells.wait(asked)
            self._queue.distrust_leases(time.monotonic() - asked_at - asked)

    def _run_once_or_wait(self) -> bool:
        try:
            return self.run_once()
        except DatabaseFullError as error:  # claiming stops, the heartbeat goes on; it resumes by itself
            log.warning("%s", error.fact)
            time.sleep(SLOW_BEAT)
        except DatabaseBusyError as error:
            log.warning("%s", error.fact)
        return False

    def _on_signal(self, number: int, _frame: object) -> None:
        self._stop_reason = signal.Signals(number).name
        self._heartbeat.drain()
        if self._bells is not None:
            self._bells.wake()

    def _clear(self) -> None:
        """Remove every file of this worker: it ends in the middle of a job, and its helpers are dead."""
        if self._converter is not None:
            self._converter.abandon()
        shutil.rmtree(self._directory, ignore_errors=True)

    def run_once(self) -> bool:
        """Do jobs, one at a time, for as long as each report finds another to claim; false when there was none."""
        claimed = self._queue.claim(
            [self.assignment.type], worker=self.assignment.worker_id, pool=self.assignment.pool, lease=self._lease
        )
        if not claimed:
            return False
        while claimed:
            job = claimed[0]
            if self._stop_reason:  # told to end between the claim and now: not begun, so another may have it
                with contextlib.suppress(LostRunError):
                    self._queue.release(job.id, job.run)
                break
            self._heartbeat.watch(job)
            try:
                claimed = self._report_and_claim(job, self._do(job))
            finally:
                self._heartbeat.stop_watching()
        return True

    def _do(self, job: Job) -> Report:
        directory = self._directory / f"{job.id}-{job.run}"
        try:
            require_sealed(self.database, job)
            if self._converter is None:
                self._converter = self._make_converter()
            result = run_job(job, self._converter, self._store, directory)
        except Exception as error:
            log.warning("job %s (%s) failed in run %s", job.id, job.type, job.run, exc_info=True)
            described, retry = describe_failure(error)
            return Failure(job.id, job.run, described, retry=retry, peak_memory=system.peak_memory())
        return Success(job.id, job.run, result, peak_memory=system.peak_memory())

    def _report_and_claim(self, job: Job, report: Report) -> list[Job]:
        """Have the end of *job* taken and claim the next; while the table takes nothing, keep the lease and try on."""
        while self._heartbeat.stop_watching():
            try:
                settled = self._queue.settle(
                    [report],
                    [self.assignment.type],
                    0 if self._stop_reason else 1,
                    worker=self.assignment.worker_id,
                    pool=self.assignment.pool,
                    lease=self._lease,
                )
            except (DatabaseBusyError, DatabaseFullError) as error:
                log.warning("%s", error.fact)
                self._heartbeat.watch(job)
                time.sleep(SLOW_BEAT)
                continue
            for lost in settled.lost:
                log.warning("run %s of job %s is no longer this worker's", lost.run, lost.job_id)
            return settled.claimed
        return []


class Heartbeat(threading.Thread):
    """Beats for a worker and its job, and ends the process when it must end in the middle of a job.

    Args:
        clear: removes the worker's files; called when it ends the process, once all helpers are dead.
    """

    def __init__(self, queue: Queue, assignment: Assignment, jobs: JobsSettings, clear: Callable[[], None]) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._queue = queue
        self._table = WorkerTable(queue.database)
        self._batches = BatchTable(queue.database)
        self._assignment = assignment
        self._jobs = jobs
        self._clear = clear
        self._alarm = system.Alarm()
        self._lock = threading.Lock()
        self._job: Job | None = None
        self._ends_at: float | None = None
        self._drain_at: float | None = None
        self._done = False
        self._lost: tuple[int, int] | None = None
        self.reason = ""

    # -- called by the main thread ----------------------------------------------------------------

    def watch(self, job: Job) -> None:
        """Beat for *job* too, and hold it to its time."""
        limit = time_limit(job, self._jobs)
        with self._lock:
            self._job, self._ends_at = job, time.monotonic() + limit
        if limit < self._jobs.heartbeat:  # the thread would sleep past it
            self._alarm.ring()

    def stop_watching(self) -> bool:
        """Stop watching because the job is about to be reported; false when the heartbeat has reported it."""
        return self._take() is not None

    def drain(self) -> None:
        """Start the grace period. Called from a signal handler: takes no lock."""
        self._drain_at = time.monotonic() + self._assignment.grace
        self._alarm.ring()

    def finish(self) -> None:
        """End the thread."""
        self._done = True
        self._alarm.ring()
        self.join(timeout=10)

    # -- the thread -------------------------------------------------------------------------------

    def run(self) -> None:
        """Wait for whatever comes first: a beat, a deadline, a cancellation, the end of the lifeline."""
        with self._queue.database.doorbell.listen(UNWANTED) as bell:
            self._keep(bell)

    def _keep(self, bell: Bell) -> None:
        lifeline = None if self._assignment.lifeline is None else system.watched_end(self._assignment.lifeline)
        watched: list[Any] = [self._alarm.fileno(), *([lifeline] if lifeline is not None else [])]
        watched += [bell.fileno()] if bell.fileno() >= 0 else []
        next_beat = time.monotonic() + self._jobs.heartbeat
        while not self._done:
            now = time.monotonic()
            moments = [next_beat, self._ends_at, self._drain_at]
            asked = max(0.0, min(m for m in moments if m is not None) - now)
            ready = system.wait_readable(watched, asked)
            away = time.monotonic() - now - asked
            if self._alarm.fileno() in ready:
                self._alarm.silence()
                self._heed_request()
            if lifeline in ready and system.has_ended(lifeline):
                self._end("the process that started it is gone", release=True)
            now = time.monotonic()
            if now >= next_beat or (bell.fileno() in ready and self._job is not None):
                next_beat = now + self._jobs.heartbeat
                self._beat(away)
            bell.silence()
            self._check_deadlines(now)

    def _beat(self, away: float) -> None:
        """Say that worker and job live, after this process stood still for *away* seconds: others may have, too."""
        with self._lock:
            job = self._job
        begun = time.monotonic()
        try:
            if not self._queue.database.is_in_place():
                self._end("its database is gone", release=False)
            state = self._table.beat(self._assignment.worker_id)
            if state is None:
                self._end("struck off: somebody took it for dead", release=False)
            self._queue.distrust_leases(away)
            if self._has_lost_its_build(max(away, time.monotonic() - begun)):
                self._end("its build is gone", release=True)
            if state == "stopping" and self._drain_at is None:
                system.interrupt_main_thread(signal.SIGTERM)  # asked through the table: from here on as if by signal
            if job is None:
                return
            if self._queue.heartbeat(job.id, job.run, lease=int(self._jobs.lease * 1000)) == "cancel":
                self._cancel(job)
        except LostRunError as error:
            self._note_lost(job, error)
        except (DatabaseBusyError, DatabaseFullError) as error:
            log.warning("%s", error.fact)

    def _has_lost_its_build(self, waited: float) -> bool:
        """Whether the owner of its batch let its lease end, and not because nobody could renew."""
        if self._assignment.batch is None or can_explain(waited, int(self._jobs.lease * 1000)):
            return False
        return not self._batches.is_owned(self._assignment.batch)

    def _note_lost(self, job: Job | None, error: LostRunError) -> None:
        """Told once; where nobody begins the job anew, its result may yet count."""
        if job is not None and self._lost != (job.id, job.run):
            self._lost = (job.id, job.run)
            log.warning("%s", error.fact)

    def _check_deadlines(self, now: float) -> None:
        if self._ends_at is not None and now >= self._ends_at:
            self._time_out()
        if self._drain_at is not None and now >= self._drain_at:
            self._end(f"{self.reason or 'SIGTERM'}, time for its job is over", release=True)

    def _heed_request(self) -> None:
        """Where somebody asked for the end through the table, their time counts, not the grace period."""
        if self._drain_at is None:
            return
        with contextlib.suppress(DatabaseError):
            request = self._table.stop_request(self._assignment.worker_id)
            if request is not None:
                self._drain_at = time.monotonic() + max(0.0, (request["until"] - now_ms()) / 1000)
                self.reason = request["reason"]

    def _take(self) -> Job | None:
        """The running job, now the heartbeat's to report; None when the main thread reports it."""
        with self._lock:
            job, self._job = self._job, None
            self._ends_at = None
        return job

    def _time_out(self) -> None:
        job = self._take()
        if job is None:
            return
        error = {
            "type": "Timeout",
            "message": f"The job was killed: it ran longer than {time_limit(job, self._jobs):g} seconds.",
            "next_step": "Raise jobs.timeout, or make the source do less.",
        }
        with contextlib.suppress(LostRunError, DatabaseError):  # unreported, its lease tells
            self._queue.fail(job.id, job.run, error)
        self._end("a job overran its time", release=False)

    def _cancel(self, job: Job) -> None:
        if self._take() is None:
            return
        with contextlib.suppress(LostRunError, DatabaseError):
            self._queue.end_cancelled(job.id, job.run)
        self._end("its job was cancelled", release=False)

    def _end(self, reason: str, *, release: bool) -> None:
        """End the process in the middle of whatever it does, and every process it started."""
        job = self._take()
        if job is not None and release:
            with contextlib.suppress(Exception):
                self._queue.release(job.id, job.run)
        with contextlib.suppress(Exception):
            deregister(self._table, self._assignment.worker_id, reason)
        _kill_children()
        with contextlib.suppress(Exception):
            self._clear()
        logging.shutdown()
        os._exit(0)


def _kill_children() -> None:
    """Kill every process that came from this one, and wait until they are dead."""
    with contextlib.suppress(psutil.Error):
        children = psutil.Process().children(recursive=True)
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(children, timeout=_DIE_IN)


def deregister(table: WorkerTable, worker_id: int, reason: str) -> None:
    """End the worker's row and log why it ended, what it did and for how long (REQ-8.2)."""
    table.end(worker_id, reason)
    row = table.get(worker_id)
    if row is None:
        return
    uptime = ((row.ended_at or row.heartbeat_at) - row.started_at) / 1000
    jobs = row.jobs_succeeded + row.jobs_failed
    log.info(
        "worker %s ended: %s; %s jobs in %.1f s", worker_id, row.reason, jobs, uptime,
        extra={"action": "worker_stopped", "reason": row.reason, "jobs": jobs, "uptime": uptime},
    )  # fmt: skip
