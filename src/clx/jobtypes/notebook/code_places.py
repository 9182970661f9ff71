"""Where code and formulas stand in a deck as it is written, before Jinja: braces there are the author's own.

Percent decks have code and raw cells, and in their text cells fenced and indented blocks, code spans, HTML elements
that hold code, and formulas; Markdown decks have the same, and their code cells are fenced blocks.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from clx.jobtypes.notebook.deck import code_spans
from clx.jobtypes.notebook.dollars import formula_at, spans_masked
from clx.jobtypes.notebook.fences import closes_fence, is_closed_behind, last_closings, opened_fence
from clx.jobtypes.notebook.magics import Quotes
from clx.jobtypes.notebook.markers import marker_pattern

PlaceKind = Literal["cell", "shown", "head"]

_TEXT_CELL = re.compile(r"%%+\s*(?:markdown|md)\b|\[\s*(?:markdown|md)\s*\]", re.IGNORECASE)
_DISPLAY = re.compile(
    # no longer than any formula is: each beginning without an end is looked behind
    r"(?<!\\)\$\$.{0,4000}?\$\$|(?<!\\)\\{1,2}\[.{0,4000}?\\\]|(?<!\\)\\{1,2}\(.{0,4000}?\\\)"
    r"|\\begin\{([A-Za-z]+\*?)\}.{0,4000}?\\end\{\1\}",
    re.DOTALL,
)
_RAW, _END_OF_RAW = re.compile(r"<!--\s*#raw\b"), re.compile(r"<!--\s*#endraw\b")
_HTML = re.compile(r"<(pre|code|script|style|textarea)\b[^>]*>.{0,4000}?</\1\s*>", re.DOTALL | re.IGNORECASE)
"""Elements that show their text as it is, or hold something that is none."""
_INDENTED = re.compile(r"(?: {4}| {0,3}\t)[^\n]*\{[{%#]")
_INFO = re.compile(r"\s*\{?\s*(?:code-cell\}?\s*)?([\w+#.-]*)")


class Place(NamedTuple):
    """A part of a deck that is no text.

    Attributes:
        start: index of its first character.
        end: index behind its last one.
        kind: ``cell``: lines of a code or raw cell; ``shown``: blocks of code, spans, formulas, and strings of several
            lines in a code cell; ``head``: code in front of the first marker.
        block: number of the cell, block, span or formula that it belongs to.
    """

    start: int
    end: int
    kind: PlaceKind
    block: int


def code_places(text: str, comment: str, *, is_markdown: bool, languages: Sequence[str] = ()) -> list[Place]:
    """The places of a deck, in order.

    Args:
        comment: what starts a comment in the deck's language.
        languages: what blocks of a Markdown deck that are cells are called, in small letters.
    """
    lines = _Lines(text)
    found = _of_markdown(lines, languages) if is_markdown else _of_percent(lines, comment)
    merged: list[Place] = []
    for place in sorted(found):
        if merged and place.start < merged[-1].end:  # a formula that holds a code span
            merged[-1] = merged[-1]._replace(end=max(place.end, merged[-1].end))
        else:
            merged.append(place)
    return merged


class _Lines:
    """The lines of a deck with their places in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.all = text.split("\n")
        self.starts = [0]
        for line in self.all:
            self.starts.append(self.starts[-1] + len(line) + 1)

    def place(self, first: int, behind: int, kind: PlaceKind, block: int) -> Place:
        return Place(self.starts[first], self.starts[behind], kind, block)


def _of_percent(lines: _Lines, comment: str) -> Iterator[Place]:
    pattern, quotes, fence = marker_pattern(comment), Quotes(comment), ""
    closings = last_closings(lines.all, lambda line: _bare(line, comment))
    kind: Literal["head", "cell", "text"] = "head"
    block, prose = 0, 0
    for index, line in enumerate(lines.all):
        quoted = quotes.open
        if not quoted and not fence and _may_mark(line) and pattern.match(line):
            yield from _of_prose(lines, prose, index, comment) if kind == "text" else ()
            kind, block, prose = "text" if _TEXT_CELL.search(line) else "cell", index, index + 1
            continue
        quotes.read(line)
        if kind != "text":
            if kind == "cell" or not line.lstrip().startswith(comment):
                yield lines.place(index, index + 1, "shown" if quoted else kind, block)
            continue
        bare = _bare(line, comment)
        if fence:
            if closes_fence(bare, fence):
                fence, prose = "", index + 1
            else:
                yield lines.place(index, index + 1, "shown", block)
        elif (opened := opened_fence(bare)) and is_closed_behind(opened, index, closings):
            yield from _of_prose(lines, prose, index, comment)
            fence, block = opened, index
    if kind == "text":
        yield from _of_prose(lines, prose, len(lines.all), comment)


def _may_mark(line: str) -> bool:
    return "%%" in line or "In[" in line or "<codecell>" in line


def _of_markdown(lines: _Lines, languages: Sequence[str]) -> Iterator[Place]:
    fence, block, prose, is_cell = "", 0, 0, False
    quotes, is_raw = Quotes("#"), False
    for index, line in enumerate(lines.all):
        if is_raw or (not fence and _RAW.match(line)):
            if not is_raw:
                yield from _of_prose(lines, prose, index, "")
                block = index
            is_raw, prose = not _END_OF_RAW.match(line), index + 1
            yield lines.place(index, index + 1, "cell", block)
        elif fence:
            if closes_fence(line, fence):
                fence, prose = "", index + 1
                continue
            quoted = quotes.open
            quotes.read(line)
            yield lines.place(index, index + 1, "cell" if is_cell and not quoted else "shown", block)
        elif opened := opened_fence(line):
            yield from _of_prose(lines, prose, index, "")
            fence, block, quotes = opened, index, Quotes("#")
            info = _INFO.match(line.strip().lstrip("`~"))
            is_cell = "{code-cell}" in line or (info is not None and info[1].lower() in languages)
    if not fence and not is_raw:
        yield from _of_prose(lines, prose, len(lines.all), "")


def _of_prose(lines: _Lines, first: int, behind: int, comment: str) -> Iterator[Place]:
    """Code spans and formulas among some lines of text."""
    start, end = lines.starts[first], min(lines.starts[behind], len(lines.text))
    if "{" not in lines.text[start:end]:
        return
    for match in _DISPLAY.finditer(lines.text, start, end):
        yield Place(*match.span(), "shown", match.start())
    yield from _indented(lines, first, behind, comment)
    opened, spans = first, list[Place]()
    for index in range(first, behind + 1):
        if index < behind and _bare(lines.all[index], comment).strip():
            continue
        spans += _of_paragraph(lines.text, lines.starts[opened], min(lines.starts[index], end))
        opened = index + 1
    spans.sort()
    yield from spans
    inside = [span.end for span in spans]
    for match in _HTML.finditer(lines.text, start, end):
        found = bisect_right(inside, match.start())
        if found == len(spans) or match.start() < spans[found].start:  # no element that a code span names
            yield Place(*match.span(), "shown", match.start())


def _indented(lines: _Lines, first: int, behind: int, comment: str) -> Iterator[Place]:
    """Indented blocks of code; what is indented in a list or paragraph is text."""
    bare = [_bare(line, comment) for line in lines.all[first:behind]]
    if not any(map(_INDENTED.match, bare)):
        return
    from markdown_it import MarkdownIt  # few decks have such lines

    for token in MarkdownIt("commonmark").enable("table").parse("\n".join(bare)):
        if token.type == "code_block" and token.map:
            yield lines.place(first + token.map[0], first + token.map[1], "shown", first + token.map[0])


def _of_paragraph(text: str, start: int, end: int) -> Iterator[Place]:
    part, position = text[start:end], 0
    for span in code_spans(text, start, end):
        yield Place(*span, "shown", span[0])
    masked = spans_masked(part)
    while (position := masked.find("$", position)) >= 0:
        found = formula_at(masked, position)
        if found is None:
            position += 2 if masked.startswith("$$", position) else 1
            continue
        if found[0] == "$":
            yield Place(start + position, start + found[2], "shown", start + position)
        position = found[2]


def _bare(line: str, comment: str) -> str:
    return line[len(comment) :].removeprefix(" ") if comment and line.startswith(comment) else line
