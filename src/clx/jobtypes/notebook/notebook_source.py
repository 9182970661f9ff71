"""A Jupyter notebook as a deck: its cells as percent text, so that all that is said of decks is said of it.

What the notebook says of a cell stands in the marker, as JSON; outputs are left out, they are made anew. Pictures that
are attached to cells are kept aside.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clx.errors import ConversionError
from clx.jobtypes.notebook.deck import ProgLang, fence_names
from clx.jobtypes.notebook.fences import FENCE, closes_fence, opened_fence
from clx.jobtypes.notebook.magics import Quotes, comment_magics
from clx.jobtypes.notebook.markers import ATTACHED, ESCAPE, marker_pattern

_VERSION = re.compile(r"[\d.]+$")
_KINDS = {"code": "", "markdown": " [markdown]", "raw": " [raw]"}
_STEP = "Open it in Jupyter and save it again."


@dataclass(frozen=True, slots=True)
class NotebookSource:
    """A notebook as a deck.

    Attributes:
        text: percent text.
        starts: the lines of it, counted from 1, where the notebook's cells begin.
        attachments: what is attached to cells: by the number of the cell, by name, by media type, in base64.
        title: what its metadata say.
    """

    text: str
    starts: tuple[int, ...]
    attachments: Mapping[str, Mapping[str, Any]]
    title: Any = None

    def cell_at(self, line: int) -> int:
        """The number of the cell, counted from 1, that a line of the text belongs to."""
        return max(1, sum(start <= line for start in self.starts))


def read_notebook(data: bytes, language: ProgLang) -> NotebookSource:
    """Read a notebook of format 4.

    Raises:
        ConversionError: it is none, or its code is in another language than the course's.
    """
    try:
        notebook = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ConversionError("this is no Jupyter notebook: it cannot be read as JSON", _STEP) from error
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        step = "Type: jupyter nbconvert --to notebook --inplace FILE"
        raise ConversionError("this is no Jupyter notebook of format 4: it has no list of cells", step)
    _check_language(notebook, language)
    lines: list[str] = []
    starts: list[int] = []
    attachments: dict[str, Mapping[str, Any]] = {}
    for number, cell in enumerate(cells, 1):
        starts.append(len(lines) + 1)
        if number == 1 and (header := _header(cell)):
            lines += [f"{language.comment} {line}".rstrip() for line in header]
            continue
        attached = cell.get("attachments")
        if isinstance(attached, dict) and attached:
            attachments[str(number)] = attached
        lines += [*_percent(cell, number if str(number) in attachments else None, language), ""]
    metadata = notebook.get("metadata")
    title = metadata.get("title") if isinstance(metadata, dict) else None
    return NotebookSource("\n".join(lines), tuple(starts), attachments, title)


def _check_language(notebook: Mapping[str, Any], language: ProgLang) -> None:
    metadata = notebook.get("metadata")
    parts = [metadata.get(key) for key in ("kernelspec", "language_info")] if isinstance(metadata, dict) else []
    named = [each.get(key) for each, key in zip(parts, ("language", "name"), strict=False) if isinstance(each, dict)]
    for name in named:
        if isinstance(name, str) and name and _VERSION.sub("", name.lower()) not in fence_names(language):
            fact = f"the notebook is in {name}, but the course is in {language.name}"
            raise ConversionError(fact, "Choose a kernel of the course's language in Jupyter, and save the notebook.")


def _header(cell: Mapping[str, Any]) -> list[str]:
    """The YAML block that Quarto has in a first cell of raw text; empty where it is none."""
    lines = _source_of(cell).strip().split("\n")
    is_block = len(lines) > 1 and lines[0].rstrip() == lines[-1].rstrip() == "---"
    return lines if cell.get("cell_type") == "raw" and is_block and not (cell.get("metadata") or {}).get("tags") else []


def _source_of(cell: Mapping[str, Any]) -> str:
    written = cell.get("source", "")
    text = "".join(map(str, written)) if isinstance(written, list) else str(written)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _percent(cell: Mapping[str, Any], attached: int | None, language: ProgLang) -> list[str]:
    """One cell, with its marker."""
    kind = str(cell.get("cell_type"))
    body = _source_of(cell).split("\n")
    metadata = cell.get("metadata")
    options: dict[str, Any] = dict(metadata) if isinstance(metadata, dict) else {}
    if kind != "code":
        body = [_text_line(line, language) for line in _without_open_fence(body)]
    elif "active" not in options and _is_odd(body, language):
        options["active"] = "ipynb"  # commented out as a whole, nothing of it is taken for the end of the cell
        body = [_text_line(line, language) for line in body]
    else:
        body = comment_magics(body, language)
    if attached is not None:
        options[ATTACHED] = str(attached)
    marker = f"{language.comment} %%{_KINDS.get(kind, ' [raw]')}"
    return [f"{marker} {json.dumps(options)}" if options else marker, *body]


def _text_line(line: str, language: ProgLang) -> str:
    """A line of text behind the sign of a comment; one that would be a marker then is escaped."""
    commented = f"{language.comment} {line}".rstrip()
    return f"{language.comment} {ESCAPE}{line}" if marker_pattern(language.comment).match(commented) else commented


def _without_open_fence(body: list[str]) -> list[str]:
    """The text of a cell; a fenced block that it leaves open is escaped, or it would end in another cell."""
    opened, signs = 0, ""
    for index, line in enumerate(body):
        if signs:
            signs = "" if closes_fence(line, signs) else signs
        elif found := opened_fence(line):
            opened, signs = index, found
    if not signs:
        return body
    return [ESCAPE + line if index >= opened and FENCE.match(line) else line for index, line in enumerate(body)]


def _is_odd(body: list[str], language: ProgLang) -> bool:
    """Whether a cell of code has a line like a marker, or a string that is left open."""
    quotes, pattern = Quotes(language.comment), marker_pattern(language.comment)
    for line in body:
        if pattern.match(line):
            return True
        quotes.read(line)
    return quotes.open
