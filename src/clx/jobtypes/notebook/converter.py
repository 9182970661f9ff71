"""The notebook worker's converter: decks in, pages, notebooks and code out.

Payload: see :class:`clx.jobtypes.notebook.job.NotebookJob`. Outputs: ``<kind>.html``, ``<kind>.ipynb``
and ``<kind>.<extension of the deck's language>`` for the kinds ``code-along``, ``completed`` and
``speaker``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clx import DISTRIBUTION
from clx.errors import ToolMissingError
from clx.jobtypes.notebook.execution.interpreter import packaged_file
from clx.jobtypes.notebook.execution.widgets import WIDGET_VIEW
from clx.jobtypes.notebook.failures import failure, shortened
from clx.jobtypes.notebook.job import NotebookJob, read_job
from clx.jobtypes.notebook.settings import NotebookSettings
from clx.settings.schema import Settings

if TYPE_CHECKING:
    from clx.jobtypes.notebook.conversion import DeckFiles
    from clx.jobtypes.notebook.execution.pool import KernelPool
    from clx.jobtypes.notebook.execution.results import CellResult
    from clx.jobtypes.notebook.mermaid import MermaidDrawer
    from clx.jobtypes.notebook.variants import DeckCell

_TEXT_OUTPUTS = ("text/plain", "text/html", "text/markdown", "text/latex", WIDGET_VIEW)


class NotebookConverter:
    """Converts decks; implements :class:`clx.jobtypes.converter.Converter`.

    It keeps nothing in a scratch directory: the addresses of kernels' sockets need shorter paths.
    """

    def __init__(self, settings: Settings, _scratch: Path | None = None) -> None:
        self._all_settings = settings
        self._settings = settings.section(NotebookSettings)
        self._drawer: MermaidDrawer | None = None
        self._loaded: DeckFiles | None = None
        self._pool: KernelPool | None = None

    def convert(
        self, payload: Mapping[str, Any], inputs: Path, outputs: Path, warn: Callable[[str], None]
    ) -> dict[str, Any]:
        """Convert one deck in one language.

        Returns:
            ``title`` of the deck, number of ``cells`` in this language, number of ``executions``, the course's
            ``templates`` that it used, and by page what it refers to (:mod:`clx.jobtypes.notebook.page_refs`).
        """
        job = read_job(payload)
        if job.evaluate and job.language.name == "python":
            self._kernels().warm()  # the kernels' parent starts while this process imports what it needs
        files = self._loaded = self._loaded or self._deck_files()
        if job.task == "render":
            return files.render(job, inputs, outputs, warn)
        return files.execute(job, inputs, outputs, lambda cells, place: self._run(job, place, cells), warn)

    def close(self) -> None:
        """End the kernels, their parent and the browser. Idempotent."""
        if self._drawer is not None:
            self._drawer.close()
            self._drawer = None
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def abandon(self) -> None:
        """Remove what kernels that were killed have left."""
        if self._pool is not None:
            self._pool.abandon()

    def _kernels(self) -> KernelPool:
        from clx.jobtypes.notebook.execution.pool import KernelPool

        self._pool = self._pool or KernelPool(self._settings.python)
        return self._pool

    def _deck_files(self) -> DeckFiles:
        try:
            from clx.jobtypes.notebook.conversion import DeckFiles
        except ModuleNotFoundError as error:
            raise ToolMissingError(
                f"the Python package {error.name} is not installed", f'Type: pip install "{DISTRIBUTION}[notebook]"'
            ) from error
        return DeckFiles(functools.partial(packaged_file, self._settings.python), self._draw)

    def _draw(self, source: str, label: str) -> str:
        from clx.jobtypes.notebook.mermaid import MermaidDrawer  # few decks have diagrams among their texts

        self._drawer = self._drawer or MermaidDrawer(self._all_settings)
        return self._drawer.html(source, label)

    def _run(self, job: NotebookJob, place: Path, cells: Sequence[DeckCell]) -> dict[str, CellResult]:
        from clx.jobtypes.notebook.execution.results import CellFailedError

        code = [cell for cell in cells if cell.runs]
        try:
            results = self._kernels().run(
                [cell.source for cell in code],
                cwd=(place / job.deck).parent,
                language=job.language,
                cell_timeout=job.cell_timeout or self._settings.cell_timeout,
                allow_errors_at={index for index, cell in enumerate(code) if cell.may_fail},
            )
        except CellFailedError as failed:
            raise failure(failed, code, place, (place / job.deck).parent) from failed
        return {
            cell.id: replace(result, outputs=_without_place(result.outputs, place))
            for cell, result in zip(code, results, strict=True)
        }


def _without_place(outputs: Sequence[Mapping[str, Any]], place: Path) -> list[dict[str, Any]]:
    """Outputs that do not show in which directory the job happened to run."""
    return [{key: _cleaned(key, value, place) for key, value in output.items()} for output in outputs]


def _cleaned(key: str, value: Any, place: Path) -> Any:
    if key in ("text", "evalue") and isinstance(value, str):
        return shortened(value, place)
    if key == "traceback":
        return [shortened(line, place) for line in value]
    if key == "data":
        return {mime: _shortened_within(data, place) if mime in _TEXT_OUTPUTS else data for mime, data in value.items()}
    return value


def _shortened_within(value: Any, place: Path) -> Any:
    if isinstance(value, str):
        return shortened(value, place)
    if isinstance(value, Mapping):
        return {name: _shortened_within(each, place) for name, each in value.items()}
    return [_shortened_within(each, place) for each in value] if isinstance(value, list) else value
