"""Regions of Markdown decks: ``<!-- #region tags=["private"] -->`` … ``<!-- #endregion -->``.

They may stand in each other, as editors fold them. jupytext ends a region at the first end that comes, and
publishes the rest; here they are counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from clx.errors import ConversionError
from clx.jobtypes.notebook.fences import Fence, last_closings
from clx.jobtypes.notebook.markers import check_title

_START = re.compile(r"<!--\s*#(region|markdown|md|raw)(.*?)-->\s*$")
_END = re.compile(r"<!--\s*#end(region|markdown|md|raw)\s*-->\s*$")
_PLAIN_TITLE = re.compile(r"[^=\[\]{}\"']*$")


@dataclass(frozen=True, slots=True)
class Region:
    """One region that stands in no other.

    Attributes:
        name: what it is called (``region``, ``md``, ``markdown``, ``raw``).
        options: what is written behind that.
        start: index of the line where it starts.
        end: index of the line where it ends.
        inner: indexes of the lines where regions in it start and end.
    """

    name: str
    options: str
    start: int
    end: int
    inner: tuple[int, ...]


def region_start(line: str) -> re.Match[str] | None:
    """Its name and options, where a line starts a region."""
    return _START.match(line) if line.startswith("<!--") else None


def region_end(line: str) -> str | None:
    """The name of the region that a line ends."""
    match = _END.match(line) if line.startswith("<!--") else None
    return match[1] if match else None


def find_regions(lines: list[str], problems: list[ConversionError]) -> list[Region]:
    """The regions of a deck, in order.

    *problems* takes those that end without a start, start without an end, or have options inside of another.
    """
    found: list[Region] = []
    opened: list[tuple[str, str, int]] = []
    inner: list[int] = []
    fence, closings = Fence(), last_closings(lines)
    for index, line in enumerate(lines):
        # what is shown in a fenced block starts and ends nothing; in a region, one that is never closed is none
        if fence.read(line, index, closings if opened else None):
            continue
        if start := region_start(line):
            if opened:
                inner.append(index)
                _check_inner(start[2].strip(), index, problems)
            opened.append((start[1], start[2], index))
        elif name := region_end(line):
            if not opened:
                problems.append(_error(f"`#end{name}` ends nothing: no region is open here", index))
                continue
            began = opened.pop()
            if began[0] != name:
                problems.append(_error(f"`#end{name}` comes where the `#{began[0]}` before it has to end", index))
            if opened:
                inner.append(index)
            else:
                found.append(Region(began[0], began[1], began[2], index, tuple(inner)))
                inner = []
    if opened:
        problems += [_error(f"this `#{name}` has no end", index) for name, _, index in opened]
        name, options, start_index = opened[0]
        found.append(Region(name, options, start_index, len(lines), tuple(inner)))
    return found


def _check_inner(options: str, index: int, problems: list[ConversionError]) -> None:
    """What a region in a region says of itself would be lost; a title says nothing."""
    if not _PLAIN_TITLE.match(options):
        fact = f"a region inside another is no cell: {options!r} would mean nothing"
        problems.append(ConversionError(fact, "End the outer region before it.", line=index + 1))
        return
    try:
        check_title(options, index + 1)
    except ConversionError as error:
        problems.append(error)


def _error(fact: str, index: int) -> ConversionError:
    step = "Each `<!-- #region … -->` needs an `<!-- #endregion -->`, also those that stand in another region."
    return ConversionError(fact, step, line=index + 1)
