"""The cells of an expanded Markdown deck: text, fenced blocks of code, and regions.

Text is split as jupytext splits it, at two blank lines. Fenced blocks in the deck's language are cells, also as Quarto
and R Markdown (```` ```{python} ````) and MyST (```` ```{code-cell} ````) write them; all others are shown as they are,
whatever their language: what illustrates is not run. Regions are counted (:mod:`clx.jobtypes.notebook.regions`).
Blocks of speaker's notes (``::: {.notes}``) are hidden cells (:mod:`clx.jobtypes.notebook.hidden_blocks`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from clx.errors import ConversionError
from clx.jobtypes.notebook.attributes import option_tags
from clx.jobtypes.notebook.cells import Cell, trimmed
from clx.jobtypes.notebook.deck import ProgLang, fence_names
from clx.jobtypes.notebook.fences import closes_fence, opened_fence
from clx.jobtypes.notebook.header import header_of
from clx.jobtypes.notebook.hidden_blocks import HiddenBlock, hidden_block_at
from clx.jobtypes.notebook.markers import HIDDEN_TAGS, CellKind, Marker, read_attributes, read_marker
from clx.jobtypes.notebook.near import near_marker, near_marker_error
from clx.jobtypes.notebook.regions import Region, find_regions

_MYST = re.compile(r"```+\s*\{code-cell\}\s*([\w+#.-]*)")
_MYST_OPTION = re.compile(r":([\w-]+):\s*(.*?)\s*$")
_MYST_BREAK = re.compile(r"\+\+\+\s*(\{.*\})?\s*$")
_BRACED = re.compile(r"\{\s*([\w+#.-]+)((?:[\s,][^}]*)?)\}\s*(.*)$")
_PLAIN = re.compile(r"([\w+#-]+)(?![\w+#.-])\s*(.*)$")
_SHOWN = re.compile(r"(?:^|[\s,{])\.?(?:no-?eval|no-?run|no-?exec)\b", re.IGNORECASE)
"""Says of a block in the deck's language that it is no cell; jupytext's own is ``.noeval``."""
_COMMA = re.compile(r",(?![^\[{]*[\]}])")
_STEP = "Correct it, or remove it."


def read_markdown(text: str, language: ProgLang, problems: list[ConversionError]) -> list[Cell]:
    """Split an expanded deck into its cells; *problems* takes what is wrong with markers.

    Raises:
        ConversionError: the YAML block on top cannot be read, or says that the code is in another language.
    """
    header, start = header_of(text)
    _check_language(header, language)
    lines = text.split("\n")
    regions = {region.start: region for region in find_regions(lines, problems)}
    return _Reading(lines, regions, language, problems).cells(start, is_myst=_is_myst(header, lines))


def _check_language(header: Mapping[str, Any], language: ProgLang) -> None:
    inner = header.get("jupyter")
    for each in (header, inner if isinstance(inner, dict) else {}):
        kernel = each.get("kernelspec")
        named = kernel.get("language") if isinstance(kernel, dict) else None
        jupytext = each.get("jupytext")
        named = named or (jupytext.get("main_language") if isinstance(jupytext, dict) else None)
        if isinstance(named, str) and named.lower() not in fence_names(language):
            fact = f"the deck's YAML block says that its code is in {named}, but the course is in {language.name}"
            raise ConversionError(fact, f"Write `language: {language.name}` there, or remove it.", line=1)


def _is_myst(header: Mapping[str, Any], lines: list[str]) -> bool:
    return "format_name: myst" in str(header) or "'format_name': 'myst'" in str(header) or any(map(_MYST.match, lines))


class _Fence(NamedTuple):
    """A fenced block that is a cell.

    Attributes:
        marker: what its first line says.
        skipped: how many lines of its body are options.
        shown: the language of one that is not the deck's: it is shown and does not run.
    """

    marker: Marker
    skipped: int = 0
    shown: str = ""


class _Reading:
    """Goes through a deck, and collects its cells."""

    def __init__(
        self, lines: list[str], regions: Mapping[int, Region], language: ProgLang, problems: list[ConversionError]
    ) -> None:
        self._lines = lines
        self._regions = regions
        self._names = fence_names(language)
        self._problems = problems
        self._cells: list[Cell] = []
        self._position = 0
        self._break: Marker | None = None

    def cells(self, start: int, *, is_myst: bool) -> list[Cell]:
        """The cells behind the YAML block."""
        self._position = index = prose = start
        blank = 0
        while index < len(self._lines):
            line = self._lines[index]
            region, fence = self._regions.get(index), opened_fence(line)
            if region is not None:
                self._text(prose, index)
                self._region(region)
                index = prose = region.end + 1
            elif is_myst and (found := _MYST_BREAK.match(line)):
                self._text(prose, index)
                self._break = self._marker(found[1] or "", index)
                prose, index = index + 1, index + 1
            elif block := hidden_block_at(self._lines, index):
                self._text(prose, index)
                self._hidden(block)
                index = prose = block.end + 1
            elif fence:
                end = self._end(index, fence)
                if cell := self._fence(line, index, end):
                    self._text(prose, index)
                    self._code(cell, index, end)
                    prose = end + 1
                elif self._splits(blank):
                    self._text(prose, index)
                    prose = index
                index = end + 1
            elif line.strip() and self._splits(blank):
                self._text(prose, index)
                prose, index = index, index + 1
            else:
                index += 1
            blank = 0 if line.strip() else blank + 1
        self._text(prose, len(self._lines))
        return self._cells

    def _splits(self, blank: int) -> bool:
        """Whether a cell of text ends at so many blank lines; behind a break of MyST's it goes on to the next."""
        return blank > 1 and self._break is None

    def _end(self, index: int, fence: str) -> int:
        """Index of the line that closes a block; one that is left open goes to the end."""
        behind = range(index + 1, len(self._lines))
        return next((i for i in behind if closes_fence(self._lines[i], fence)), len(self._lines))

    def _text(self, start: int, end: int) -> None:
        first = next((i for i in range(start, end) if self._lines[i].strip()), end)
        marker, self._break = self._break or Marker("markdown"), None
        if first < end:
            self._add("markdown", trimmed(self._lines[first:end]), marker, first)
        elif marker.tags:
            self._break = marker

    def _region(self, region: Region) -> None:
        inner = set(region.inner)
        body = ["" if i in inner else self._lines[i] for i in range(region.start + 1, region.end)]
        first = next((i for i, line in enumerate(body, region.start + 1) if line.strip()), region.start)
        marker = self._marker(region.options.strip(), region.start)
        self._position = region.start
        if marker is not None:
            self._add("raw" if region.name == "raw" else "markdown", trimmed(body), marker, first)
        self._position = region.end + 1

    def _hidden(self, block: HiddenBlock) -> None:
        """A block that is meant to be hidden is a cell, with all that is in it as text."""
        cut = any(block.start < each.start < block.end <= each.end for each in self._regions.values())
        if cut or block.end == len(self._lines):
            fact = f"this `:::` block ({block.tag}) has no end, or ends in a region that it has the beginning of"
            self._problems.append(ConversionError(fact, "Close it with a line `:::`.", line=block.start + 1))
        inside = range(block.start + 1, block.end)
        first = next((i for i in inside if self._lines[i].strip()), block.start)
        self._break = None
        self._position = block.start
        self._add("markdown", trimmed([self._lines[i] for i in inside]), Marker("markdown", (block.tag,)), first)
        self._position = block.end + 1

    def _code(self, fence: _Fence, index: int, end: int) -> None:
        body = range(index + 1 + fence.skipped, end)
        first = next((i for i in body if self._lines[i].strip()), min(index + 1, len(self._lines) - 1))
        self._break = None
        source = trimmed([self._lines[i] for i in body])
        if fence.shown:
            marks = opened_fence(self._lines[index])
            self._add("markdown", f"{marks}{fence.shown}\n{source}\n{marks}", fence.marker, index)
        else:
            self._add("code", source, fence.marker, first)
        self._position = end + 1

    def _add(self, kind: CellKind, source: str, marker: Marker, start: int) -> None:
        more = option_tags(source) if kind == "code" else ()
        tags = tuple(dict.fromkeys((*marker.tags, *more)))
        if HIDDEN_TAGS.isdisjoint(tags):
            # the line that opens a block of code too: its options may have been read as something else
            inside = range(self._position, min(start + source.count("\n") + 1, len(self._lines)))
            near = ((i + 1, near_marker(self._lines[i])) for i in inside)
            self._problems += [near_marker_error(tag, at) for at, tag in near if tag]
        self._position = start + (source.count("\n") + 1 if source else 0)
        if source or kind == "code":
            line = start + 1
            self._cells.append(Cell(kind, source, tags, marker.lang, line, unread=marker.unread, text_line=line))

    # -- what markers say -----------------------------------------------------------------------------

    def _fence(self, line: str, index: int, end: int) -> _Fence | None:
        """What a block that is a cell says of itself; ``None`` for one that is shown."""
        if not line.startswith("```"):
            return None
        if found := _MYST.match(line):
            is_own = not found[1] or self._is_own(found[1])
            return self._myst(index, end)._replace(shown="" if is_own else found[1])
        info = line.lstrip("`").strip()
        options = None
        if found := _BRACED.match(info):
            options = _COMMA.sub(" ", found[2]).strip() if found[1].lower() in self._names else None
        elif found := _PLAIN.match(info):
            options = found[2] if found[1].lower() in self._names else None
        if options is None or _SHOWN.search(options):
            return None
        marker = self._marker(options, index)
        return _Fence(marker) if marker else _Fence(Marker("code", tags=("del",)))  # the deck is refused anyway

    def _is_own(self, name: str) -> bool:
        """Whether a name is one of the deck's language, also as MyST and kernels call it (``ipython3``)."""
        return name.lower() in self._names or re.sub(r"^i(?=python)|[\d.]+$", "", name.lower()) in self._names

    def _myst(self, index: int, end: int) -> _Fence:
        """MyST's options: lines ``:tags: [keep]``, or YAML between dashes."""
        body = self._lines[index + 1 : end]
        written: list[str] = []
        if body and body[0].rstrip() == "---":
            written = body[1 : next((i for i in range(1, len(body)) if body[i].rstrip() == "---"), len(body))]
            skipped, text = len(written) + 2, "\n".join(written)
        else:
            for line in body:
                if not (option := _MYST_OPTION.match(line)):
                    break
                written.append(f"{option[1]}: {option[2]}")
            skipped, text = len(written), "\n".join(written)
        try:
            return _Fence(read_attributes(self._options(text), index + 1), skipped)
        except ConversionError as error:
            self._problems.append(error)
            return _Fence(Marker("code", tags=("del",)), skipped)

    @staticmethod
    def _options(text: str) -> dict[str, Any]:
        if not text.strip():
            return {}
        import yaml

        try:
            found = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError) as error:
            raise ConversionError("the options of the cell are no YAML", _STEP) from error
        return {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}

    def _marker(self, options: str, index: int) -> Marker | None:
        try:
            return read_marker(options, index + 1)
        except ConversionError as error:
            self._problems.append(error)
            return None
