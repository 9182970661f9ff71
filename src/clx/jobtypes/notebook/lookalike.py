"""Lines that look as if they hid a cell, and hide none: what stands behind them would be published.

Other formats, other tools and slips of the pen mark cells in many ways (``# + tags=``, ``#| tags:``, ``+++ {…}``,
``# % %``, a marker behind an invisible character). One rule for all: a line that opens as markers do, and names a tag
that hides, is a marker or an error.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from clx.errors import ConversionError
from clx.jobtypes.notebook.markers import HIDDEN_TAGS, KIND_WORDS, KNOWN_TAGS

_HIDES = "|".join(sorted({*HIDDEN_TAGS, "skip"}))
_WORD = re.compile(r"[\w-]+")
_COMMENT = r"(?:\#|//|--|;|<!--|/\*)"
_OPENS = re.compile(
    rf"""\s*(?:
      {_COMMENT}?\s*(?:%[\s%]*|\+\+\+|<\w*cell>|In\s*\[)    # percent, spin, MyST and IPython markers
    | {_COMMENT}\s*(?:\+|\#?region\b|\#(?:md|markdown|raw)\b|\||-\s)    # light, regions, Quarto
    | \#?region\b
    | .*<!--\s*\#?(?:region|markdown|md|raw)\b
    | (?:{_COMMENT}\s*)?[\s>*+\-\d.)]*(?:`{{3,}}|~{{3,}})    # a fence, of tildes or in a list, that is no cell
    | :tags:                                              # MyST, inside a fence
    )""",
    re.VERBOSE | re.IGNORECASE,
)
"""What a marker begins with, in any format of decks that is about."""
_MAY_OPEN = re.compile(r"[%+|{]|```|~~~|cell>|In\s*\[|region|:tags:|#(?:md|markdown|raw)\b", re.IGNORECASE)
_TAGGED = re.compile(
    rf"""(?:tags?|slide_?type|slideshow|metadata|jupyter)["']?\s*[:=(\[{{].*(?<![\w-])(?:{_HIDES})(?![\w-])""",
    re.IGNORECASE,
)
"""A tag that hides, said where tags are said."""
_IN_BRACES = re.compile(rf"[{{,\s][.#](?:{_HIDES})(?![\w-])", re.IGNORECASE)
"""The same as a class of a fence: ``{{.python .private}}``."""
_PERCENT = re.compile(rf"\s*{_COMMENT}\s*%[\s%]*(.*)", re.DOTALL)
_LIST_BEGINS = re.compile(rf"\s*{_COMMENT}\|\s*tags\s*:\s*$", re.IGNORECASE)
_LIST_ITEM = re.compile(rf"""\s*{_COMMENT}\|\s*-\s*["']?(\w+)""")

_FACT = "this looks like the marker of a hidden cell but is none, so that its cell would be published"
_STEP = (
    "Write the marker as the guide has it (`jupytext --to py:percent` converts a deck), at the beginning of its line; "
    "to show one as text, put a word or a quote in front of it."
)


_REGION_BEGINS = re.compile(r"\s*<!--\s*#(?:region|markdown|md|raw)\b", re.IGNORECASE)
_REGION_ENDS = re.compile(r"\s*<!--\s*#end(?:region|markdown|md|raw)\b", re.IGNORECASE)


def lost_regions(lines: Sequence[str], inside: range, *, hidden: bool, behind_hidden: bool) -> list[ConversionError]:
    """Marks of regions that show where a hidden cell of a Markdown deck ends too early; ``line`` counts from 1.

    Args:
        lines: the deck.
        inside: the lines of one cell.
        hidden: whether no student gets that cell.
        behind_hidden: whether one like that stands before it.
    """
    pattern = _REGION_BEGINS if hidden else _REGION_ENDS
    if not hidden and not behind_hidden:
        return []
    what = "begins inside a hidden one, which its end would end" if hidden else "ends that does not begin"
    fact = f"regions do not nest: here one {what}, so that what follows would be published"
    step = "Let the hidden region end before another begins."
    return [ConversionError(fact, step, line=i + 1) for i in inside if pattern.match(lines[i])]


def lookalikes(lines: Sequence[str], inside: range) -> list[ConversionError]:
    """What looks like the marker of a hidden cell among the lines of a public one; ``line`` counts from 1."""
    return [ConversionError(_FACT, _STEP, line=i + 1) for i in inside if _is_lookalike(lines, i)]


def _is_lookalike(lines: Sequence[str], index: int) -> bool:
    line = lines[index]
    line = visible_only(line)
    if not _MAY_OPEN.search(line):  # nearly every line: this is asked of all lines of every deck that changed
        return False
    if _OPENS.match(line) and (_TAGGED.search(line) or _IN_BRACES.search(line)):
        return True
    if _LIST_BEGINS.match(line):
        return _lists_hidden(lines, index + 1)
    percent = _PERCENT.match(line)
    words = [word.lower() for word in _WORD.findall(percent[1])] if percent else []
    return not HIDDEN_TAGS.isdisjoint(words) and all(word in KNOWN_TAGS or word in KIND_WORDS for word in words)


def _lists_hidden(lines: Sequence[str], start: int) -> bool:
    for line in lines[start:]:
        item = _LIST_ITEM.match(line)
        if item is None:
            return False
        if item[1].lower() in HIDDEN_TAGS:
            return True
    return False


def visible_only(line: str) -> str:
    """A line without what cannot be seen (marks of byte order, blanks of no width), its signs in their usual width."""
    if line.isascii():
        return line
    return unicodedata.normalize("NFKC", "".join(each for each in line if unicodedata.category(each) != "Cf"))
