"""The cells of an expanded Markdown deck, as jupytext reads it: text, fenced code, and regions.

Regions never reach jupytext: it would end them at the first end that comes (:mod:`clx.jobtypes.notebook.regions`).
In their place it is given code cells without text, so that nothing of a region can become part of another cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clx.errors import ConversionError
from clx.jobtypes.notebook.attributes import meaning_of, option_tags
from clx.jobtypes.notebook.cells import Cell, trimmed
from clx.jobtypes.notebook.header import check_header, with_whole_kernelspec
from clx.jobtypes.notebook.limits import LimitError
from clx.jobtypes.notebook.markers import HIDDEN_TAGS, CellKind, check_names, check_title, lang_from, tags_from
from clx.jobtypes.notebook.near import near_marker, near_marker_error
from clx.jobtypes.notebook.regions import Region, find_regions, region_end, region_start

_PLACE = "clx-region"
_SHOWN = "<!--\ufdd0"
"""Begins a region's marker that is only shown, in a fenced block; a character that no text has."""


def read_markdown(text: str, problems: list[ConversionError]) -> list[Cell]:
    """Split an expanded deck into its cells; *problems* takes what is wrong with markers.

    Raises:
        ConversionError: jupytext cannot read it.
    """
    check_header(text)
    lines = text.split("\n")
    regions = find_regions(lines, problems)
    reading = _Reading(lines, regions, problems)
    for cell in _cells_of_jupytext(_without_regions(lines, regions)):
        reading.take(cell.cell_type, str(cell.source), dict(cell.metadata))
    return reading.found()


def _without_regions(lines: list[str], regions: list[Region]) -> str:
    """The deck as jupytext is given it; its lines keep their numbers."""
    given = [
        line.replace("<!--", _SHOWN, 1)
        if line.startswith("<!--") and (region_start(line) or region_end(line))
        else line
        for line in lines
    ]
    for number, region in enumerate(regions):
        last = min(region.end, len(lines) - 1)
        given[region.start : last + 1] = [""] * (last + 1 - region.start)
        if last > region.start:
            given[region.start] = f'```python {_PLACE}="{number}"'
            given[last] = "```"
    return "\n".join(given)


def _cells_of_jupytext(text: str) -> list[Any]:
    import jupytext

    try:
        return list(jupytext.reads(with_whole_kernelspec(text), fmt="md").cells)
    except (LimitError, MemoryError):
        raise
    except Exception as error:  # its YAML header can break jupytext in many ways
        fact = f"jupytext cannot read the Markdown deck: {' '.join(str(error).split())[:200]}"
        raise ConversionError(fact, "Look at the YAML block at the top of the deck.") from error


class _Reading:
    """Takes jupytext's cells, and puts the regions back into their places."""

    def __init__(self, lines: list[str], regions: list[Region], problems: list[ConversionError]) -> None:
        self._lines = lines
        self._regions = regions
        self._problems = problems
        self._cells: list[Cell] = []
        self._position = 0
        self._seen = set[int]()

    def take(self, kind: CellKind, text: str, metadata: dict[str, Any]) -> None:
        """Go on by one cell of jupytext."""
        if (place := metadata.get(_PLACE)) is not None:
            self._take_region(int(place))
            return
        source = trimmed(text.replace(_SHOWN, "<!--").split("\n"))
        if kind == "raw" and source.startswith("---\n") and not self._cells:
            return  # the document's YAML header
        start = _line_of(source, self._lines, self._position)
        marker = start - 1 if kind == "code" and self._lines[start - 1 : start] != [""] else start
        self._add(kind, source, metadata, start, max(marker, 0))
        self._position = start + (source.count("\n") + 1 if source else 0)

    def _take_region(self, number: int) -> None:
        from jupytext.cell_metadata import text_to_metadata

        region = self._regions[number]
        self._seen.add(number)
        self._position = region.start
        inner = set(region.inner)
        body = ["" if i in inner else self._lines[i] for i in range(region.start + 1, region.end)]
        title, metadata = text_to_metadata(region.options, allow_title=True)
        start = next((i for i, line in enumerate(body, region.start + 1) if line.strip()), region.start)
        kind: CellKind = "raw" if region.name == "raw" else "markdown"
        self._add(kind, trimmed(body), metadata | ({"title": title} if title else {}), start, region.start)
        self._position = region.end + 1

    def _add(self, kind: CellKind, source: str, metadata: dict[str, Any], start: int, marker: int) -> None:
        """A cell whose text starts at one index, and whose marker stands at another."""
        line = marker + 1
        try:
            _check_metadata(metadata, line)
            tags, lang = tags_from(metadata.get("tags"), line), lang_from(metadata.get("lang"), line)
            meant = meaning_of(metadata, line)
        except ConversionError as error:
            self._problems.append(error)
            return
        more = option_tags(source) if kind == "code" else ()
        tags = tuple(dict.fromkeys((*tags, *meant.tags, *more)))
        if HIDDEN_TAGS.isdisjoint(tags):
            # the line that opens a block of code too: its options may have been read as something else
            inside = range(self._position, min(start + source.count("\n") + 1, len(self._lines)))
            near = ((i + 1, near_marker(self._lines[i])) for i in inside)
            self._problems += [near_marker_error(tag, at) for at, tag in near if tag]
        if source or kind == "code":
            self._cells.append(Cell(kind, source, tags, lang, start + 1, unread=meant.unread))

    def found(self) -> list[Cell]:
        """The cells, unless a region stands where jupytext sees no place for a cell."""
        for number, region in enumerate(self._regions):
            if number not in self._seen and region.end > region.start + 1:
                fact = "this region stands in a block of code that is left open, so that it is no cell"
                self._problems.append(ConversionError(fact, "Close the block in front of it.", line=region.start + 1))
        return self._cells


def _check_metadata(metadata: Mapping[str, Any], line: int) -> None:
    """jupytext puts what it cannot read under names of its own, and bare words without a value."""
    check_names(metadata, line)
    bare = [key for key, value in metadata.items() if value is None]
    texts = [str(metadata.get(key) or "") for key in ("title", "incorrectly_encoded_metadata")]
    for text in (*bare, *texts):
        check_title(text, line)


def _line_of(source: str, lines: list[str], start: int) -> int:
    """Index of the first line of a cell at or after *start*; jupytext does not keep it."""
    first = source.partition("\n")[0]
    return next((i for i in range(start, len(lines)) if first and lines[i] == first), start)
