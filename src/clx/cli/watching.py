"""How ``clx build --watch`` is shown: each build as usual, and a line while it waits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from clx.cli.displays import Shown
from clx.cli.report_file import failed_document
from clx.course.report import Report
from clx.errors import ClxError


class TerminalWatcher:
    """See :class:`clx.course.watch.Watcher`; each build has a new *display*, and its *report* as a document."""

    def __init__(self, display: Callable[[], Shown], report: Callable[[dict[str, Any]], None]) -> None:
        self._make = display
        self._report = report
        self._shown: Shown | None = None

    def begin(self) -> Shown:
        """A new display; the one before gives the terminal back."""
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
            self._shown.line(f"Watching {root} for changes. Ctrl-C ends.")

    def close(self) -> None:
        """Give the terminal back."""
        if self._shown is not None:
            self._shown.close()
