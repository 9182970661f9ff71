"""The second thread of a worker: it beats, and ends the process where that must end in the middle of a job.

That is when a job overruns its time, is cancelled, outlives the grace period after SIGTERM, or when the build or the
process that started this worker is gone. It has a connection of its own.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil

from clx.db.batches import BatchTable
from clx.db.doorbell import UNWANTED, Bell
from clx.db.durations import counted
from clx.db.jobs import Job, Queue
from clx.db.leases import can_explain
from clx.db.schedules.sweep import Sweep
from clx.db.workers import WorkerTable
from clx.errors import PASSING, ClxError, DatabaseError, LostRunError
from clx.platforms import system
from clx.settings.schema import JobsSettings
from clx.workers.liveness import time_limit

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


class Watchdog(threading.Thread):
    """Beats for a worker and its job, and ends the process when it must end in the middle of a job.

    Args:
        clear: removes the worker's files; called when it ends the process, once all helpers are dead.
    """

    def __init__(self, queue: Queue, assignment: Assignment, jobs: JobsSettings, clear: Callable[[], None]) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._queue = queue
        self._table = WorkerTable(queue.database)
        self._batches = BatchTable(queue.database)
        self._schedules = Sweep(queue.database)
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
        """Stop watching because the job is about to be reported; false when this thread has reported it."""
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
                self._fire_due()
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
        except PASSING as error:
            log.warning("%s", error.fact)

    def _fire_due(self) -> None:
        """Fire the schedules that are due: of those who would, no other may be alive."""
        try:
            self._schedules.fire_due()
        except ClxError as error:  # this thread keeps the leases
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
                self._drain_at = time.monotonic() + max(
                    0.0, (request["until"] - self._queue.database.clock.now()) / 1000
                )
                self.reason = request["reason"]

    def _take(self) -> Job | None:
        """The running job, now this thread's to report; None when the main thread reports it."""
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
            "message": f"The job was killed: it ran longer than {counted(time_limit(job, self._jobs), 'second')}.",
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
