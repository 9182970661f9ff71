"""Templates that end a hidden cell: what the author wrote behind them would be published.

Markers are read after Jinja, so a macro or an include that stands inside a cell tagged ``private``,
``notes`` or ``del`` and writes a marker ends that cell. Where lines of the deck itself follow, nobody can
know whether they were meant for students: that is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from clx.errors import ConversionError
from clx.jobtypes.notebook.markers import HIDDEN_TAGS

if TYPE_CHECKING:
    from clx.jobtypes.notebook.cells import Cell
    from clx.jobtypes.notebook.expand import Expanded

_SYNTAX = re.compile(r"\{[{%#]|[}%#]\}|\bj2\b")
"""What statements and expressions of Jinja begin or end with."""
_STATEMENTS = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}|\bj2\b.*")
_OWN_WORDS = re.compile(r"\w")
_MENTIONED = re.compile("|".join(sorted(HIDDEN_TAGS)))
_TELLING = 3
"""Characters of a line up to which it may stand anywhere."""
_NEXT_STEP = "Move the template out of that cell, or start a cell of its own, with its tags, behind it."


Read = Callable[[str], Sequence["Cell"]]
"""Finds the cells of a text; markers that cannot be understood are passed over."""


def check_hidden(expanded: Expanded, cells: Sequence[Cell], comment: str, read: Read) -> None:
    """See that no template ends, or swallows the marker of, a hidden cell of a percent deck.

    Args:
        expanded: the deck.
        cells: its cells.
        comment: the comment sign of its language.
        read: the deck as it is written is compared with what it has become.

    Raises:
        ConversionError: one does, and lines of the deck follow; ``line`` is the deck's.
    """
    first = next((cell for cell in cells if is_hidden(cell)), None)
    numbers = None
    if first is not None and not _is_verbatim(expanded, first.line):
        numbers = expanded.deck_lines()
        if any(numbers):
            _Scan(expanded, numbers, comment).check(cells)
        else:
            _check_unnumbered(expanded, cells)
    _check_written(expanded, cells, read, numbers, whole=True)


def check_hidden_markdown(expanded: Expanded, cells: Sequence[Cell], read: Read) -> None:
    """As :func:`check_hidden`, for a Markdown deck.

    Raises:
        ConversionError: a line of a hidden cell would be published; ``line`` is the deck's.
    """
    _check_written(expanded, cells, read, None, whole=False)


def _check_written(
    expanded: Expanded, cells: Sequence[Cell], read: Read, numbers: Sequence[int | None] | None, *, whole: bool
) -> None:
    """See that no line of what the author wrote into a hidden cell stands in a public one.

    A template can do that in many ways: it ends the cell, or white space control, a comment or a capture swallows the
    marker. So the places of the lines are compared, whatever has moved them.
    """
    if not _MENTIONED.search(expanded.source) or _is_verbatim(expanded, 1):
        return
    try:
        written = read(expanded.source)
    except ConversionError:
        return  # with its statements it is no deck; what they become has been read
    hidden = {
        line: cell.line for cell, span in _spans(written, expanded.source, whole) if is_hidden(cell) for line in span
    }
    if not hidden:
        return
    lines, numbers = expanded.text.split("\n"), numbers or expanded.deck_lines()
    public = [line for cell, span in _spans(cells, expanded.text, whole) if not is_hidden(cell) for line in span]
    if not any(numbers):
        _check_texts(expanded, public, hidden)
        return
    author = expanded.source.split("\n")
    for line in public:
        number = numbers[line - 1]
        if number in hidden and _OWN_WORDS.search(lines[line - 1]) and not _is_only_template(author[number - 1]):
            raise _moved(number, hidden[number])


def _check_texts(expanded: Expanded, public: Sequence[int], hidden: dict[int, int]) -> None:
    """As :func:`_check_written` where lines cannot be told apart: by what they say."""
    author, lines = expanded.source.split("\n"), expanded.text.split("\n")
    published = {lines[line - 1].strip() for line in public}
    elsewhere = {line.strip() for number, line in enumerate(author, 1) if number not in hidden}
    for number, begun in hidden.items():
        text = author[number - 1].strip()
        if len(text) > _TELLING and text in published and text not in elsewhere:
            raise _moved(number, begun)


def _spans(cells: Sequence[Cell], text: str, whole: bool) -> Iterator[tuple[Cell, range]]:
    """Each cell with its lines: up to the next cell where they are *whole*, else those of its source."""
    last = text.count("\n") + 1
    ends = (
        [*(cell.line for cell in cells[1:]), last + 1]
        if whole
        else [min(cell.line + cell.source.count("\n"), last) + 1 for cell in cells]
    )
    return ((cell, range(cell.line, end)) for cell, end in zip(cells, ends, strict=True))


def _is_only_template(line: str) -> bool:
    """Whether a line of the deck says nothing of its own: what it becomes comes from elsewhere."""
    return bool(_SYNTAX.search(line)) and not _OWN_WORDS.search(_STATEMENTS.sub("", line))


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


def _moved(line: int, begun: int) -> ConversionError:
    fact = f"a template takes line {line} out of the hidden cell of line {begun}: it would be published"
    step = "Let the marker of that cell and its text stand together, outside of comments, conditions and captures."
    return ConversionError(fact, step, line=line)


def _error(line: int, hidden: str, behind: int) -> ConversionError:
    fact = f"a template opens a cell inside {hidden}: line {behind} would be published"
    return ConversionError(fact, _NEXT_STEP, line=line)
