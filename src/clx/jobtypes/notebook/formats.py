"""Decks in a format of jupytext that is not read here: one in the light format would be a single cell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from clx.errors import ConversionError
from clx.jobtypes.notebook.deck import ProgLang
from clx.jobtypes.notebook.magics import Quotes
from clx.jobtypes.notebook.markers import marker_pattern

_HEADER_LINES = 40
_FORMAT_NAME = re.compile(r"\s*(?:#|//)\s*format_name:\s*[\"']?([\w-]+)")
_READ = frozenset({"percent", "hydrogen"})
"""jupytext's formats that are read here; in hydrogen magics are not commented out."""
_RULE = re.compile(r"#{20,}\s*$")


def other_format(lines: Sequence[str], language: ProgLang, cells: int) -> ConversionError | None:
    """What is told of a deck that is no percent text: its header says so, or the markers of another format stand in it.

    Args:
        cells: how many were found; in a deck with two of them markers of other formats are comments.
    """
    comment = language.comment
    named = next((match[1] for line in lines[:_HEADER_LINES] if (match := _FORMAT_NAME.match(line))), "")
    if named in _READ or (not named and cells > 1):
        return None
    index = 0
    if not named:
        if any(marker_pattern(comment).match(line) for line in lines if "%%" in line):
            return None
        light = re.compile(rf"{re.escape(comment)}\s?(?:\+(?:\s|\{{|$)|-\s*$)")
        found = next(((i, "light") for i in _outside_strings(lines, comment) if light.match(lines[i])), None)
        if found is None and language.name == "python":
            found = next(((i, "sphinx") for i in range(len(lines) - 1) if _is_sphinx(lines, i)), None)
        if found is None:
            return None
        index, named = found
    return ConversionError(
        f"the deck is in jupytext's {named} format, which would be one cell here",
        f"Type: jupytext --to {language.extension[1:]}:percent FILE",
        line=index + 1,
    )


def is_unmarked(text: str, language: ProgLang) -> bool:
    """Whether no line of an expanded deck begins a cell."""
    pattern = marker_pattern(language.comment)
    return not any(pattern.match(line) for line in text.split("\n"))


def _outside_strings(lines: Sequence[str], comment: str) -> Iterator[int]:
    """Indexes of the lines that do not begin in a string of several lines."""
    quotes = Quotes(comment)
    for index, line in enumerate(lines):
        if not quotes.open:
            yield index
        quotes.read(line)


def _is_sphinx(lines: Sequence[str], index: int) -> bool:
    """Whether a line begins a block of text as sphinx-gallery has it: a rule, and text in comments behind it."""
    return bool(_RULE.match(lines[index])) and lines[index + 1].startswith("# ") and bool(lines[index + 1][2:].strip())
