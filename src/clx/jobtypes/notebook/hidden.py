"""Templates that end a hidden cell: what the author wrote behind them would be published.

Markers are read after Jinja, so a macro or an include that stands inside a cell tagged ``private``,
``notes`` or ``del`` and writes a marker ends that cell. Where lines of the deck itself follow, nobody can
know whether they were meant for students: that is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from clx.errors import ConversionError
from clx.jobtypes.notebook.markers import HIDDEN_TAGS

if TYPE_CHECKING:
    from clx.jobtypes.notebook.cells import Cell
    from clx.jobtypes.notebook.expand import Expanded

_SYNTAX = re.compile(r"\{[{%#]|[}%#]\}|\bj2\b")
"""What statements and expressions of Jinja begin or end with."""
_NEXT_STEP = "Move the template out of that cell, or start a cell of its own, with its tags, behind it."


def check_hidden(expanded: Expanded, cells: Sequence[Cell], comment: str) -> None:
    """See that no template ends a hidden cell of a percent deck in front of lines of the deck.

    Raises:
        ConversionError: one does; ``line`` is the deck's.
    """
    first = next((cell for cell in cells if is_hidden(cell)), None)
    if first is None or _is_verbatim(expanded, first.line):
        return
    numbers = expanded.deck_lines()
    if not any(numbers):
        _check_unnumbered(expanded, cells)
        return
    _Scan(expanded, numbers, comment).check(cells)


def check_hidden_markdown(expanded: Expanded, cells: Sequence[Cell], read: Callable[[str], Sequence[Cell]]) -> None:
    """As :func:`check_hidden`, for a Markdown deck.

    Args:
        expanded: the deck.
        cells: its cells.
        read: finds the cells of a text; they are compared with those of the deck as it is written.

    Raises:
        ConversionError: a line of a hidden cell would be published; ``line`` is the deck's.
    """
    first = next((cell for cell in cells if is_hidden(cell)), None)
    if first is None or _is_verbatim(expanded, first.line):
        return
    try:
        written = read(expanded.source)
    except ConversionError:
        return  # with its statements it is no deck; what they become has been read
    hidden = {line: cell.line for cell in written if is_hidden(cell) for line in _span(cell)}
    numbers = expanded.deck_lines()
    for cell in cells:
        for line in () if is_hidden(cell) else _span(cell):
            number = numbers[line - 1] if line <= len(numbers) else None
            if number in hidden:
                raise _error(number, f"the hidden cell of line {hidden[number]}", number)


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


def _is_verbatim(expanded: Expanded, line: int) -> bool:
    """Whether all from *line* of the expansion on stands in the deck as it is, without a template."""
    rest = "\n".join(expanded.text.split("\n")[line - 1 :])
    return expanded.source.endswith(rest) and not _SYNTAX.search(rest)


def _span(cell: Cell) -> range:
    return range(cell.line, cell.line + cell.source.count("\n") + 1)


def _check_unnumbered(expanded: Expanded, cells: Sequence[Cell]) -> None:
    """For decks whose lines cannot be told apart (they use chance): markers must stand in the deck."""
    written = {line.strip() for line in expanded.source.split("\n")}
    lines = expanded.text.split("\n")
    for before, cell in pairwise(cells):
        if is_hidden(before) and not is_hidden(cell) and lines[cell.line - 1].strip() not in written:
            fact = "a template opens a cell inside a hidden cell, and the deck's lines cannot be told from it"
            raise ConversionError(fact, _NEXT_STEP)


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
