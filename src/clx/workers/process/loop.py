"""A worker's life: register, claim, run, report, and end when it is time.

This is the main thread: it waits for the doorbell, claims and runs jobs, one at a time. Beside it the watchdog
(:mod:`clx.workers.process.watchdog`) says that worker and job live, and ends the process when that must be.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import signal
import time
from collections.abc import Callable

from clx.artifacts.store import ArtifactStore
from clx.db.database import Database
from clx.db.jobs import Failure, Job, Queue, Success
from clx.db.models import Report
from clx.db.wait import SLOW_BEAT, Bells, rest
from clx.errors import PASSING, CommitInDoubtError, DatabaseBusyError, DatabaseFullError, LostRunError
from clx.jobtypes.converter import Converter
from clx.platforms import system
from clx.settings.schema import JobsSettings
from clx.workers.process.directories import work_directory
from clx.workers.process.job_run import describe_failure, run_job
from clx.workers.process.seal import require_sealed
from clx.workers.process.watchdog import Assignment, Watchdog

log = logging.getLogger("clx.worker")


class Worker:
    """One worker process.

    Args:
        converter: makes the converter; called with the first job, so that an idle worker costs little.
        jobs: leases and heartbeats.
        store: where artifacts are; None: beside the database.
    """

    def __init__(
        self,
        database: Database,
        assignment: Assignment,
        converter: Callable[[], Converter],
        jobs: JobsSettings,
        store: ArtifactStore | None = None,
    ) -> None:
        self.database = database
        self.assignment = assignment
        self._make_converter = converter
        self._converter: Converter | None = None
        self._lease = int(jobs.lease * 1000)
        self._queue = Queue(database)
        self._store = store or ArtifactStore(database.state.shared / "artifacts")
        self._directory = work_directory(database, assignment.worker_id)
        self._stop_reason = ""
        self._bells: Bells | None = None
        self._watchdog = Watchdog(self._queue, assignment, jobs, self._clear)

    def run(self) -> str:
        """Serve until told to stop; returns the reason."""
        with Bells(self.database, [self.assignment.type], without=SLOW_BEAT) as self._bells:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._on_signal)
            self._watchdog.start()  # signals are held back still, so that this thread alone will get them
            system.hold_back_signals(hold=False)
            try:
                self._serve(self._bells)
            finally:
                self._watchdog.finish()
                if self._converter is not None:
                    self._converter.close()
                shutil.rmtree(self._directory, ignore_errors=True)
        return self._watchdog.reason or self._stop_reason

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
        except (DatabaseBusyError, CommitInDoubtError) as error:
            log.warning("%s", error.fact)
        return False

    def _on_signal(self, number: int, _frame: object) -> None:
        self._stop_reason = signal.Signals(number).name
        self._watchdog.drain()
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
            self._watchdog.watch(job)
            try:
                claimed = self._report_and_claim(job, self._do(job))
            finally:
                self._watchdog.stop_watching()
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
        while self._watchdog.stop_watching():
            try:
                settled = self._queue.settle(
                    [report],
                    [self.assignment.type],
                    0 if self._stop_reason else 1,
                    worker=self.assignment.worker_id,
                    pool=self.assignment.pool,
                    lease=self._lease,
                )
            except PASSING as error:
                log.warning("%s", error.fact)
                self._watchdog.watch(job)
                time.sleep(SLOW_BEAT)
                continue
            for lost in settled.lost:
                log.warning("run %s of job %s is no longer this worker's", lost.run, lost.job_id)
            return settled.claimed
        return []
