"""What a deck is called: what ``header`` was given, else the title of its YAML block, else its first heading.

A heading counts when all students see it: a title names public pages and files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from clx.errors import ConversionError
from clx.jobtypes.notebook.deck import ProgLang
from clx.jobtypes.notebook.fences import Fence
from clx.jobtypes.notebook.markers import HIDDEN_TAGS
from clx.jobtypes.notebook.variants import cells_in

if TYPE_CHECKING:
    from clx.jobtypes.notebook.cells import Cell
    from clx.jobtypes.notebook.expand import Expanded

_KEPT_BACK = HIDDEN_TAGS | {"alt", "answer", "remove-cell"}
"""Tags of cells whose text some of the students' kinds do not show."""
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+(.*?)[ \t]*#*[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)[ \t]*$")
_ATTRIBUTES = re.compile(r"[ \t]*\{:?[ \t]*(?:[.#][\w-]|[\w-]+=)[^{}]*\}[ \t]*$")
"""As Pandoc and MyST write them behind a heading: ``{#id .class key=value}``; other braces are text."""
_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_TAG = re.compile(r"<[^<>]*>")
_EMPHASIS = re.compile(r"(\*\*|__|\*|(?<![\w])_|`+)(?=\S)(.+?)(?<=\S)\1")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_KEPT = 0xF000
"""Where signs that are no Markdown are put meanwhile, among those that no text has."""
_NO_PARAGRAPH = re.compile(r"\s*(?:[-*+>|#<]|\d+[.)]\s)")
_HTML_HEADING = re.compile(r"<h1\b[^>]*>(.*?)</h1>", re.IGNORECASE | re.DOTALL)


def title_of(
    expanded: Expanded, cells: Sequence[Cell], lang: str, language: ProgLang, *, is_markdown: bool
) -> str | None:
    """What a deck is called in a language; ``None`` where it does not say.

    Args:
        cells: those of all languages.
        language: what its code is written in.
    """
    return expanded.title or _from_header(expanded, lang, language, is_markdown=is_markdown) or _heading(cells, lang)


def _from_header(expanded: Expanded, lang: str, language: ProgLang, *, is_markdown: bool) -> str | None:
    if expanded.notebook is not None and (title := _plain(expanded.notebook.title, lang)):
        return title
    head = expanded.text[:4000]
    if "title:" not in head or not head.lstrip("#/ \n").startswith(("---", "!")):
        return None
    from clx.jobtypes.notebook.header import header_of

    if is_markdown:
        return _plain(header_of(expanded.text)[0].get("title"), lang)
    from clx.jobtypes.notebook.cells import header_lines

    block = "\n".join(["---", *header_lines(expanded.text.split("\n"), language.comment), "---", ""])
    try:
        return _plain(header_of(block)[0].get("title"), lang)
    except ConversionError:  # it is a comment, whatever it says
        return None


def _plain(title: Any, lang: str) -> str | None:
    """A title, or that of a language among several, in one line."""
    found = title.get(lang) if isinstance(title, dict) else title
    return " ".join(found.split()) or None if isinstance(found, str) else None


def _heading(cells: Sequence[Cell], lang: str) -> str | None:
    for cell in cells_in(cells, lang):
        if cell.kind == "markdown" and _KEPT_BACK.isdisjoint(cell.tags):
            for heading in _headings(cell.source):
                if text := _text_of(heading):
                    return text
    return None


def _headings(source: str) -> Iterator[str]:
    fence, before, above = Fence(), "", ""
    if found := _HTML_HEADING.match(source.lstrip()):
        yield found[1]
    for line in source.split("\n"):
        if fence.read(line):
            before = ""
        elif found := _HEADING.match(line):
            yield found[1]
            before = ""
        elif before and _UNDERLINE.match(line):
            yield before
            before = ""
        else:  # a heading that is underlined is a paragraph of one line
            is_first = not above and line.strip() and not _NO_PARAGRAPH.match(line)
            before = line.strip() if is_first else ""
        above = line.strip()


def _text_of(heading: str) -> str:
    """A heading as it reads: without links, emphasis, HTML and attributes."""
    text = _LINK.sub(r"\1", _IMAGE.sub("", _ATTRIBUTES.sub("", heading)))
    text = _ESCAPED.sub(lambda match: chr(_KEPT + ord(match[1])), _TAG.sub("", text))
    for _ in range(3):
        text = _EMPHASIS.sub(r"\2", text)
    return " ".join(
        "".join(chr(ord(sign) - _KEPT) if _KEPT <= ord(sign) < _KEPT + 128 else sign for sign in text).split()
    )
