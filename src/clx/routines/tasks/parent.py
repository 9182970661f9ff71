"""A worker of tasks: keeps the leases of what it has claimed, and has a child run it that may be killed at any time.

Claims, reports, leases and the end in order are those of :class:`~clx.db.consumer.Consumer`; the function of a job is
a question to the child. So several short tasks are claimed and reported together, and one that is killed takes no
other with it.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import msgspec

from clx.artifacts.store import ArtifactStore
from clx.db.backoff import backoff
from clx.db.claimed_jobs import ClaimedJobs
from clx.db.consumer import Consumer
from clx.db.doorbell import UNWANTED, Bell
from clx.db.durations import counted
from clx.db.jobs import Failure, Job, Queue, Success
from clx.db.models import Report
from clx.db.workers import WorkerTable, register_this_process
from clx.errors import PASSING, ClxError, LostRunError, LostWorkerError
from clx.platforms import system
from clx.routines.tasks.output import Output
from clx.routines.tasks.process import Outcome, TaskProcess
from clx.settings.schema import JobsSettings, Settings
from clx.workers.liveness import time_limit

log = logging.getLogger("clx.worker")

_CANCELLED, _GIVEN_UP = "cancelled", "given up"
_AHEAD = 16
"""Tasks that the child is asked for ahead at most, so that it need not wait between two."""
_SHARE = 4
"""Of those that fit into the time for which a result may wait, one of so many is."""
_TELL_EVERY = 0.2
"""Seconds between two times that the table is told how far a run is."""
_AGAIN = "Look at its output: clx jobs logs {id}"


class Held(ClaimedJobs):
    """What such a worker holds; how long a run may take is seen to where it is waited for."""

    def take(self) -> Job | None:
        """The next job to do; None when none is left."""
        job = super().take()
        with self._lock:
            self._ends_at = None
        return job

    def at_work(self) -> tuple[int, int] | None:
        """Job and run of what is being done."""
        with self._lock:
            return None if self._running is None else (self._running.id, self._running.run)

    def ahead(self, count: int) -> list[Job]:
        """The next of what waits, so many at most."""
        with self._lock:
            return list(islice(self._waiting, count))

    def poke(self) -> None:
        """End a wait."""
        with self._lock:
            self._changed.notify()


class TaskWorker(Consumer):
    """Runs tasks in a child, one at a time.

    Args:
        types: the routines that it takes.
        pool: whose jobs.
        store: keeps long outputs.
        row: what its row has besides, as :meth:`~clx.db.workers.WorkerTable.register` takes it.
    """

    def __init__(
        self,
        queue: Queue,
        types: Sequence[str],
        settings: Settings,
        store: ArtifactStore,
        *,
        pool: str = "",
        row: Mapping[str, Any],
    ) -> None:
        self._row = row
        jobs: JobsSettings = settings.jobs
        super().__init__(
            queue, dict.fromkeys(types, _nothing), pool=pool, lease=int(jobs.lease * 1000),
            stop_after=settings.workers.grace_period, retention={} if jobs.prune and not row.get("service") else None,
        )  # fmt: skip
        self._jobs, self._store = jobs, store
        self._claimed: Held = Held()
        self.process: TaskProcess | None = None
        self._progress: tuple[tuple[int, int], Any] | None = None
        self._told_at = 0.0
        self._unwanted: Bell | None = None
        self.reason = ""

    def _register(self, types: list[str], pool: str) -> int:  # noqa: ARG002  (its row names them)
        return register_this_process(self.queue.database, "python", pool, **self._row)

    def serve(self, process: TaskProcess) -> int:
        """Do jobs until it is to end; returns how many were done."""
        self.process = process
        with self.queue.database.doorbell.listen(UNWANTED) as self._unwanted:
            return self.run()

    def _serve(self, *, until_idle: bool, until_done: bool) -> None:
        system.hold_back_signals(hold=False)  # from its row until here: now they end it in order
        super()._serve(until_idle=until_idle, until_done=until_done)

    def _leave(self) -> None:
        if self.process is not None:
            self.process.stop()  # what is handed back is not to be begun here any more
        super()._leave()

    # -- one run ----------------------------------------------------------------------------------

    def _do(self, job: Job) -> Report | None:
        assert self.process is not None
        ahead = self._claimed.ahead(min(_AHEAD, self._room // _SHARE))
        outcome = self.process.run([job, *ahead], time_limit(job, self._jobs), self._tell_progress, self._look)
        return self._report(job, outcome)

    def _report(self, job: Job, outcome: Outcome) -> Report | None:
        if outcome.how == _GIVEN_UP:
            log.warning("job %s (%s) was given up; it goes to another", job.id, job.type)
            outcome.output.keep(self._store)
            return None
        said = self._kept(outcome.output)
        if outcome.how == "done":
            return Success(job.id, job.run, msgspec.Raw(outcome.value), outcome.peak_memory, said)
        error, again = _error(job, outcome, self._jobs)
        log.warning("job %s (%s) failed in run %s of %s: %s", job.id, job.type, job.run - job.released, job.max_runs,
                    f"{error['type']}: {error['message']}".splitlines()[0])  # fmt: skip
        delay = outcome.delay
        if delay is None and outcome.backoff is not None:
            delay = backoff(job.run - job.released, outcome.backoff)
        return Failure(
            job.id, job.run, error, again, delay, said, outcome.peak_memory, cancelled=outcome.how == _CANCELLED
        )

    def _kept(self, output: Output) -> str | None:
        try:
            return output.keep(self._store)
        except (OSError, ClxError) as error:  # no reason to do the job again
            return f"(its output could not be kept: {error})"

    def _tell_progress(self, value: Any) -> None:
        """How far the run is; the other thread tells the table, of several values the last one."""
        key = self._claimed.at_work()
        if key is not None:
            self._progress = (key, value)
            self._claimed.poke()

    def _look(self) -> None:
        """End the run if somebody has cancelled it; asked now and again while it goes on."""
        key, bell = self._claimed.at_work(), self._unwanted
        if self._ending.is_over() and key is not None and self.process is not None:
            self.process.end(key, _GIVEN_UP)
        if bell is None or (bell.fileno() >= 0 and not system.wait_readable([bell.fileno()], 0)):
            return
        bell.silence()
        with suppress(*PASSING):
            if key is not None and self.queue.is_cancelled(*key):
                self._end_cancelled(*key)

    # -- the heartbeat's thread -------------------------------------------------------------------

    def _look_after_job(self) -> None:
        self._store_progress()
        super()._look_after_job()

    def _store_progress(self) -> None:
        if self._progress is None or time.monotonic() < self._told_at + _TELL_EVERY:
            return
        (job_id, run), value = self._progress
        self._progress, self._told_at = None, time.monotonic()
        with suppress(LostRunError):  # told once, by who renews
            if self.queue.heartbeat(job_id, run, lease=self._lease, progress=value) == "cancel":
                self._end_cancelled(job_id, run)

    def _rest(self, seconds: float) -> None:
        super()._rest(seconds if self._progress is None else min(seconds, _TELL_EVERY))

    def _hand_back(self) -> None:
        if self.process is not None:
            self.process.forget()
        super()._hand_back()

    def _end_cancelled(self, job_id: int, run: int) -> None:
        """One that runs is ended, and reported by who waits for it."""
        if self._claimed.at_work() == (job_id, run) and self.process is not None:
            self.process.end((job_id, run), _CANCELLED)
        else:
            if self.process is not None:
                self.process.forget()
            super()._end_cancelled(job_id, run)

    def _give_up(self) -> None:
        key = self._claimed.at_work()
        if key is not None and self.process is not None:
            self.process.end(key, _GIVEN_UP)
        super()._give_up()

    def _beat(self) -> None:
        """Say that it lives; heed who asks through the table that it ends."""
        state = WorkerTable(self.queue.database).beat(self.worker)
        if state is None:
            raise LostWorkerError("This worker was struck off: somebody took it for dead.", "Start another.")
        if state == "stopping" and not self._ending.is_asked:
            request = WorkerTable(self.queue.database).stop_request(self.worker)
            self.reason = str((request or {}).get("reason") or "")
            system.interrupt_main_thread(signal.SIGTERM)  # from here on as if by signal
        super()._beat()


def _nothing(_job: Job) -> None:
    """What runs a job is not here."""


def _error(job: Job, outcome: Outcome, jobs: JobsSettings) -> tuple[dict[str, Any], bool]:
    """What is reported of a run that was no success, and whether another one may be."""
    found: dict[str, Any] = {"routine": job.type}
    match outcome.how:
        case "failed":
            return outcome.value, outcome.again
        case "timeout":
            limit = time_limit(job, jobs)
            step = "Give its task a longer timeout, or let it do less."
            fact = f"It ran longer than {counted(limit, 'second')} and was killed."
            return found | {"type": "Timeout", "message": fact, "next_step": step}, False
        case "died":
            step = _AGAIN.format(id=job.id)
            said = f"Its process {'was ' if outcome.value.startswith('killed') else ''}{outcome.value}."
            return found | {"type": "WorkerDied", "message": said, "next_step": step}, True
    return found | {"type": "Cancelled", "message": "It was cancelled and its process was ended."}, False
