"""Blocks of Pandoc, Quarto and reveal.js that no student is meant to see: ``::: {.notes}``, ``<aside class="notes">``.

In Markdown decks and in what is imported such a block is a cell of its own. In all other places it would be published
as text: there it is a mistake that is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clx.errors import ConversionError
from clx.jobtypes.notebook.fences import Fence
from clx.jobtypes.notebook.markers import HIDDEN_TAGS

_COLONS = re.compile(r"[\s>]*(?:(?:[*+-]|\d{1,9}[.)])\s+)*(:{3,})\s*(.*?)[\s:]*$")
_MEANT = {tag: tag for tag in HIDDEN_TAGS} | {"hidden": "del", "content-hidden": "del"}
"""Class → the tag that it means."""
_WORD = re.compile(r"[\w-]+$")
_CLASS = re.compile(r"(?:^|[\s{])\.([\w-]+)|^\{\s*([\w-]+)\s*\}|\bclass\s*=\s*[\"']?([\w\s-]+)")
_QUOTED = re.compile(r"""(?<!\bclass)(\s*=\s*)(?:"[^"]*"|'[^']*')""")
_ONLY_SOMEWHERE = re.compile(r"\b(?:when|unless)-")
_ELEMENT = re.compile(r"<\w+\b[^>]{0,300}?\bclass\s*=\s*(?:[\"'][^\"'<>]{0,200}?\b)?notes\b(?!-)", re.IGNORECASE)
_STEP = (
    'Put it into a cell of its own with tags=["{tag}"] (in a Markdown deck: a `::: {{.{tag}}}` block at the margin).'
)


@dataclass(frozen=True, slots=True)
class HiddenBlock:
    """A block of Markdown that is hidden.

    Attributes:
        tag: the tag of hidden cells that it means.
        start: index of the line that opens it.
        end: index of the line that closes it; that behind the last where it is left open.
    """

    tag: str
    start: int
    end: int


def hiding_tag(line: str) -> str | None:
    """The tag of hidden cells that a line which opens a block of colons means; ``None`` for all other lines."""
    found = _COLONS.match(line) if ":::" in line else None
    if found is None or not found[2]:
        return None
    said = found[2].lower()
    if _WORD.match(said):
        return _MEANT.get(said)
    if not said.startswith("{"):
        return None
    names = [name for names in _CLASS.findall(_QUOTED.sub(r"\1", said)) for name in " ".join(names).split()]
    tags = [_MEANT[name] for name in names if name in _MEANT]
    if "content-hidden" in names and _ONLY_SOMEWHERE.search(said):
        tags = [_MEANT[name] for name in names if name in HIDDEN_TAGS]
    return tags[0] if tags else None


def hidden_block_at(lines: Sequence[str], start: int) -> HiddenBlock | None:
    """The hidden block that a line opens at the margin."""
    tag = hiding_tag(lines[start]) if lines[start].startswith(":::") else None
    if tag is None:
        return None
    fence, depth = Fence(), 0
    for index in range(start, len(lines)):
        if fence.read(lines[index]):
            continue
        depth += _depth(lines[index])
        if depth == 0:
            return HiddenBlock(tag, start, index)
    return HiddenBlock(tag, start, len(lines))


def _depth(line: str) -> int:
    """By how much a line changes how many blocks of colons are open."""
    found = _COLONS.match(line) if ":::" in line else None
    return 0 if found is None else 1 if found[2] else -1


def hidden_in_text(source: str) -> Iterator[tuple[int, str]]:
    """What in the text of a public cell is meant to be hidden: index of the line, and the tag that it means."""
    if ":::" not in source and "notes" not in source.lower():
        return
    fence = Fence()
    for index, line in enumerate(source.split("\n")):
        if fence.read(line):
            continue
        if tag := hiding_tag(line):
            yield index, tag
        elif _ELEMENT.search(line):
            yield index, "notes"


def hidden_block_error(tag: str, line: int) -> ConversionError:
    """What is told of a block that would be published."""
    fact = f"this block is meant to be hidden ({tag}) but stands in a public cell: it would be published"
    return ConversionError(fact, _STEP.format(tag=tag), line=line)
