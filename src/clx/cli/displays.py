"""How a build is shown: live on a terminal, plain lines elsewhere, JSON lines for programs, or not at all."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clx.cli.next_steps import completed
from clx.cli.report_file import failed_document
from clx.cli.terminal import echo
from clx.course.display import Display, Progress
from clx.course.report import FailedOutput, Report
from clx.errors import ClxError
from clx.visible import visible_line


class Shown(Display):
    """What all displays share: lines, errors, the closing summary."""

    def __init__(self, *, verbose: bool = False) -> None:
        self.verbose = verbose

    def line(self, text: str) -> None:
        """One line for the user; once nobody reads them any more, the build goes on in silence."""
        try:
            echo(visible_line(text))
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def explain(self, job: str, reason: str) -> None:
        """Why a job runs or does not; asked for, so shown by every display."""
        Shown.line(self, f"{job}: {reason}")

    def close(self) -> None:
        """Give the terminal back. Idempotent."""

    def error(self, error: ClxError) -> None:
        """The build could not go on."""
        from clx.cli.main import show_error

        show_error(error)

    def detail(self, text: str) -> None:
        """With -v."""
        if self.verbose:
            self.line(text)

    def warning(self, text: str) -> None:
        echo(visible_line(text), label="Warning", err=True)

    def finished(self, report: Report) -> None:
        """The closing summary: every failure, what to do about it, and where the outputs are."""
        self.close()
        for failure in report.failures:
            self._tell(failure)
        for path in report.kept:
            self.warning(f"{path} is no longer made, but is not there as CLX wrote it, and stays.")
        self.line(summary(report))
        if report.targets:
            self.line(f"Output: {report.output}")

    def _tell(self, failure: FailedOutput) -> None:
        error = failure.error
        echo(visible_line(failure.line), label="Failed", err=True)
        if failure.kept:
            echo(f"  {len(failure.kept)} output file(s) of an earlier build stay, stale.", err=True)
        if error.get("next_step"):
            echo(f"  {visible_line(completed(error['next_step']))}", err=True)
        if self.verbose and error.get("traceback"):
            echo(error["traceback"], err=True)


def summary(report: Report) -> str:
    """The build in one line."""
    if report.dry_run:
        return f"Would run {counted(report.to_run, 'job')}; {report.reused} are up to date. Nothing was written."
    parts = [
        counted(report.decks, "deck"),
        counted(report.files, "file"),
        f"{counted(report.ran, 'job')} run",
        f"{report.reused} reused",
    ]
    if report.removed:
        parts.append(f"{counted(len(report.removed), 'stale file')} removed")
    if report.failures:
        parts.append(f"{len(report.failures)} failed")
    word = "Done with failures" if report.failures else "Done"
    return f"{word} in {report.seconds:.1f} s: {', '.join(parts)}."


def planned_line(decks: int, jobs: int, reused: int) -> str:
    """How much there is to do, in one line."""
    return f"{counted(decks, 'deck')}, {counted(jobs, 'job')}: {reused} up to date, {jobs - reused} to run."


def counted(number: int, noun: str) -> str:
    """``1 deck``, ``2 decks``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class Plain(Shown):
    """One line per finished job."""

    def __init__(self, *, verbose: bool = False) -> None:
        super().__init__(verbose=verbose)
        self._total = self._ended = 0
        self._last = 0.0

    def planned(self, *, decks: int, jobs: int, reused: int) -> None:
        self._total = jobs - reused
        self.line(planned_line(decks, jobs, reused))

    def job_done(self, label: str, fields: dict[str, Any]) -> None:
        self._ended += 1
        self.line(f"[{self._ended}/{self._total}] {fields['type']}: {label} ({fields['seconds']:.1f} s)")

    def job_failed(self, failure: FailedOutput) -> None:
        """One line; details follow in the summary."""
        self._ended += 1
        self.line(f"[{self._ended}/{self._total}] {failure.type}: {failure.label} FAILED")

    def note(self, text: str) -> None:
        self.line(text)

    def tick(self, progress: Progress) -> None:
        """With -v, numbers per type every few seconds (REQ-8.4)."""
        if self.verbose and time.monotonic() - self._last >= 5:
            self._last = time.monotonic()
            for each in progress.types.values():
                mean = f", mean {each.mean_seconds:.1f} s" if each.mean_seconds is not None else ""
                self.line(
                    f"{each.type}: {each.workers} workers, {each.queued} queued, {each.running} running, "
                    f"{each.done} done, {each.failed} failed{mean}"
                )


def event(name: str, **fields: Any) -> str:
    """One line of ``--progress json``."""
    import json

    return json.dumps({"event": name, "at": round(time.time(), 3), **fields})


class Json(Shown):
    """One JSON object per line on standard output."""

    def _emit(self, name: str, **fields: Any) -> None:
        super().line(event(name, **fields))

    def line(self, text: str) -> None:
        """As an event too, so that the output stays machine-readable."""
        self._emit("line", text=text)

    def explain(self, job: str, reason: str) -> None:
        self._emit("reason", job=job, reason=reason)

    def planned(self, *, decks: int, jobs: int, reused: int) -> None:
        self._emit("planned", decks=decks, jobs=jobs, reused=reused)

    def note(self, text: str) -> None:
        self._emit("note", text=text)

    def warning(self, text: str) -> None:
        self._emit("warning", text=text)

    def job_started(self, label: str, fields: dict[str, Any]) -> None:
        self._emit("job_started", label=label, **fields)

    def job_done(self, label: str, fields: dict[str, Any]) -> None:
        self._emit("job_done", label=label, **fields)

    def job_failed(self, failure: FailedOutput) -> None:
        self._emit("job_failed", source=failure.source, task=failure.task, error=failure.error)

    def tick(self, progress: Progress) -> None:
        numbers = ("queued", "running", "done", "failed", "workers", "mean_seconds")
        types = {each.type: {name: getattr(each, name) for name in numbers} for each in progress.types.values()}
        self._emit("progress", types=types, seconds_left=progress.seconds_left())

    def finished(self, report: Report) -> None:
        self._emit("finished", report=report.as_dict())

    def error(self, error: ClxError) -> None:
        """As an event, and in words on standard error."""
        self._emit("error", exit_code=error.exit_code, fact=error.fact, next_step=completed(error.next_step))
        super().error(error)


class Silent(Shown):
    """Nothing but failures and errors."""

    def line(self, text: str) -> None: ...
    def warning(self, text: str) -> None: ...


def make(choice: str, *, verbose: bool, quiet: bool) -> Shown:
    """The display for ``--progress`` *choice*."""
    if quiet or choice == "none":
        return Silent(verbose=verbose)
    if choice == "json":
        return Json(verbose=verbose)
    # a dumb terminal cannot redraw: there the live display would show nothing until the end
    if choice == "rich" or (choice == "auto" and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"):
        from clx.cli.live import Live

        return Live(verbose=verbose)
    return Plain(verbose=verbose)


class TerminalWatcher:
    """See :class:`clx.course.watch.Watcher`; each build has a new *display*, and its *report* as a document.

    Args:
        url: where pages are served, if they are.

    Attributes:
        idle: whether all is built and an edit is waited for.
    """

    def __init__(self, display: Callable[[], Shown], report: Callable[[dict[str, Any]], None], url: str = "") -> None:
        self._make = display
        self._url = url
        self._report = report
        self._shown: Shown | None = None
        self.idle = False

    def begin(self) -> Shown:
        """A new display; the one before gives the terminal back."""
        self.idle = False
        self.close()
        self._shown = self._make()
        return self._shown

    def done(self, report: Report) -> None:
        """Write the report where one was asked for."""
        self._report(report.as_dict())

    def failed(self, error: ClxError) -> None:
        """Say what is wrong."""
        self._report(failed_document(error))
        if self._shown is not None:
            self._shown.close()
            self._shown.error(error)

    def waiting(self, root: Path) -> None:
        """Say so."""
        if self._shown is not None:
            self._shown.close()
            served = f" Pages: {self._url}" if self._url else ""
            self._shown.line(f"Watching {root} for changes. Ctrl-C ends.{served}")
        self.idle = True

    def stopped(self) -> None:
        """The watch was ended while nothing was left to do."""
        if self._shown is not None:
            self._shown.line("Stopped.")

    def close(self) -> None:
        """Give the terminal back."""
        if self._shown is not None:
            self._shown.close()
