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
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from clx.errors import ConversionError
from clx.jobtypes.notebook.attributes import option_tags
from clx.jobtypes.notebook.deck import ProgLang, fence_names
from clx.jobtypes.notebook.fences import closes_fence, is_closed_behind, last_closings, opened_fence
from clx.jobtypes.notebook.formats import other_format
from clx.jobtypes.notebook.hidden import check_hidden, check_hidden_markdown
from clx.jobtypes.notebook.hidden_blocks import hidden_block_error, hidden_in_text
from clx.jobtypes.notebook.magics import Quotes, uncomment_magics
from clx.jobtypes.notebook.markers import (
    ESCAPE,
    HIDDEN_TAGS,
    CellKind,
    Marker,
    marker_pattern,
    read_marker,
)
from clx.jobtypes.notebook.near import near_marker, near_marker_error

if TYPE_CHECKING:
    from clx.jobtypes.notebook.expand import Expanded

_CODING = re.compile(r"^[ \t\f]*(?:#|//).*?coding[:=][ \t]*[-_.a-zA-Z0-9]+")
_ANYWHERE = re.compile(r"%%[^%]*\btags?\b.*")
"""A marker with tags that does not begin its line: a template may have glued it to the one before."""
_SWALLOWED = "this marker stands behind text, or in a string or fenced block, so that its cell would be published"
_SWALLOWED_STEP = (
    "Let it begin its line, and close what is open there; "
    "to show a marker as text, write it without one of its percent signs."
)
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
    """How its marker, or the tags of it, ought to be written, where that was only understood; else empty."""
    unread: tuple[str, ...] = ()
    """Names of attributes of its marker that mean nothing here."""
    attachments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What is attached to the cell of a notebook: by name, by media type, in base64."""
    text_line: int = 0
    """1-based line of the expanded deck where its source starts; 0: not known."""
    in_marker: int = 0
    """How many lines of its source stand in its marker: 1 for a magic that jupytext keeps there."""


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
        noted = [expanded.located(each) for each in noted]
        if any(each.line is None for each in noted):
            noted = _hidden_problems(expanded, cells, language, is_markdown=is_markdown) + noted
        if problems is None:
            raise noted[0]
        problems += noted
        return cells
    try:
        _check_hidden(expanded, cells, language, is_markdown=is_markdown)
    except ConversionError as error:
        raise expanded.located(error) from error
    if expanded.notebook is not None:
        known = expanded.notebook.attachments
        cells = [replace(cell, attachments=known.get(cell.attachments.get("", ""), {})) for cell in cells]
    return cells


def _check_hidden(expanded: Expanded, cells: list[Cell], language: ProgLang, *, is_markdown: bool) -> None:
    if is_markdown:
        check_hidden_markdown(expanded, cells)
    else:
        check_hidden(expanded, cells, language.comment)


def _hidden_problems(
    expanded: Expanded, cells: list[Cell], language: ProgLang, *, is_markdown: bool
) -> list[ConversionError]:
    """What a template did to a hidden cell: it may be why there is a marker that stands nowhere in the deck."""
    try:
        _check_hidden(expanded, cells, language, is_markdown=is_markdown)
    except ConversionError as error:
        return [error]
    return []


def first_line_of(cell: Cell, lines: Sequence[str], language: ProgLang, *, is_markdown: bool = False) -> int:
    """1-based line of the expanded deck where the source of *cell* starts, behind its marker.

    In a Markdown deck a cell starts with its source.
    """
    index = cell.line - 1
    if cell.in_marker:
        return cell.line
    if not is_markdown and marker_pattern(language.comment).match(lines[index]):
        index += 1
    empty = ("",) if cell.kind == "code" or is_markdown else ("", language.comment)
    while index < len(lines) - 1 and lines[index].strip() in empty:
        index += 1
    return index + 1


def read_cells(
    text: str, language: ProgLang, *, is_markdown: bool = False, problems: list[ConversionError] | None = None
) -> list[Cell]:
    """Split an expanded deck, in percent text or Markdown, into its cells.

    Args:
        problems: takes what is wrong with markers, all of it; ``None``: the first mistake is raised.

    Raises:
        ConversionError: there is no cell in it, or a marker cannot be understood.
    """
    noted: list[ConversionError] = []
    if is_markdown:
        from clx.jobtypes.notebook.markdown import read_markdown  # which needs this module

        cells = read_markdown(text, language, noted)
    else:
        lines = text.split("\n")
        cells = _read_percent(lines, language, noted)
        if (problem := other_format(lines, language, len(cells))) is not None:
            noted.append(problem)
    noted += _hidden_blocks(cells, text, language, is_markdown=is_markdown)
    if problems is not None:
        problems += noted
    elif noted:
        raise noted[0]
    if not cells and not noted:
        raise ConversionError("the deck has no cells", f"Start one with `{language.comment} %%`.")
    return cells


def _hidden_blocks(cells: Sequence[Cell], text: str, language: ProgLang, *, is_markdown: bool) -> list[ConversionError]:
    """Blocks in public cells that other tools hide."""
    found: list[ConversionError] = []
    lines: list[str] = []
    for cell in cells:
        if cell.kind == "code" or not HIDDEN_TAGS.isdisjoint(cell.tags):
            continue
        for index, tag in hidden_in_text(cell.source):
            lines = lines or text.split("\n")
            first = first_line_of(cell, lines, language, is_markdown=is_markdown)
            found.append(hidden_block_error(tag, min(first + index, len(lines))))
    return found


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
        end, following, shown = _cell_end(lines, body, marker.kind, comment, pattern, fences)
        if HIDDEN_TAGS.isdisjoint(marker.tags):
            problems += _lost(lines, range(body, end), shown, pattern)
        cell = _cell(marker, lines[body:end], start + 1, language)
        if marker.kind == "markdown":
            cell = replace(cell, text_line=body + _first_of_text(lines[body:end], comment) + 1)
        if cell.source or first is not None:
            cells.append(cell)
        start, first = end, following
    return cells


def _cell(marker: Marker, lines: list[str], line: int, language: ProgLang) -> Cell:
    magic, kind, tags, in_marker = marker.magic, marker.kind, marker.tags, 0
    if kind == "code" and magic and magic[2:].lower() not in fence_names(language):
        # the body is commented out, so that the file stays one of its language; whoever wrote it bare meant the same
        body = trimmed([_bare(each, language.comment) for each in lines])
        source, in_marker = f"{magic}\n{body}".rstrip("\n"), 1
    elif kind == "code" and marker.active is not None and language.extension[1:] not in marker.active:
        source = trimmed([_bare(each, language.comment) for each in lines])
    else:
        source = _source(lines, kind, language)
    source = source.replace(ESCAPE, "") if ESCAPE in source else source
    if kind == "code" and marker.active is not None and "ipynb" not in marker.active:
        kind = "raw"
    if kind == "code":
        tags = tuple(dict.fromkeys((*tags, *option_tags(source))))
    attachments = {"": marker.attached} if marker.attached else marker.attachments
    return Cell(kind, source, tags, marker.lang, line, marker.respelt, marker.unread, attachments, in_marker)


def _lost(lines: list[str], inside: range, shown: set[int], pattern: re.Pattern[str]) -> list[ConversionError]:
    """Markers of hidden cells that became text of a public one, whose lines are *inside*.

    By a string or a fence that is open there (*shown*), by what stands in front of them, or because they are none.
    """
    found = []
    for i in inside:
        line = lines[i]
        match = (_marker_match(line, pattern) or _ANYWHERE.search(line)) if "%%" in line else None
        if match and near_marker(match[0]):
            found.append(ConversionError(_SWALLOWED, _SWALLOWED_STEP, line=i + 1))
        elif i not in shown and (tag := near_marker(line)):
            found.append(near_marker_error(tag, i + 1))
    return found


def _marker(match: re.Match[str], index: int, problems: list[ConversionError]) -> Marker:
    try:
        return read_marker((match[1] or match[2] or "").strip(), index + 1, is_glued=bool(match[2]))
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
        if _marker_match(lines[end], marker_pattern(comment)) or near_marker(lines[end]):
            break  # no header that swallows a cell
    return index


def header_lines(lines: list[str], comment: str) -> list[str]:
    """The lines of a percent deck's commented YAML block, without comment signs and rules."""
    end = _after_header(lines, comment)
    rules = [index for index in range(end) if _is_rule(lines[index], comment)]
    return [_bare(line, comment) for line in lines[rules[0] + 1 : rules[-1]]] if len(rules) > 1 else []


def _is_rule(line: str, comment: str) -> bool:
    return line.startswith(comment) and bool(_RULE.match(_bare(line, comment)))


def _cell_end(
    lines: list[str], start: int, kind: CellKind, comment: str, pattern: re.Pattern[str], fences: _Fences
) -> tuple[int, re.Match[str] | None, set[int]]:
    """Index of the next marker and its match, and of the lines in strings and (in text cells) fenced blocks.

    Those may hold markers.
    """
    shown: set[int] = set()
    quotes = Quotes(comment)
    fence: str | None = None
    for i in range(start, len(lines)):
        line = lines[i]
        quoted = quotes.open
        quotes.read(line)
        if quoted or fence is not None:
            shown.add(i)
        if quoted:
            continue
        if kind != "code" and ("```" in line or "~~~" in line):
            fence = fences.behind(i, fence)
        elif fence is None and (match := _marker_match(line, pattern)):
            return i, match, shown
    return len(lines), None, shown


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
            return None if closes_fence(text, fence) else fence
        opened = opened_fence(text)
        return opened if opened and is_closed_behind(opened, index, self._last_closing) else None

    @functools.cached_property
    def _last_closing(self) -> dict[tuple[str, int], int]:
        return last_closings(self._lines, lambda line: _bare(line, self._comment))


def _source(lines: list[str], kind: CellKind, language: ProgLang) -> str:
    if kind == "code":
        return trimmed(uncomment_magics(lines, language))
    if language.name == "python":
        docstring = _DOCSTRING.match("\n".join(lines).strip())
        if docstring:
            return trimmed(docstring[2].split("\n"))
    return trimmed([_bare(line, language.comment) for line in lines])


def _first_of_text(lines: list[str], comment: str) -> int:
    """Index of the first line of a text cell, in a string of several lines, too."""
    for index, line in enumerate(lines):
        if bare := _bare(line, comment).strip():
            opens = re.fullmatch(r"""[rR]?("{3}|'{3})""", bare)
            return next((i for i in range(index + 1, len(lines)) if lines[i].strip()), index) if opens else index
    return 0


def trimmed(lines: list[str]) -> str:
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
