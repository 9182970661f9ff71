"""Templates that end a hidden cell, take text out of it or drop its marker: that text would be published.

Markers are read after Jinja, so a macro or an include that stands inside a cell tagged ``private``,
``notes`` or ``del`` and writes a marker ends that cell. Where lines of the deck itself follow, nobody can
know whether they were meant for students: that is an error. So is a line that stands in a hidden cell of the
deck as it is written and in a public cell of its expansion, whichever way it came there: by a ``set`` block, a
macro or a ``call``, or because a comment or a branch took the marker away.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from clx.errors import ConversionError
from clx.jobtypes.notebook.markers import HIDDEN_TAGS
from clx.jobtypes.notebook.sandbox import tokens_of
from clx.jobtypes.notebook.written import (
    Mark,
    ReadMark,
    Stack,
    Written,
    first_hidden,
    hidden_mark,
    markdown_marks,
    percent_marks,
)

if TYPE_CHECKING:
    from clx.jobtypes.notebook.cells import Cell
    from clx.jobtypes.notebook.expand import Expanded

_SYNTAX = re.compile(r"\{[{%#]|[}%#]\}|\bj2\b")
"""What statements and expressions of Jinja begin or end with."""
_LOST_STEP = "Move the marker out of them, or start a cell of its own, with its tags, behind them."
_TAKEN_STEP = "Move it into a public cell, or in front of the first cell, if students may read it."
_NEXT_STEP = "Move the template out of that cell, or start a cell of its own, with its tags, behind it."


def check_hidden(expanded: Expanded, cells: Sequence[Cell], comment: str) -> None:
    """See that nothing that stands in a hidden cell of a percent deck is in a public cell of its expansion.

    Raises:
        ConversionError: a line, or the title in a call of ``header``, is; ``line`` is the deck's.
    """
    first = next((cell for cell in cells if is_hidden(cell)), None)
    if first is not None and not _is_verbatim(expanded, first.line):
        _traced(expanded)
        _Scan(expanded, expanded.deck_lines(), comment).check(cells)
    bodies = [range(cell.line + 1, after.line) for cell, after in pairwise(cells)]
    bodies += [range(cell.line + 1, expanded.text.count("\n") + 2) for cell in cells[-1:]]
    _check_written(expanded, cells, bodies, percent_marks(comment), comment)


def check_hidden_markdown(expanded: Expanded, cells: Sequence[Cell]) -> None:
    """As :func:`check_hidden`, for a Markdown deck."""
    bodies = [range(cell.line, cell.line + cell.source.count("\n") + 1) for cell in cells]
    _check_written(expanded, cells, bodies, markdown_marks, "")


def _check_written(
    expanded: Expanded, cells: Sequence[Cell], bodies: Sequence[range], read: ReadMark, comment: str
) -> None:
    """Compare where lines stand in the deck and in its templates with the cells they came into.

    Args:
        bodies: the lines of the expansion that each cell has text of.
        comment: what a line without text may consist of.
    """
    texts = expanded.text.split("\n")
    public = [
        (cell.line, [at for at in body if at <= len(texts) and texts[at - 1].strip() not in ("", comment)])
        for cell, body in zip(cells, bodies, strict=True)
        if not is_hidden(cell)
    ]
    start = first_hidden(expanded.source)
    if start is not None and not _is_left_alone(expanded, start):
        written = Written(tokens_of(expanded.guarded, expanded.line_prefix), read)
        _check_titles(expanded, cells, written)
        _check_lines(written, _traced(expanded), public)
    for template, source in expanded.templates.items():
        if first_hidden(source) is not None:
            written = Written(tokens_of(source, expanded.line_prefix), read)
            _check_lines(written, _traced(expanded, template), public, template)


def _check_lines(
    written: Written, numbers: Sequence[list[int]], public: Sequence[tuple[int, list[int]]], template: str = ""
) -> None:
    """See that no line of a hidden cell is in a public one.

    Args:
        numbers: the lines of the deck, or of *template*, that each line of the expansion has something of.
        public: the lines of public cells in the expansion: where each begins, and those with text.
    """
    come_out = {number for found in numbers for number in found}
    for first, body in public:
        for number in (number for at in body for number in numbers[at - 1]):
            mark = hidden_mark(written.at(number))
            if mark and not _is_other_branch(written.at(number), come_out):
                is_lost = mark.line not in come_out or mark.line in (number, *numbers[first - 1])
                raise _published(mark, number, template, is_lost=is_lost)


def _is_other_branch(stacks: Sequence[Stack], come_out: Collection[int]) -> bool:
    """Whether a line came out behind a public marker, in another branch of an ``if`` than the hidden one."""
    return any(stack and stack[-1].line in come_out for stack in stacks if not hidden_mark([stack]))


def _check_titles(expanded: Expanded, cells: Sequence[Cell], written: Written) -> None:
    """A title names pages and files: one that is given in a hidden cell must be said in a public one."""
    if not expanded.title:
        return
    said = "".join(cell.source for cell in cells if not is_hidden(cell))
    if _letters(expanded.title) in _letters(said):
        return
    for line in expanded.header_lines:
        if mark := hidden_mark(written.at(line)):
            fact = f"`header` stands in the {mark.tag} cell of line {mark.line}: its title would name public files"
            raise ConversionError(fact, "Move it in front of the first cell.", line=line)


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text)


def _traced(expanded: Expanded, template: str = "") -> list[list[int]]:
    """The lines of the deck, or of a template, in each line of the expansion; an error where captured text hides it."""
    found = expanded.all_lines_of(template)
    if found is None:
        where = f"{template}: " if template else ""
        begins = first_hidden(expanded.source)
        raise ConversionError(
            f"{where}what is written here goes by the length or the end of text that templates capture, so that nobody "
            "can tell what comes out of hidden cells",
            "Neither measure, cut nor compare captured text in a deck with hidden cells; give macros plain values.",
            line=None if template or begins is None else expanded.source.count("\n", 0, begins) + 1,
        )
    return found


def _published(mark: Mark, line: int, template: str, *, is_lost: bool) -> ConversionError:
    if is_lost:
        fact = f"the templates around this marker of a {mark.tag} cell leave it out: line {line} would be published"
        place, step = mark.line, _LOST_STEP
    else:
        fact = f"a template takes this line out of the {mark.tag} cell of line {mark.line}: it would be published"
        place, step = line, _TAKEN_STEP
    if template:
        return ConversionError(f"{template}, line {place}: {fact}", step)
    return ConversionError(fact, step, line=place)


def places_in_deck(expanded: Expanded, lines: Sequence[int]) -> list[int]:
    """The deck's lines of some lines of the expansion; 0 where a template wrote one."""
    if not lines:
        return []
    if _is_verbatim(expanded, min(lines)):
        shift = expanded.source.count("\n") - expanded.text.count("\n")
        return [line + shift for line in lines]
    numbers = expanded.deck_lines()
    return [numbers[line - 1] or 0 for line in lines]


def is_hidden(cell: Cell) -> bool:
    """Whether no student gets a cell."""
    return not HIDDEN_TAGS.isdisjoint(cell.tags)


def _is_left_alone(expanded: Expanded, start: int) -> bool:
    """Whether all from an index of the deck on, which begins a line, is in the expansion as it is."""
    rest = expanded.source[start:]
    behind = len(expanded.text) - len(rest)
    return not _SYNTAX.search(rest) and expanded.text.endswith(rest) and expanded.text[:behind][-1:] in ("", "\n")


def _is_verbatim(expanded: Expanded, line: int) -> bool:
    """Whether all from *line* of the expansion on stands in the deck as it is, without a template."""
    rest = "\n".join(expanded.text.split("\n")[line - 1 :])
    return expanded.source.endswith(rest) and not _SYNTAX.search(rest)


class _Scan:
    def __init__(self, expanded: Expanded, numbers: Sequence[int | None], comment: str) -> None:
        self._lines = expanded.text.split("\n")
        self._written = expanded.source.split("\n")
        self._numbers = numbers
        self._comment = comment
        self._marker = re.compile(rf"\s*{re.escape(comment)}\s*(?:%%|In\[|<codecell>)")

    def check(self, cells: Sequence[Cell]) -> None:
        """Go through the cells with the deck's line of the hidden cell that the author last began."""
        ends = [*(cell.line for cell in cells[1:]), len(self._lines) + 1]
        begun: int | None = None
        what = ""
        for cell, end in zip(cells, ends, strict=True):
            own, inside = self._own_marker(cell.line), self._deck_lines(cell.line + 1, end)
            if is_hidden(cell):
                started = own or (begun or (inside[0] if inside else None))
                if started != begun:
                    begun, what = started, ", ".join(sorted(HIDDEN_TAGS & set(cell.tags)))
            elif begun is not None and own is not None and own > begun:
                begun = None
            elif begun is not None:
                behind = next((line for line in inside if line > begun), None)
                if behind is not None:
                    raise _error(self._call(cell.line, begun, behind), f"the {what} cell of line {begun}", behind)

    def _own_marker(self, line: int) -> int | None:
        """The deck's line of a marker that stands in the deck itself."""
        number = self._numbers[line - 1]
        return number if number is not None and self._marker.match(self._written[number - 1]) else None

    def _deck_lines(self, start: int, end: int) -> list[int]:
        """The deck's lines among some lines of the expansion that say something."""
        found = ((self._lines[i - 1].strip(), self._numbers[i - 1]) for i in range(start, end))
        return [number for text, number in found if number is not None and text not in ("", self._comment)]

    def _call(self, marker: int, begun: int, behind: int) -> int:
        """The deck's line with the template that wrote a marker."""
        number = self._numbers[marker - 1]
        if number is not None and number > begun:
            return number
        before = max((n for n in self._numbers[: marker - 1] if n is not None and n < behind), default=begun)
        candidates = range(max(before, begun), behind)
        return next((n for n in candidates if _SYNTAX.search(self._written[n - 1])), behind)


def _error(line: int, hidden: str, behind: int) -> ConversionError:
    fact = f"a template opens a cell inside {hidden}: line {behind} would be published"
    return ConversionError(fact, _NEXT_STEP, line=line)
