"""A watch whose pages are served: what its builds do reaches the pages that are open."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from clx.course.display import Display
from clx.course.pages.server import PageServer
from clx.course.report import FailedOutput, Report
from clx.errors import ClxError


class Watched(Protocol):
    """What is told of a watch beside the pages (:class:`clx.course.watch.Watcher`)."""

    def begin(self) -> Display: ...
    def done(self, report: Report) -> None: ...
    def failed(self, error: ClxError) -> None: ...
    def waiting(self, root: Path) -> None: ...


class ServedWatch:
    """See :class:`clx.course.watch.Watcher`: tells another one, and the open pages."""

    def __init__(self, watcher: Watched, server: PageServer) -> None:
        self._watcher = watcher
        self._server = server

    def begin(self) -> Display:
        """A build begins."""
        return _Told(self._watcher.begin(), self._server)

    def done(self, report: Report) -> None:
        """It is over: pages show what failed, or that nothing does any more."""
        self._server.targets = report.targets
        self._server.tell(map(_as_shown, report.failures))
        self._server.look()
        self._watcher.done(report)

    def failed(self, error: ClxError) -> None:
        """It could not be done at all."""
        self._server.tell([{"where": "", "message": error.fact, "next_step": error.next_step}])
        self._watcher.failed(error)

    def waiting(self, root: Path) -> None:
        """The next edit begins a build."""
        self._watcher.waiting(root)


class _Told(Display):
    """A display that has pages look at their files as soon as some of them are published."""

    def __init__(self, display: Display, server: PageServer) -> None:
        self._display = display
        self._server = server

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_") or name == "job_done":
            return super().__getattribute__(name)
        return getattr(self._display, name)

    def job_done(self, label: str, fields: dict[str, Any]) -> None:
        """A job succeeded and its files are published."""
        self._server.look()
        self._display.job_done(label, fields)


def _as_shown(failure: FailedOutput) -> dict[str, str]:
    message = str(failure.error.get("message", "failed"))
    where = f"{failure.place}, {failure.task}" if failure.task else failure.place
    return {"where": where, "message": message, "next_step": str(failure.error.get("next_step") or "")}
