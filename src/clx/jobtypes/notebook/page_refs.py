"""What a page refers to and what can be referred to in it: its links, its pictures, its anchors.

Found where the page is made, so that a build can check all of them without reading any page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any
from urllib.parse import unquote

_OPENING = re.compile(r"<(?:!--|/svg\b|[a-z])", re.IGNORECASE)
_TAG = re.compile(r"""<([a-z][a-z0-9]*)(?:[^>"']|"[^"]*"|'[^']*')*>""", re.IGNORECASE)
_VERBATIM = frozenset({"script", "style", "template", "textarea"})
"""Elements in which nothing is a tag, or nothing is shown."""
_VALUE = r"""\s*=\s*(?:"([^"]*)"|'([^']*)')"""
_REFERENCE = re.compile(rf"(?<=[\s\"'])(src|href|srcset|poster|data){_VALUE}", re.IGNORECASE)
_ID = re.compile(rf"(?<=[\s\"'])(id|name){_VALUE}", re.IGNORECASE)
_MAIN = re.compile(r"<main\b.*</main>", re.DOTALL)
_ELSEWHERE = re.compile(r"(?!https?:)[a-zA-Z][a-zA-Z0-9+.-]*:|[/\\]")
"""What cannot be checked: other schemes than the web's, other hosts, absolute paths."""
_TO_ANCHOR = re.compile(r"""#(?:(?<=\shref="#)([^"']+)(?=")|(?<=\shref='#)([^"']+)(?='))""", re.IGNORECASE)
"""Begins with the rarest of its signs: all of each page is looked through for it."""
_IN_SET = re.compile(r"\s*(\S+)[^,]*,?")


def references(page: str) -> dict[str, Any]:
    """What a page's author refers to, and its anchors.

    Returns:
        ``refs``: relative and web addresses as they are written, each once, in their order; of anchors in the page
        itself those that are not there. ``ids``: the anchors but those inside of drawings.
    """
    main = _MAIN.search(page)
    start, end = main.span() if main else (0, len(page))
    refs: dict[str, None] = {}
    drawn, ids = set[str](), dict[str, None]()
    for position, tag, is_drawn in _tags(page):
        for _, value in _attributes(tag, _ID):
            if is_drawn:
                drawn.add(value)
            else:
                ids[value] = None
        if start <= position < end:
            for name, value in _attributes(tag, _REFERENCE):
                refs |= dict.fromkeys(_addresses(name, value.strip()))
    for ref in [ref for ref in refs if ref.startswith("#")]:
        if ref in ("#", "#top") or any(name in ids or name in drawn for name in (ref[1:], unquote(ref[1:]))):
            del refs[ref]
    return {"refs": list(refs), "ids": list(ids)}


def _tags(text: str) -> Iterator[tuple[int, str, bool]]:
    """Each opening tag with its place, and whether it stands inside of a drawing.

    Every character is looked at once: where something is not closed, nothing behind it is a tag.
    """
    position = depth = 0
    while opening := _OPENING.search(text, position):
        if opening[0] == "<!--":
            end = text.find("-->", opening.end())
            if end < 0:
                return
            position = end
        elif opening[0].startswith("</"):
            position, depth = opening.end(), max(0, depth - 1)
        else:
            tag = _TAG.match(text, opening.start())
            if tag is None:
                return
            name, position = tag[1].lower(), tag.end()
            yield tag.start(), tag[0], depth > 0
            if name == "svg" and not tag[0].endswith("/>"):
                depth += 1
            elif name in _VERBATIM:
                closing = re.compile(rf"</{name}\b", re.IGNORECASE).search(text, position)
                if closing is None:
                    return
                position = closing.end()


def _attributes(tag: str, pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    """Names and values of the attributes of a tag that *pattern* finds."""
    found = []
    for match in pattern.finditer(tag):
        name, quoted, apostrophed = match.groups()
        found.append((name.lower(), unescape(apostrophed if quoted is None else quoted)))
    return found


def _addresses(name: str, value: str) -> list[str]:
    if name == "srcset":
        found = [] if value.startswith("data:") else [match[1].rstrip(",") for match in _IN_SET.finditer(value)]
    else:
        found = [value]
    return [each for each in found if each and not _ELSEWHERE.match(each)]


def with_known_anchors(page: str, slug: Callable[[str], str]) -> str:
    """A page whose links to headings as Jupyter spells them (``#Heading-Case``) lead to their anchors.

    Args:
        slug: the anchor of a heading's text.
    """
    respelt = {}
    for link in {match[1] or match[2] for match in _TO_ANCHOR.finditer(page)}:
        wanted = unquote(unescape(link))
        if (anchor := slug(wanted)) != wanted:
            respelt[link] = wanted, anchor
    if not respelt:
        return page
    there = {value for _, tag, _ in _tags(page) for _, value in _attributes(tag, _ID)}
    right = {
        f"#{link}": f"#{anchor}"
        for link, (wanted, anchor) in respelt.items()
        if wanted not in there and anchor in there
    }
    return _TO_ANCHOR.sub(lambda match: right.get(match[0], match[0]), page)
