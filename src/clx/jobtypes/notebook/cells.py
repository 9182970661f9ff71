"""The cells of an expanded deck.

Percent decks are read here: importing jupytext takes longer than converting a deck. What jupytext makes
of a deck is still what it means; the tests compare the two. Differences, on purpose: blank lines at the
ends of a cell are dropped, an empty cell before the first marker is none, form feeds and the like do not
end lines, markers are read more leniently.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clx.errors import ConversionError
from clx.jobtypes.notebook.deck import ProgLang
from clx.jobtypes.notebook.header import check_header, with_whole_kernelspec
from clx.jobtypes.notebook.hidden import check_hidden, check_hidden_markdown
from clx.jobtypes.notebook.limits import LimitError
from clx.jobtypes.notebook.lookalike import lookalikes, lost_regions
from clx.jobtypes.notebook.magics import Quotes, uncomment_magics
from clx.jobtypes.notebook.markers import (
    HIDDEN_TAGS,
    CellKind,
    Marker,
    check_names,
    check_title,
    lang_from,
    marker_pattern,
    read_marker,
    tags_from,
)

if TYPE_CHECKING:
    from clx.jobtypes.notebook.expand import Expanded

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$")
_CODING = re.compile(r"^[ \t\f]*(?:#|//).*?coding[:=][ \t]*[-_.a-zA-Z0-9]+")
_ANYWHERE = re.compile(r"%%[^%]*\btags\b.*")
"""A marker with tags that does not begin its line: a template may have glued it to the one before."""
_HIDDEN_WORD = re.compile(rf"\btags?\b.*\b(?:{'|'.join(sorted(HIDDEN_TAGS))})\b", re.IGNORECASE)
_RULE = re.compile(r"^---\s*$")
_DOCSTRING = re.compile(r"""^[rR]?(\"{3}|'{3})\n?(.*?)\n?\1$""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell as the author wrote it."""

    kind: CellKind
    source: str
    """Text without comment signs (markdown, raw) or with bare magics (code); no blank lines at its ends."""
    tags: tuple[str, ...]
    lang: str | None
    """The only language it appears in; ``None``: all."""
    line: int
    """1-based line of the expanded deck where it starts."""
    respelt: str = ""
    """How the tags of its marker ought to be written, where they were only understood; else empty."""


def cells_of(
    expanded: Expanded,
    language: ProgLang,
    *,
    is_markdown: bool = False,
    problems: list[ConversionError] | None = None,
) -> list[Cell]:
    """As :func:`read_cells`, but errors name the line of the deck's own file.

    Raises:
        ConversionError: see there; ``line`` is absent where a macro wrote it.
    """
    noted: list[ConversionError] = []
    try:
        cells = read_cells(expanded.text, language, is_markdown=is_markdown, problems=noted)
    except ConversionError as error:
        cells = []
        noted.append(error)
    if noted:
        lines = expanded.deck_lines()
        for each in noted:
            each.line = lines[each.line - 1] if each.line is not None else None
        if is_markdown:
            noted[:0] = _moved_in_markdown(expanded, cells)  # of a region that a template ends it knows the line
        if problems is None:
            raise noted[0]
        problems += noted
        return cells
    if is_markdown:
        check_hidden_markdown(expanded, cells, _cells_of_markdown)
    else:
        check_hidden(expanded, cells, language.comment, lambda text: _read_percent(text.split("\n"), language, []))
    return cells


def _moved_in_markdown(expanded: Expanded, cells: list[Cell]) -> list[ConversionError]:
    try:
        check_hidden_markdown(expanded, cells, _cells_of_markdown)
    except ConversionError as error:
        return [error]
    return []


def _cells_of_markdown(text: str) -> list[Cell]:
    return _read_markdown(text, [])


def first_line_of(cell: Cell, lines: Sequence[str], language: ProgLang, *, is_markdown: bool = False) -> int:
    """1-based line of the expanded deck where the source of *cell* starts, behind its marker.

    Args:
        cell: one of the cells of the deck.
        lines: the expanded deck.
        language: what its code is written in.
        is_markdown: whether it is a jupytext Markdown document, whose cells start with their source.
    """
    index = cell.line - 1
    if not is_markdown and marker_pattern(language.comment).match(lines[index]):
        index += 1
    while index < len(lines) - 1 and not lines[index].strip():
        index += 1
    return index + 1


def read_cells(
    text: str, language: ProgLang, *, is_markdown: bool = False, problems: list[ConversionError] | None = None
) -> list[Cell]:
    """Split an expanded deck into its cells.

    Args:
        text: the expanded deck.
        language: what its code is written in.
        is_markdown: whether it is a jupytext Markdown document instead of percent text.
        problems: takes what is wrong with markers, all of it; ``None``: the first mistake is raised.

    Raises:
        ConversionError: there is no cell in it, or a marker cannot be understood.
    """
    noted: list[ConversionError] = []
    cells = _read_markdown(text, noted) if is_markdown else _read_percent(text.split("\n"), language, noted)
    if problems is not None:
        problems += noted
    elif noted:
        raise noted[0]
    if not cells and not noted:
        raise ConversionError("the deck has no cells", f"Start one with `{language.comment} %%`.")
    return cells


def _read_percent(lines: list[str], language: ProgLang, problems: list[ConversionError]) -> list[Cell]:
    comment = language.comment
    start = _after_header(lines, comment)
    pattern = marker_pattern(comment)
    fences = _Fences(lines, comment)
    first = pattern.match(lines[start]) if start < len(lines) else None
    cells = []
    while start < len(lines):
        marker = Marker("code") if first is None else _marker(first, start, problems)
        body = start + (first is not None)
        end, following = _cell_end(lines, body, marker.kind, comment, pattern, fences)
        if HIDDEN_TAGS.isdisjoint(marker.tags):
            swallowed = _swallowed(lines, range(body, end), pattern)
            told = {each.line for each in swallowed}
            problems += swallowed
            problems += (each for each in lookalikes(lines, range(body, end)) if each.line not in told)
        source = _source(lines[body:end], marker.kind, language)
        if source or first is not None:
            cells.append(Cell(marker.kind, source, marker.tags, marker.lang, start + 1, marker.respelt))
        start, first = end, following
    return cells


def _swallowed(lines: list[str], inside: range, pattern: re.Pattern[str]) -> list[ConversionError]:
    """Markers of hidden cells that became text of a public one, by a string or a fence that is open there."""
    found = []
    for i in inside:
        match = _marker_match(lines[i], pattern) or _ANYWHERE.search(lines[i])
        if match and _HIDDEN_WORD.search(match[0]):
            fact = "this marker stands behind text, or in a string or fenced block, so that its cell would be published"
            step = (
                "Let it begin its line, and close what is open there; "
                "to show a marker as text, put a word in front of it and leave out one of its percent signs."
            )
            found.append(ConversionError(fact, step, line=i + 1))
    return found


def _marker(match: re.Match[str], index: int, problems: list[ConversionError]) -> Marker:
    try:
        return read_marker((match[1] or match[2] or "").strip(), index + 1)
    except ConversionError as error:
        problems.append(error)
        return Marker("code")


def _after_header(lines: list[str], comment: str) -> int:
    """Index of the first line behind an interpreter line, a coding line and a commented YAML block."""
    index = 0
    if lines and lines[0].startswith("#!"):
        index = 1
    if index < len(lines) and _CODING.match(lines[index]):
        index += 1
    opened = index
    while opened < len(lines) and lines[opened].startswith(comment) and not _bare(lines[opened], comment).strip():
        opened += 1
    if opened >= len(lines) or not _is_rule(lines[opened], comment):
        return index
    for end in range(opened + 1, len(lines)):
        if not lines[end].startswith(comment):
            break
        if _is_rule(lines[end], comment):
            return end + 1
    return index


def _is_rule(line: str, comment: str) -> bool:
    return line.startswith(comment) and bool(_RULE.match(_bare(line, comment)))


def _cell_end(
    lines: list[str], start: int, kind: CellKind, comment: str, pattern: re.Pattern[str], fences: _Fences
) -> tuple[int, re.Match[str] | None]:
    """Index of the next marker and its match. Strings and (in text cells) fenced blocks may hold markers."""
    quotes = Quotes(comment)
    fence: str | None = None
    for i in range(start, len(lines)):
        line = lines[i]
        quoted = quotes.open
        quotes.read(line)
        if quoted:
            continue
        if kind != "code" and ("```" in line or "~~~" in line):
            fence = fences.behind(i, fence)
        elif fence is None and (match := _marker_match(line, pattern)):
            return i, match
    return len(lines), None


def _marker_match(line: str, pattern: re.Pattern[str]) -> re.Match[str] | None:
    if "%%" in line or "In[" in line or "<codecell>" in line:
        return pattern.match(line)
    return None


class _Fences:
    """Fenced blocks in the text cells of one deck."""

    def __init__(self, lines: list[str], comment: str) -> None:
        self._lines = lines
        self._comment = comment

    def behind(self, index: int, fence: str | None) -> str | None:
        """The fence that is open behind a line; one that is never closed does not count."""
        text = _bare(self._lines[index], self._comment)
        if fence is not None:
            return None if _closes(text, fence) else fence
        match = _FENCE.match(text)
        if match is None or (match[1][0] == "`" and "`" in match[2]):
            return None
        return match[1] if self._last_closing.get((match[1][0], len(match[1])), -1) > index else None

    @functools.cached_property
    def _last_closing(self) -> dict[tuple[str, int], int]:
        """By sign and length of a fence, the last line that could close it; a longer one closes a shorter one too."""
        found: dict[tuple[str, int], int] = {}
        longest = {"`": 0, "~": 0}
        for index in range(len(self._lines) - 1, -1, -1):
            line = self._lines[index]
            match = _FENCE.match(_bare(line, self._comment)) if "```" in line or "~~~" in line else None
            if match is None or match[2].strip():
                continue
            sign = match[1][0]
            for length in range(longest[sign] + 1, len(match[1]) + 1):
                found[sign, length] = index
            longest[sign] = max(longest[sign], len(match[1]))
        return found


def _closes(text: str, fence: str) -> bool:
    match = _FENCE.match(text)
    return match is not None and match[1].startswith(fence) and not match[2].strip()


def _source(lines: list[str], kind: CellKind, language: ProgLang) -> str:
    if kind == "code":
        return _trimmed(uncomment_magics(lines, language))
    if language.name == "python":
        docstring = _DOCSTRING.match("\n".join(lines).strip())
        if docstring:
            return _trimmed(docstring[2].split("\n"))
    return _trimmed([_bare(line, language.comment) for line in lines])


def _trimmed(lines: list[str]) -> str:
    first, last = 0, len(lines)
    while first < last and not lines[first].strip():
        first += 1
    while last > first and not lines[last - 1].strip():
        last -= 1
    return "\n".join(lines[first:last])


def _bare(line: str, comment: str) -> str:
    """A line of a text cell without its comment sign and one blank."""
    if not line.startswith(comment):
        return line
    return line[len(comment) :].removeprefix(" ")


def _read_markdown(text: str, problems: list[ConversionError]) -> list[Cell]:
    import jupytext

    check_header(text)
    try:
        notebook = jupytext.reads(with_whole_kernelspec(text), fmt="md")
    except (LimitError, MemoryError):
        raise
    except Exception as error:  # its YAML header can break jupytext in many ways
        fact = f"jupytext cannot read the Markdown deck: {' '.join(str(error).split())[:200]}"
        raise ConversionError(fact, "Look at the YAML block at the top of the deck.") from error
    cells: list[Cell] = []
    lines = text.split("\n")
    position = 0
    for cell in notebook.cells:
        source = _trimmed(str(cell.source).split("\n"))
        if cell.cell_type == "raw" and source.startswith("---\n") and not cells:
            continue  # the document's YAML header
        metadata: dict[str, Any] = dict(cell.metadata)
        position = _line_of(source, lines, position)
        line = position + 1
        try:
            _check_metadata(metadata, line)
            tags, lang = tags_from(metadata.get("tags"), line), lang_from(metadata.get("lang"), line)
        except ConversionError as error:
            problems.append(error)
            continue
        inside = range(position, min(position + source.count("\n") + 1, len(lines)))
        is_hidden = not HIDDEN_TAGS.isdisjoint(tags)
        behind = any(not HIDDEN_TAGS.isdisjoint(each.tags) for each in cells)
        problems += lost_regions(lines, inside, hidden=is_hidden, behind_hidden=behind)
        if not is_hidden:
            problems += lookalikes(lines, inside)
        if source or cell.cell_type == "code":
            cells.append(Cell(cell.cell_type, source, tags, lang, line))
    return cells


def _check_metadata(metadata: Mapping[str, Any], line: int) -> None:
    """jupytext puts what it cannot read under names of its own, and bare words without a value."""
    check_names(metadata, line)
    bare = [key for key, value in metadata.items() if value is None]
    texts = [str(metadata.get(key, "")) for key in ("title", "incorrectly_encoded_metadata")]
    for text in (*bare, *texts):
        check_title(text, line)


def _line_of(source: str, lines: list[str], start: int) -> int:
    """Index of the first line of a cell at or after *start*; jupytext does not keep it."""
    first = source.partition("\n")[0]
    return next((i for i in range(start, len(lines)) if first and lines[i] == first), start)
