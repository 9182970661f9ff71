"""The live display of a build: a row per worker type, a bar, an estimate, and failures as they happen."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from clx.cli.displays import Shown, planned_line
from clx.course.display import Progress, TypeProgress
from clx.course.report import FailedOutput
from clx.visible import visible_line


class Live(Shown):
    """Redraws in place; refreshed by the build's own loop, without a thread."""

    def __init__(self, *, verbose: bool = False) -> None:
        super().__init__(verbose=verbose)
        self._console = Console(highlight=False)
        self._live: RichLive | None = None
        self._latest = ""

    def line(self, text: str) -> None:
        self._console.print(visible_line(text), markup=False, highlight=False, soft_wrap=True)

    def warning(self, text: str) -> None:
        """Above the live part, so that it does not tear it."""
        self._console.print(Text.assemble(("Warning: ", "yellow"), visible_line(text)), soft_wrap=True)

    def planned(self, *, decks: int, jobs: int, reused: int) -> None:
        self.line(planned_line(decks, jobs, reused))

    def started(self, progress: Progress) -> None:
        self._live = RichLive(self._draw(progress), console=self._console, auto_refresh=False, transient=True)
        self._live.start()

    def job_started(self, label: str, fields: dict[str, Any]) -> None:
        self._latest = visible_line(label)

    def job_failed(self, failure: FailedOutput) -> None:
        """Above the live part at once; details follow in the summary."""
        self._console.print(Text.assemble(("Failed: ", "bold red"), visible_line(failure.line)), soft_wrap=True)

    def note(self, text: str) -> None:
        self._console.print(Text(visible_line(text), style="dim"), soft_wrap=True)

    def tick(self, progress: Progress) -> None:
        if self._live is not None:
            self._live.update(self._draw(progress), refresh=True)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _draw(self, progress: Progress) -> Group:
        """A row per type; a narrow terminal gets fewer columns rather than cut ones."""
        width = self._console.width
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        columns = ["queued", "running", "done", "failed", *(["workers", "mean"] if width >= 72 else [])]
        table.add_column("", no_wrap=True)
        for name in columns:
            table.add_column(name, justify="right", no_wrap=True)
        if width >= 96:
            table.add_column("")
        for each in progress.types.values():
            table.add_row(*self._row(each, columns, bar=width >= 96))
        left = progress.seconds_left()
        estimate = f"about {left:.0f} s left" if left is not None else "no estimate yet: first build"
        return Group(table, Text(f"{estimate}   {self._latest}", style="dim", no_wrap=True, overflow="ellipsis"))

    @staticmethod
    def _row(each: TypeProgress, columns: list[str], *, bar: bool) -> list[RenderableType]:
        cells: dict[str, RenderableType] = {
            "queued": str(each.queued),
            "running": str(each.running),
            "done": str(each.done),
            "failed": Text(str(each.failed), style="bold red" if each.failed else ""),
            "workers": str(each.workers),
            "mean": f"{each.mean_seconds:.1f} s" if each.mean_seconds is not None else "–",
        }
        ended = each.done + each.failed
        drawn = ProgressBar(total=max(1, each.total), completed=ended, width=24, complete_style="green")
        return [each.type, *(cells[name] for name in columns), *([drawn] if bar else [])]
