"""From a deck to the files of its kinds and formats: expand, read, choose cells, write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clx.errors import ConversionError
from clx.workers.notebook.cells import read_cells
from clx.workers.notebook.code_format import code_bytes
from clx.workers.notebook.deck import MARKDOWN_EXTENSION
from clx.workers.notebook.expand import Expanded, expand
from clx.workers.notebook.job import NotebookJob
from clx.workers.notebook.notebook_format import notebook_bytes
from clx.workers.notebook.output_html import CellRun
from clx.workers.notebook.page import PageFrame, PageMaker
from clx.workers.notebook.variants import (
    KINDS,
    DeckCell,
    Kind,
    has_secret_code,
    in_language,
    variant,
    warn_unknown_tags,
)

RunCells = Callable[[Sequence[DeckCell]], Mapping[str, CellRun]]
"""Executes the code among some cells and returns what each left behind, by cell id."""


@dataclass(frozen=True, slots=True)
class _Deck:
    """A deck as one format sees it."""

    text: str
    title: str
    templates: tuple[str, ...]
    cells: list[DeckCell]


class DeckFiles:
    """Writes the files of one deck after the other; keeps its renderers warm."""

    def __init__(self) -> None:
        self._pages = PageMaker()

    def render(self, job: NotebookJob, inputs: Path, outputs: Path, warn: Callable[[str], None]) -> dict[str, Any]:
        """Everything that needs no kernel: ``code-along.html``, notebooks and code of all kinds.

        Raises:
            ConversionError: the deck cannot be read.
        """
        page, notebook, code = self._decks(job, inputs)
        warn_unknown_tags(page.cells, warn)
        for kind in KINDS:
            cells = variant(notebook.cells, kind, job.lang)
            (outputs / f"{kind}.ipynb").write_bytes(notebook_bytes(cells, job.language))
            cells = variant(code.cells, kind, job.lang)
            (outputs / f"{kind}{job.language.extension}").write_bytes(code_bytes(cells, job.language))
        kinds: Iterable[Kind] = ("code-along",) if job.evaluate else KINDS
        self._write_pages(job, page, outputs, {kind: {} for kind in kinds}, warn)
        return _facts(page, executions=0)

    def execute(
        self,
        job: NotebookJob,
        inputs: Path,
        outputs: Path,
        run: RunCells,
        warn: Callable[[str], None],
    ) -> dict[str, Any]:
        """The pages with outputs: ``completed.html`` and ``speaker.html``.

        The deck is executed once, as the speaker has it; students get the outputs of the cells they
        have. Only where code is the speaker's alone it is executed again without that code, so that
        nothing of it shows through the state of the kernel.

        Raises:
            ConversionError: the deck cannot be read, or *run* says so.
        """
        page = self._read(job, inputs, is_html=True, is_notebook=False)
        speaker, completed = (variant(page.cells, kind, job.lang) for kind in ("speaker", "completed"))
        executions = 0
        runs: Mapping[str, CellRun] = {}
        if any(cell.runs for cell in speaker):
            executions, runs = 1, run(speaker)
        public = runs
        if has_secret_code(page.cells):
            public = {}
            if any(cell.runs for cell in completed):
                executions, public = executions + 1, _run_without_secrets(run, completed)
        self._write_pages(job, page, outputs, {"completed": public, "speaker": runs}, warn)
        return _facts(page, executions)

    def _decks(self, job: NotebookJob, inputs: Path) -> tuple[_Deck, _Deck, _Deck]:
        """The deck for the formats html, notebook and code; they differ only when it asks for its format."""
        page = self._read(job, inputs, is_html=True, is_notebook=False)
        notebook = self._read(job, inputs, is_html=False, is_notebook=True, known=page)
        code = self._read(job, inputs, is_html=False, is_notebook=False, known=page)
        return page, notebook, code

    def _read(
        self, job: NotebookJob, inputs: Path, *, is_html: bool, is_notebook: bool, known: _Deck | None = None
    ) -> _Deck:
        expanded = expand(
            job.deck,
            inputs,
            lang=job.lang,
            is_html=is_html,
            is_notebook=is_notebook,
            variables=job.variables,
            prog_lang=job.prog_lang,
        )
        if known is not None and expanded.text == known.text:
            return known
        cells = in_language(_cells(job, inputs, expanded), job.lang)
        return _Deck(expanded.text, expanded.title or job.deck.stem, expanded.templates, cells)

    def _write_pages(
        self,
        job: NotebookJob,
        deck: _Deck,
        outputs: Path,
        runs: Mapping[Kind, Mapping[str, CellRun]],
        warn: Callable[[str], None],
    ) -> None:
        warned: set[str] = set()

        def warn_once(line: str) -> None:
            if line not in warned:
                warned.add(line)
                warn(line)

        for kind, found in runs.items():
            frame = PageFrame(job.course, job.section, job.number, deck.title, job.lang, kind)
            cells = variant(deck.cells, kind, job.lang)
            page = self._pages.page(frame, cells, job.language, _renumbered(cells, found), warn_once)
            (outputs / f"{kind}.html").write_bytes(page)


def _cells(job: NotebookJob, inputs: Path, expanded: Expanded) -> list[Any]:
    is_markdown = job.deck.suffix == MARKDOWN_EXTENSION
    try:
        return read_cells(expanded.text, job.language, is_markdown=is_markdown)
    except ConversionError as error:
        error.line = _line_in_deck(error.line, expanded.text, inputs / job.deck)
        raise


def _line_in_deck(line: int | None, expanded: str, deck: Path) -> int | None:
    """The line of the deck that became a line of the expanded text; ``None`` for what a macro wrote."""
    if line is None:
        return None
    wanted = expanded.split("\n")[line - 1].strip()
    lines = deck.read_text(encoding="utf-8-sig").splitlines()
    return next((number for number, text in enumerate(lines, 1) if text.strip() == wanted), None)


def _run_without_secrets(run: RunCells, cells: Sequence[DeckCell]) -> Mapping[str, CellRun]:
    try:
        return run(cells)
    except ConversionError as error:
        error.next_step = (
            "This happens without the deck's `private` and `notes` code cells, which students do not have: "
            "the cell must not depend on them."
        )
        raise


def _renumbered(cells: Sequence[DeckCell], runs: Mapping[str, CellRun]) -> dict[str, CellRun]:
    """Outputs of one kind's own cells, numbered as if only these had been executed."""
    own = [cell.id for cell in cells if cell.id in runs and runs[cell.id].number is not None]
    return {identity: CellRun(runs[identity].outputs, number) for number, identity in enumerate(own, 1)}


def _facts(deck: _Deck, executions: int) -> dict[str, Any]:
    return {
        "title": deck.title,
        "cells": len(deck.cells),
        "executions": executions,
        "templates": list(deck.templates),
    }
