"""Notebooks and documents of other tools as percent decks: read, written, and read again to see the same."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from clx import DISTRIBUTION
from clx.course.import_cells import map_cells, mapping
from clx.errors import ConversionError, CourseError, ToolMissingError
from clx.jobtypes.notebook.cells import Cell, header_lines, read_cells
from clx.jobtypes.notebook.deck import PROG_LANG, ProgLang
from clx.jobtypes.notebook.markers import HIDDEN_TAGS
from clx.regular import read_regular

SUFFIXES = (".ipynb", ".md", ".qmd", ".Rmd")
"""What can be imported, by its ending."""

_LANGUAGES = {"c++": "cpp", "c++17": "cpp", "c#": "csharp", "ipython": "python", "python3": "python", "": "python"}
_IS_TEMPLATE = re.compile(r"\{\{|\{%|\{#")
_KERNEL = re.compile(r"(?<=^kernelspec:\n)([ \t]+)\S.*\n(?:\1.*\n)*", re.MULTILINE)
_CELL_IN_MARKDOWN = re.compile(r"^(?:```+|~~~+)\s*\{\s*(?:code-cell|python|r)\b", re.MULTILINE | re.IGNORECASE)
_NO_LETTER = re.compile(r"[\W_]+")
_CHOOSE = HIDDEN_TAGS | {"keep", "start", "alt", "answer"}
"""Tags that say who gets a cell."""


@dataclass
class Imported:
    """A notebook as a deck.

    Attributes:
        text: the deck.
        language: what its cells are written in.
        cells: how many it has.
        pictures: the pictures that it carried, by their path beside the deck.
        mapped: what has another name now, with how often.
        left: what did not come along, or wants a look, with how often.
    """

    text: str
    language: ProgLang
    cells: int
    pictures: dict[str, bytes] = field(default_factory=dict)
    mapped: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)


def is_notebook(path: Path) -> bool:
    """Whether a file is one that can be imported; Markdown is, if it has cells."""
    if path.suffix not in SUFFIXES:
        return False
    if path.suffix != ".md":
        return True
    try:
        text = read_regular(path).decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return bool(_CELL_IN_MARKDOWN.search(text)) or text.startswith("---\njupytext:")


def import_notebook(path: Path) -> Imported:
    """Read a notebook, or a document with cells, as a percent deck.

    Raises:
        CourseError: it cannot be read, or is in a language that CLX does not know.
        ToolMissingError: the packages that read it are not installed.
    """
    notebook = _read(path)
    if not notebook.cells:
        raise CourseError(f"{path} has no cells.", "Leave it out, or write some.")
    language = _language(path, notebook)
    found = Imported("", language, 0)
    notebook.cells = map_cells(path, notebook.cells, language, found)
    found.cells = len(notebook.cells)
    found.text = _written(path, notebook, language)
    if any(_IS_TEMPLATE.search(cell.source) for cell in notebook.cells):
        found.mapped["braces like {{ }} are kept as they are (jinja: false on top of the deck)"] += 1
        rule = f"{language.comment} ---\n"
        has_block = bool(header_lines(found.text.split("\n"), language.comment))
        said = f"{rule}{language.comment} jinja: false\n"
        found.text = said + (found.text.removeprefix(rule) if has_block else f"{rule}\n{found.text}")
    _check_same(path, notebook, found)
    return found


def _check_same(path: Path, notebook: Any, found: Imported) -> None:
    """See that the deck has the notebook's cells: what ended a hidden one early would be published."""
    step = "Look in Jupyter for what may end or begin a cell there (a string or block that is left open), and mend it."
    problems: list[ConversionError] = []
    try:
        cells = read_cells(found.text, found.language, problems=problems)
    except ConversionError as error:
        raise CourseError(f"{path} makes no deck: {error.fact}.", error.next_step or step) from error
    if problems:
        line = problems[0].line or 0
        number = max(1, sum(cell.line <= line for cell in cells))
        raise CourseError(f"{path} makes no deck: cell {number}: {problems[0].fact}.", problems[0].next_step or step)
    wanted = [(each.cell_type, each.metadata.get("tags", ()), each.source) for each in notebook.cells]
    if wanted and wanted[0][0] == "raw" and header_lines(found.text.split("\n"), found.language.comment):
        wanted = wanted[len(wanted) - len(cells) :] if len(wanted) == len(cells) + 1 else wanted
    for number, (one, cell) in enumerate(zip_longest(wanted, cells), 1):
        if one is None or cell is None or not _is_same(one, cell):
            raise CourseError(f"{path} makes no deck with the same cells: cell {number} would be another.", step)


def _is_same(wanted: tuple[str, Sequence[str], str], cell: Cell) -> bool:
    """Whether a cell is as hidden as it was; one that no student gets has to have all its text."""
    kind, tags, source = wanted
    is_hidden = not HIDDEN_TAGS.isdisjoint(tags)
    same_text = not is_hidden or _NO_LETTER.sub("", source) == _NO_LETTER.sub("", cell.source)
    return kind == cell.kind and _CHOOSE & set(tags) == _CHOOSE & set(cell.tags) and same_text


def _read(path: Path) -> Any:
    try:
        import jupytext
        import nbformat
    except ModuleNotFoundError as error:
        raise ToolMissingError(
            f"the Python package {error.name} is not installed", f'Type: pip install "{DISTRIBUTION}[notebook]"'
        ) from error
    try:
        text = read_regular(path).decode("utf-8-sig")
        if path.suffix == ".ipynb":
            return nbformat.reads(json.dumps(_sound(json.loads(text))), as_version=4)
        # Quarto's cells are fenced as those of R Markdown; jupytext would ask quarto itself for them.
        is_myst = path.suffix == ".md" and "{code-cell}" in text
        text = _KERNEL.sub(_named, text, count=1)
        return jupytext.reads(text, fmt="md:myst" if is_myst else path.suffix.replace(".qmd", ".Rmd"))
    except OSError as error:
        raise CourseError(f"{path} cannot be read: {error.strerror}.", "Name a notebook.") from error
    except Exception as error:  # readers of notebooks raise whatever their parsers raise
        reason = " ".join(str(error).split())[:200]
        raise CourseError(f"{path} is no notebook: {reason}", "Open it in Jupyter, and save it again.") from error


def _sound(notebook: Any) -> Any:
    """A notebook as JSON whose cells have what readers ask for: some tools write ``null``, or leave it out."""
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        return notebook  # of an older format, or none
    for number, cell in enumerate(each for each in cells if isinstance(each, dict)):
        source = cell.get("source")
        if isinstance(source, list):
            source = "".join(map(str, source))
        cell["source"] = "" if source is None else str(source)
        cell["metadata"] = mapping(cell.get("metadata"))
        cell["id"] = str(number)  # two may have the same, or none
        if cell.get("cell_type") == "code" and not isinstance(cell.get("outputs"), list):
            cell["outputs"] = []
    notebook["metadata"] = mapping(notebook.get("metadata"))
    notebook["nbformat_minor"] = 5
    return notebook


def _named(kernel: re.Match[str]) -> str:
    """A document's kernel with a name for people, without which jupytext refuses it."""
    return kernel[0] if "display_name:" in kernel[0] else f"{kernel[0]}{kernel[1]}display_name: kernel\n"


def _language(path: Path, notebook: Any) -> ProgLang:
    metadata = notebook.metadata
    kernel = mapping(metadata.get("kernelspec"))
    jupytext = mapping(metadata.get("jupytext"))
    name = (
        mapping(metadata.get("language_info")).get("name")
        or kernel.get("language")
        or jupytext.get("main_language")
        or kernel.get("name", "")
    )
    name = str(name).lower()
    found = PROG_LANG.get(_LANGUAGES.get(name, name))
    if found is None:
        known = ", ".join(PROG_LANG)
        raise CourseError(f"{path} is in {name!r}, which CLX does not know.", f"Decks can be in: {known}.")
    return found


def _written(path: Path, notebook: Any, language: ProgLang) -> str:
    import jupytext

    notebook.metadata = type(notebook.metadata)(
        {
            "jupytext": {
                "notebook_metadata_filter": "-all",
                "cell_metadata_filter": "tags,lang,active,attachments",
                "main_language": {"cpp": "c++"}.get(language.name, language.name),
            }
        }
    )
    try:
        text = jupytext.writes(notebook, fmt={"extension": language.extension, "format_name": "percent"})
    except Exception as error:  # jupytext raises its own and others'
        reason = " ".join(str(error).split())[:200]
        raise CourseError(f"{path} cannot be written as a deck: {reason}", "Report it with the notebook.") from error
    return str(text)
