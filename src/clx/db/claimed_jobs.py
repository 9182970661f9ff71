"""The jobs a consumer holds, shared between the thread that does them and the one that renews their leases."""

from __future__ import annotations

import threading
import time
from collections import deque
from itertools import chain

from clx.db.models import Job, Report

_LONG = 0.050
"""Seconds after which the jobs held ahead of a running one are handed back."""


class ClaimedJobs:
    """The jobs a consumer holds, shared between the thread that does them and the one that renews their leases."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # taken by itself: by way of the condition it costs two calls more for each job
        self._changed = threading.Condition(self._lock)
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._reports: list[Report] = []
        self._reporting: list[list[Report]] = []
        self._leaving: list[Job] = []
        self._is_at_work = False  # also when the job at hand has been given up while its function goes on
        self._taken_at = 0.0
        self._renewed_at = time.monotonic()
        self._ends_at: float | None = None
        self._ended = False

    @property
    def waiting(self) -> int:
        """How many have not been begun."""
        return len(self._waiting)

    def fill(self, jobs: list[Job]) -> None:
        """Hold *jobs*, just claimed."""
        with self._lock:
            if not self._waiting:
                self._renewed_at = time.monotonic()
            self._waiting.extend(jobs)
            if len(jobs) > 1:
                self._changed.notify()

    def take(self) -> Job | None:
        """The next job to do; None when none is left."""
        with self._lock:
            self._taken_at = time.monotonic()
            self._running = self._waiting.popleft() if self._waiting else None
            self._is_at_work = self._running is not None
            self._ends_at = None
            if self._running is not None and self._running.timeout is not None:
                self._ends_at = self._taken_at + self._running.timeout / 1000
                self._changed.notify()
            return self._running

    def done(self, report: Report) -> None:
        """The job taken last has ended; its report counts unless it was given up meanwhile."""
        with self._lock:
            if self._running is not None:
                self._reports.append(report)
            self._running = self._ends_at = None
            self._is_at_work = False

    def take_reports(self) -> list[Report]:
        """What has been done and not been reported; the caller reports it, and says so with :meth:`reported`."""
        with self._lock:
            found, self._reports = self._reports, []
            self._reporting.append(found)
            return found

    def reported(self, reports: list[Report], *, taken: bool) -> None:
        """The table has taken *reports*, or has not: then they are held until the next time."""
        with self._lock:
            self._reporting = [each for each in self._reporting if each is not reports]
            if not taken:
                self._reports = reports + self._reports

    def is_holding(self) -> bool:
        """Whether there is anything to do or to report."""
        with self._lock:
            return bool(self._waiting or self._reports or self._leaving)

    def has_reports(self) -> bool:
        """Whether anything that was done has not been reported."""
        with self._lock:
            return bool(self._reports)

    def held(self) -> list[tuple[int, int]]:
        """Job and run of everything whose lease must be renewed."""
        with self._lock:
            jobs = [*self._waiting, *self._leaving, *([self._running] if self._running else [])]
            reports = chain(self._reports, *self._reporting)
            return [(job.id, job.run) for job in jobs] + [(report.job_id, report.run) for report in reports]

    def renewed(self) -> None:
        """Every lease has just been renewed."""
        with self._lock:
            self._renewed_at = time.monotonic()

    def is_stale(self, lease: float) -> bool:
        """Whether the leases of what waits may be over: nobody renewed them for *lease* seconds."""
        with self._lock:
            return bool(self._waiting) and time.monotonic() - self._renewed_at >= lease

    def withhold(self, job_id: int, run: int) -> None:
        """Do not begin a run; it is held until it is dropped or handed back."""
        with self._lock:
            self._leaving += [job for job in self._waiting if (job.id, job.run) == (job_id, run)]
            self._waiting = deque(job for job in self._waiting if (job.id, job.run) != (job_id, run))

    def drop(self, job_id: int, run: int) -> None:
        """Give a run up: it is not begun any more, and its report does not count."""
        given_up = (job_id, run)
        self.drop_unbegun(job_id, run)
        with self._lock:
            self._reports = [each for each in self._reports if (each.job_id, each.run) != given_up]
            if self._running is not None and (self._running.id, self._running.run) == given_up:
                self._running = self._ends_at = None

    def drop_unbegun(self, job_id: int, run: int) -> None:
        """A run went to another: it is not begun any more. One that was begun may yet count, if nobody else begins."""
        given_up = (job_id, run)
        with self._lock:
            self._waiting = deque(job for job in self._waiting if (job.id, job.run) != given_up)
            self._leaving = [job for job in self._leaving if (job.id, job.run) != given_up]

    def drop_all(self) -> None:
        """Give everything up that has not ended: it is handed back."""
        with self._lock:
            self._waiting.clear()
            self._leaving.clear()
            self._running = self._ends_at = None

    @property
    def is_at_work(self) -> bool:
        """Whether the function of a job is running."""
        return self._is_at_work

    def is_at_a_long_job(self) -> bool:
        """Whether something is held up by the job at hand."""
        with self._lock:
            held_up = self._leaving or ((self._waiting or self._reports) and self._is_at_work)
            return bool(held_up) and time.monotonic() - self._taken_at >= _LONG

    def overrun(self) -> Job | None:
        """The job at hand when its time is over, until it is dropped."""
        with self._lock:
            is_over = self._ends_at is not None and time.monotonic() >= self._ends_at
            return self._running if is_over else None

    def begin_to_hand_back(self) -> list[tuple[int, int]]:
        """Job and run of what has not been begun, and will not be; held until :meth:`handed_back`."""
        with self._lock:
            self._leaving += self._waiting
            self._waiting.clear()
            return [(job.id, job.run) for job in self._leaving]

    def handed_back(self) -> None:
        """The table has taken them back."""
        with self._lock:
            self._leaving.clear()

    def wait(self, seconds: float) -> None:
        """For *seconds*, or shorter while something might be held up."""
        with self._lock:
            if not self._ended:
                if self._waiting or self._leaving or (self._reports and self._is_at_work):
                    seconds = min(seconds, _LONG / 2)
                if self._ends_at is not None:
                    seconds = min(seconds, self._ends_at - time.monotonic())
                self._changed.wait(max(0.0, seconds))

    def end(self) -> None:
        """Let nobody wait any more."""
        with self._lock:
            self._ended = True
            self._changed.notify()
