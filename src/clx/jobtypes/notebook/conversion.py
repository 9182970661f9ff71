"""From a deck to the files of its kinds and formats: expand, read, choose cells, write."""

from __future__ import annotations

import contextlib
import functools
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from clx.errors import ConversionError
from clx.jobtypes.notebook.cells import Cell, cells_of, first_line_of
from clx.jobtypes.notebook.code_format import code_bytes
from clx.jobtypes.notebook.deck import MARKDOWN_EXTENSION, ProgLang, relinked
from clx.jobtypes.notebook.execution.outputs import OUTPUT_LIMIT
from clx.jobtypes.notebook.execution.results import CellResult
from clx.jobtypes.notebook.expand import Expanded, expand
from clx.jobtypes.notebook.figures import PackagedFile, with_scripts, without_scripts
from clx.jobtypes.notebook.job import NotebookJob
from clx.jobtypes.notebook.made_files import MadeFiles, files_below, with_placeholders
from clx.jobtypes.notebook.markers import KNOWN_TAGS
from clx.jobtypes.notebook.markup import Draw, slug_of
from clx.jobtypes.notebook.notebook_format import notebook_bytes
from clx.jobtypes.notebook.page import Download, PageFrame, PageMaker, WarnAt
from clx.jobtypes.notebook.page_refs import references, with_known_anchors
from clx.jobtypes.notebook.syntax import syntax_error
from clx.jobtypes.notebook.theme import read_theme
from clx.jobtypes.notebook.titles import title_of
from clx.jobtypes.notebook.variants import (
    AUDIENCES,
    Audience,
    DeckCell,
    cells_in,
    has_secret_code,
    in_language,
    unknown_tags,
    variant,
)
from clx.settings.problems import closest

RunCells = Callable[[Sequence[DeckCell], Path], Mapping[str, CellResult]]
"""Executes the code among some cells below a directory of inputs; what each left behind, by cell id."""
Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Deck:
    """A deck as one format sees it."""

    expanded: Expanded
    title: str
    written: list[Cell]
    """The cells of all languages."""
    cells: list[DeckCell]


_PYTHON = f"Python {sys.version_info[0]}.{sys.version_info[1]}"


class DeckFiles:
    """Writes the files of one deck after the other; keeps its renderers warm.

    Args:
        packaged: finds a file that a package of the cells' interpreter brings.
        draw: as :class:`~clx.jobtypes.notebook.markup.Markup` has it.
    """

    def __init__(self, packaged: PackagedFile, draw: Draw | None = None) -> None:
        self._pages = PageMaker(packaged, draw)

    def render(self, job: NotebookJob, inputs: Path, outputs: Path, warn: Warn) -> dict[str, Any]:
        """Everything that needs no kernel: ``code-along.html``, notebooks and code of all kinds."""
        page, notebook, code = self._decks(job, inputs)
        _warn_of_tags(page, warn)
        asked_for = _with_kernel(job)
        for kind in AUDIENCES:
            cells = variant(notebook.cells, kind, job.lang, job.labels)
            (outputs / f"{kind}.ipynb").write_bytes(notebook_bytes(cells, asked_for))
            cells = variant(code.cells, kind, job.lang, job.labels)
            (outputs / f"{kind}{job.language.extension}").write_bytes(code_bytes(cells, job.language))
        kinds: Iterable[Audience] = ("code-along",) if job.evaluate else AUDIENCES
        pages = self._write_pages(job, page, inputs, outputs, {kind: {} for kind in kinds}, warn)
        return {**_facts(page, executions=0), "pages": pages}

    def execute(
        self,
        job: NotebookJob,
        inputs: Path,
        outputs: Path,
        run: RunCells,
        warn: Warn,
    ) -> dict[str, Any]:
        """The pages with outputs: ``completed.html`` and ``speaker.html``.

        The deck is executed once, as the speaker has it; students get the outputs of the cells they
        have. Only where code is the speaker's alone it is executed again without that code, in a fresh
        copy of the inputs, so that nothing of it shows through the state of the kernel or through files.
        """
        page = _linked(self._read(job, inputs, is_html=True, is_notebook=False), job, "html")
        speaker, completed = (variant(page.cells, kind, job.lang, job.labels) for kind in ("speaker", "completed"))
        warn = _once(warn)

        def outputs_of(cells: Sequence[DeckCell], place: Path) -> Mapping[str, CellResult]:
            return _run(job, page, run, cells, place, warn)

        with contextlib.ExitStack() as stack:
            before = files_below(inputs)
            made: dict[Audience, MadeFiles] = {"speaker": MadeFiles(inputs, _folder(job, inputs), before)}
            if has_secret_code(page.cells):
                copy = stack.enter_context(_fresh_copy(inputs))
                made["completed"] = MadeFiles(copy, _folder(job, copy), files_below(copy))
                runs, public = outputs_of(speaker, inputs), _without_secrets(outputs_of, completed, copy)
                executions = 1 + any(cell.runs for cell in completed)
            else:
                made["completed"] = made["speaker"]
                runs = public = outputs_of(speaker, inputs)
                executions = int(any(cell.runs for cell in speaker))
            pages = self._write_pages(job, page, inputs, outputs, {"completed": public, "speaker": runs}, warn, made)
        return {**_facts(page, executions), "pages": pages}

    def look_at_code(self, job: NotebookJob, inputs: Path, warn: Warn) -> None:
        """Warn of cells that a run of the deck would begin and that are no Python."""
        if not job.evaluate or job.language.name != "python":
            return
        deck = self._read(job, inputs, is_html=True, is_notebook=False)
        for cell in variant(deck.cells, "speaker", job.lang, job.labels):
            if not cell.runs or cell.may_fail or not (found := syntax_error(cell.source)):
                continue
            fact, line = found
            where = ConversionError(fact, cell=cell.number, line=line)
            place = deck.expanded.place(_source_line(job, deck, where))
            named = "" if place.startswith("cell") else f"cell {cell.number}: "
            warn(f"{place or job.deck.name}: {named}{fact}, as {_PYTHON} sees it")

    def _decks(self, job: NotebookJob, inputs: Path) -> tuple[_Deck, _Deck, _Deck]:
        """The deck for the formats html, notebook and code; they differ only when it asks for its format."""
        page = self._read(job, inputs, is_html=True, is_notebook=False)
        notebook = self._read(job, inputs, is_html=False, is_notebook=True, known=page)
        code = self._read(job, inputs, is_html=False, is_notebook=False, known=page)
        return _linked(page, job, "html"), _linked(notebook, job, "notebook"), code

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
            jinja=job.jinja,
        )
        if known is not None and expanded.text == known.expanded.text:
            return known
        written = cells_of(expanded, job.language, is_markdown=_is_markdown(job))
        cells = in_language(written, job.lang)
        if job.pictures:
            cells = _relinked(job, cells, job.pictures)
        title = title_of(expanded, written, job.lang, job.language, is_markdown=_is_markdown(job))
        return _Deck(expanded, title or job.deck.stem, written, cells)

    def _write_pages(
        self,
        job: NotebookJob,
        deck: _Deck,
        inputs: Path,
        outputs: Path,
        runs: Mapping[Audience, Mapping[str, CellResult]],
        warn: Warn,
        made: Mapping[Audience, MadeFiles] | None = None,
    ) -> dict[str, Any]:
        """Write the page of each kind; returns what they refer to, by their names.

        Args:
            made: what the cells have written, by kind.
        """
        warn_at, found_refs = _located(_once(warn), deck), {}
        theme = read_theme(job.theme, inputs)
        for kind, found in runs.items():
            place = (job.course, job.section, job.number, deck.title, job.lang)
            around = (job.labels, theme, _downloads(job, kind))
            up = "../" * job.depth
            frame = PageFrame(*place, kind, *around, has_index=job.index, author=job.author, up=up)
            cells = variant(deck.cells, kind, job.lang, job.labels)
            text = self._pages.page(frame, cells, job.language, _renumbered(cells, found), warn_at)
            page, scripts = without_scripts(text.decode())
            page = with_known_anchors(page, slug_of)
            if made is None and job.evaluate and job.awaited:
                page = with_placeholders(page, job.awaited, frame.words["awaited"])
            facts = {**_references(page, job), **({"carried": carried} if (carried := self._pages.carried) else {})}
            if made:
                page, within = made[kind].embedded(page, facts["refs"], warn)
                facts |= {"refs": [ref for ref in facts["refs"] if ref not in within], "made": within}
            (outputs / f"{kind}.html").write_text(with_scripts(page, scripts), "utf-8", newline="\n")
            found_refs[f"{kind}.html"] = facts
        return found_refs


def _downloads(job: NotebookJob, kind: Audience) -> tuple[Download, ...]:
    endings = {"notebook": ".ipynb", "code": job.language.extension}
    return tuple(Download(name, directory, endings[name]) for name, directory in job.downloads.get(kind, ()))


def _folder(job: NotebookJob, place: Path) -> Path:
    """The deck's directory, which its cells run in."""
    return (place / job.deck).parent


def _with_kernel(job: NotebookJob) -> ProgLang:
    """The deck's language with the kernel that runs its cells here, which its notebooks ask for, too."""
    if not job.evaluate or job.language.name == "python":
        return job.language
    from clx.jobtypes.notebook.execution.kernelspecs import asked_for  # few courses have to look for kernels

    return asked_for(job.language)


def _is_markdown(job: NotebookJob) -> bool:
    return job.deck.suffix == MARKDOWN_EXTENSION


def _relinked(
    job: NotebookJob, cells: Iterable[DeckCell], files: Mapping[str, str], anchor: Callable[[str], str] | None = None
) -> list[DeckCell]:
    folder = str(job.deck.parent)
    return [
        replace(cell, source=relinked(cell.source, files, anchor, folder=folder)) if cell.kind == "markdown" else cell
        for cell in cells
    ]


def _linked(deck: _Deck, job: NotebookJob, format_: Literal["html", "notebook"]) -> _Deck:
    """A deck whose links to other decks lead to the files of these in one format."""
    links = job.links.get(format_)
    if not links:
        return deck
    return replace(deck, cells=_relinked(job, deck.cells, links, slug_of if format_ == "html" else None))


def _references(page: str, job: NotebookJob) -> dict[str, Any]:
    """What a page refers to, and, for what leads elsewhere than in the deck, how its author ``written`` it."""
    found = references(page)
    renamed: dict[str, list[str]] = {}
    for old, new in (*job.pictures.items(), *job.links.get("html", {}).items()):
        if old != new:
            renamed.setdefault(unquote(new), []).append(old)
    written = {}
    for ref in found["refs"] if renamed else ():
        path, sign, fragment = ref.partition("#")
        if olds := renamed.get(unquote(path)):
            written[ref] = [f"{old}{sign}{fragment}" for old in olds]
    return {**found, "written": written} if written else found


def _once(warn: Warn) -> Warn:
    """*warn* that says nothing twice."""
    warned: set[str] = set()

    def warn_once(line: str) -> None:
        if line not in warned:
            warned.add(line)
            warn(line)

    return warn_once


def _located(warn: Warn, deck: _Deck) -> WarnAt:
    """*warn* that is told a line of the expanded deck and says which line of the deck's file that is."""

    @functools.cache
    def lines() -> list[int | None]:
        return deck.expanded.deck_lines()  # costs an expansion: only when there is something to say

    def warn_at(text: str, line: int) -> None:
        known = lines()
        found = known[line - 1] if 0 < line <= len(known) else None
        place = deck.expanded.place(found)
        warn(f"{place}: {text}" if place else text)

    return warn_at


def _warn_of_tags(deck: _Deck, warn: Warn) -> None:
    """Warn once for each unknown tag of the deck, in the same words whichever language is made."""
    unknown = unknown_tags(deck.written)
    if not unknown:
        return
    warn_at = _located(warn, deck)
    for tag, line in unknown.items():
        near = closest(tag, sorted(KNOWN_TAGS))
        hint = f"; did you mean {near!r}?" if near else ""
        warn_at(f"the tag {tag!r} means nothing to CLX{hint}", line)


@contextlib.contextmanager
def _fresh_copy(inputs: Path) -> Iterator[Path]:
    """A copy of the inputs as they are now, so that one run does not see the files that another writes."""
    with tempfile.TemporaryDirectory(prefix="fresh-", dir=inputs.parent, ignore_cleanup_errors=True) as directory:
        copy = Path(directory, inputs.name)
        shutil.copytree(inputs, copy, symlinks=True, copy_function=_copy_or_link)
        yield copy


def _copy_or_link(source: str, target: str) -> None:
    """Copy, except for what the artifact store has linked read-only because it is large."""
    found = Path(source).stat()
    if found.st_nlink > 1 and not found.st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
        with contextlib.suppress(OSError):
            Path(target).hardlink_to(source)
            return
    shutil.copy2(source, target)


def _run(
    job: NotebookJob, deck: _Deck, run: RunCells, cells: Sequence[DeckCell], place: Path, warn: Warn
) -> Mapping[str, CellResult]:
    """Execute one kind's cells, if any is code; errors say where in the deck's file they happened."""
    if not any(cell.runs for cell in cells):
        return {}
    try:
        found = run(cells, place)
    except ConversionError as error:
        error.source_line = _source_line(job, deck, error)
        raise
    for cell in cells:
        if cell.id in found and found[cell.id].is_cut:
            warn(f"cell {cell.number} writes more than {OUTPUT_LIMIT // 1_000_000} MB: its output is cut")
    return found


def _source_line(job: NotebookJob, deck: _Deck, error: ConversionError) -> int | None:
    """The line of the deck's file that failed, else where its cell starts, unless a macro wrote both."""
    if error.cell is None or deck.expanded.notebook is not None:
        return None  # the lines of a notebook are nowhere to be seen
    cell = cells_in(deck.written, job.lang)[error.cell - 1]
    known, texts = deck.expanded.deck_lines(), deck.expanded.text.split("\n")
    start = known[cell.line - 1]
    if error.line is None:
        return start
    line = first_line_of(cell, texts, job.language, is_markdown=_is_markdown(job)) + error.line - 1
    return (known[line - 1] if line <= len(known) else None) or start


def _without_secrets(run: RunCells, cells: Sequence[DeckCell], place: Path) -> Mapping[str, CellResult]:
    try:
        return run(cells, place)
    except ConversionError as error:
        error.next_step = (
            "This happens without the deck's `private` and `notes` code cells, which students do not have: "
            "the cell must not depend on them, nor on files that they write."
        )
        raise


def _renumbered(cells: Sequence[DeckCell], runs: Mapping[str, CellResult]) -> dict[str, CellResult]:
    """Outputs of one kind's own cells, numbered as if only these had been executed."""
    own = [cell.id for cell in cells if cell.id in runs and runs[cell.id].execution_count is not None]
    return {identity: CellResult(runs[identity].outputs, number) for number, identity in enumerate(own, 1)}


def _facts(deck: _Deck, executions: int) -> dict[str, Any]:
    return {
        "title": deck.title,
        "cells": len(deck.cells),
        "executions": executions,
        "templates": list(deck.expanded.templates),
    }
