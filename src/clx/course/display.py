"""What a build tells while it runs. The command line implements it; the default says nothing."""

from __future__ import annotations

from typing import Any

import msgspec

from clx.course.report import FailedOutput, Report


class TypeProgress(msgspec.Struct):
    """Numbers of one job type in one build.

    Attributes:
        workers: live workers that serve the build.
        mean_seconds: mean time of recent jobs of this type; None without history.
    """

    type: str
    queued: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    workers: int = 0
    mean_seconds: float | None = None
    _measured: int = 0

    def add_duration(self, seconds: float) -> None:
        """Count a job of this build in the mean; history weighs as much as its first ten jobs."""
        if self.mean_seconds is None:
            self._measured, self.mean_seconds = 1, seconds
            return
        self._measured = max(self._measured, 10) + 1
        self.mean_seconds += (seconds - self.mean_seconds) / self._measured

    @property
    def total(self) -> int:
        """All jobs of this type in the build."""
        return self.queued + self.running + self.done + self.failed

    def seconds_left(self) -> float | None:
        """Estimated time until the last one is done, from history; None without history."""
        if self.mean_seconds is None:
            return None
        return (self.queued + self.running) * self.mean_seconds / max(1, self.workers)


class Progress(msgspec.Struct):
    """The state of a build at one moment (REQ-8.4)."""

    types: dict[str, TypeProgress] = {}

    def seconds_left(self) -> float | None:
        """Estimated time until the build is done; types run side by side."""
        known = [left for each in self.types.values() if (left := each.seconds_left()) is not None]
        return max(known, default=None)


class Display:
    """Receives a build's events; every method may be ignored."""

    def planned(self, *, decks: int, jobs: int, reused: int) -> None:
        """The plan is made: *reused* of its *jobs* have a result already."""

    def started(self, progress: Progress) -> None:
        """Jobs are queued and workers are starting."""

    def job_started(self, label: str, fields: dict[str, Any]) -> None:
        """A worker has claimed a job."""

    def job_done(self, label: str, fields: dict[str, Any]) -> None:
        """A job succeeded and its files are published."""

    def job_failed(self, failure: FailedOutput) -> None:
        """A job failed for good."""

    def note(self, text: str) -> None:
        """Something about workers worth a line."""

    def detail(self, text: str) -> None:
        """Something that only who asks for more wants to know."""

    def warning(self, text: str) -> None:
        """Something the author should know."""

    def tick(self, progress: Progress) -> None:
        """Numbers may have changed."""

    def finished(self, report: Report) -> None:
        """The build is over."""


class Reporter:
    """Keeps the report of a build, and tells its display what comes into it."""

    def __init__(self, display: Display) -> None:
        self.display = display
        self.report = Report()
        self._warned: set[str] = set()

    def warn(self, *texts: str) -> None:
        """Something the author should know, told once; empty texts are nothing."""
        for text in texts:
            if text and text not in self._warned:
                self._warned.add(text)
                self.report.warnings.append(text)
                self.display.warning(text)

    def fail(self, failed: FailedOutput) -> None:
        """Something cannot be published."""
        self.report.failures.append(failed)
        self.display.job_failed(failed)
