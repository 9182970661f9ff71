"""What a page says, by heading: the text that can be searched.

It is taken from the page itself, so that nothing can be found that does not stand on it. Pages are CLX's own, and a
course has thousands: their tags are looked at one by one, which costs a tenth of a parser.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import NamedTuple

FORM = 2
"""Changes when the same page gives another text."""
_MAX_SECTION = 20_000
"""Characters of one heading's text that are searched."""
_TAG = re.compile(
    r"""<!--.*?-->|<(?P<raw>script|style)\b.*?</(?P=raw)\s*>|<(?P<close>/?)(?P<name>[a-zA-Z][\w-]*)(?P<rest>(?:"[^"]*"|'[^']*'|[^'">])*)>""",
    re.DOTALL | re.IGNORECASE,
)
_ID = re.compile(r"""\bid="([^"]*)\"""")
_CLASS = re.compile(r"""\bclass="([^"]*)\"""")
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_UNREAD = frozenset({"svg", "math", "template", "button", "select", "textarea", "iframe", "object"})
_UNREAD_CLASSES = frozenset({"out", "n", "ui"})
"""What cells wrote, their numbers, and what readers press."""
_INLINE = frozenset(
    {"a", "abbr", "b", "code", "em", "i", "kbd", "mark", "s", "small", "span", "strong", "sub", "sup", "u"}
)
_CELL = frozenset({"code", "text", "slide", "subslide", "notes"})
"""Classes of what is never inside of an output: a new cell, also after HTML of others that was left open."""


class Section(NamedTuple):
    """A heading, the anchor that leads to it, and the text up to the next one."""

    anchor: str
    heading: str
    text: str


def sections(page: str) -> list[Section]:
    """What the text of a page says, in order; before the first heading there may be a section without one."""
    start = page.find("<main")
    end = page.rfind("</main>")
    return list(_cut(_pieces(page[start : end if end > start else len(page)]))) if start >= 0 else []


def _cut(pieces: Iterator[tuple[str, str | None]]) -> Iterator[Section]:
    """Sections of pieces of text, each with the anchor of a heading that begins or ``""`` where one ends."""
    anchor, heading, texts, in_heading = "", "", list[str](), False
    for text, mark in pieces:
        if mark is None:
            if in_heading:
                heading += text
            else:
                texts.append(text)
        elif mark == _END:
            in_heading = False
        else:
            if found := _section(anchor, heading, texts):
                yield found
            anchor, heading, texts, in_heading = mark[1:], "", [], True
    if found := _section(anchor, heading, texts):
        yield found


_END = "/"


def _section(anchor: str, heading: str, texts: list[str]) -> Section | None:
    text = _plain("".join(texts))[:_MAX_SECTION]
    title = _plain(heading)
    return Section(anchor, title, text) if text or title else None


def _plain(html: str) -> str:
    return " ".join(unescape(html).split())


def _pieces(html: str) -> Iterator[tuple[str, str | None]]:
    """Text with None; with ``#anchor`` where a heading begins, with ``/`` where it ends."""
    position, unread, depth = 0, "", 0
    for tag in _TAG.finditer(html):
        name = (tag["name"] or "").lower()
        if not unread:
            yield html[position : tag.start()], None
            if name not in _INLINE:
                yield " ", None
        position = tag.end()
        classes = _classes(tag["rest"]) if name and not tag["close"] else frozenset()
        if unread and not (name in ("div", "section", "aside") and classes & _CELL):
            if name == unread:
                depth += -1 if tag["close"] else 1
                unread = unread if depth else ""
            continue
        unread = ""
        if name in _HEADINGS:
            found = _ID.search(tag["rest"])
            yield "", _END if tag["close"] else f"#{unescape(found[1]) if found else ''}"
        elif not tag["close"] and (name in _UNREAD or classes & _UNREAD_CLASSES) and not tag["rest"].endswith("/"):
            unread, depth = name, 1
    if not unread:
        yield html[position:], None


def _classes(attributes: str) -> frozenset[str]:
    found = _CLASS.search(attributes)
    return frozenset(found[1].split()) if found else frozenset()
