"""What a page refers to and what can be referred to in it: its links, its pictures, its anchors.

Found where the page is made, so that a build can check all of them without reading any page.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from typing import Any
from urllib.parse import unquote

_NO_MARKUP = re.compile(r"<(script|style|template|textarea)\b[^>]*>.*?</\1\s*>|<!--.*?-->", re.DOTALL | re.IGNORECASE)
_DRAWING = re.compile(r"<svg\b.*?</svg\s*>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"""<[a-zA-Z](?:[^<>"']|"[^"]*"|'[^']*')*>""")
_VALUE = r"""\s*=\s*(?:"([^"]*)"|'([^']*)')"""
_REFERENCE = re.compile(rf"(?<=[\s\"'])(src|href|srcset|poster|data){_VALUE}", re.IGNORECASE)
_ID = re.compile(rf"(?<=[\s\"'])(?:id|name){_VALUE}", re.IGNORECASE)
_MAIN = re.compile(r"<main\b.*</main>", re.DOTALL)
_ELSEWHERE = re.compile(r"(?!https?:)[a-zA-Z][a-zA-Z0-9+.-]*:|[/\\]")
"""What cannot be checked: other schemes than the web's, other hosts, absolute paths."""
_TO_ANCHOR = re.compile(r"""(?<=\shref=)(["'])#([^"']+)\1""", re.IGNORECASE)
_IN_SET = re.compile(r"\s*(\S+)[^,]*,?")


def references(page: str) -> dict[str, Any]:
    """What a page's author refers to, and its anchors.

    Returns:
        ``refs``: relative and web addresses as they are written, each once, in their order; of anchors in the page
        itself those that are not there. ``ids``: the anchors but those inside of drawings.
    """
    plain = _NO_MARKUP.sub("", page)
    main = _MAIN.search(plain)
    refs: dict[str, None] = {}
    for name, value in _attributes(main[0] if main else plain, _REFERENCE):
        for each in _addresses(name, unescape(value).strip()):
            refs[each] = None
    within = [ref for ref in refs if ref.startswith("#")]
    if within:
        there = {value for _, value in _attributes(plain, _ID)}
        for ref in within:
            if ref in ("#", "#top") or ref[1:] in there or unquote(ref[1:]) in there:
                del refs[ref]
    ids = {unescape(value): None for _, value in _attributes(_DRAWING.sub("", plain), _ID)}
    return {"refs": list(refs), "ids": list(ids)}


def _attributes(text: str, pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    """Names and values of the attributes that *pattern* finds inside of tags."""
    found = []
    for match in pattern.finditer(text):
        tag = _TAG.match(text, text.rfind("<", 0, match.start()))
        if tag is not None and tag.end() >= match.end():
            *name, quoted, apostrophed = match.groups()
            found.append((name[0].lower() if name else "", apostrophed if quoted is None else quoted))
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
    links = {match[2] for match in _TO_ANCHOR.finditer(page)}
    if not links:
        return page
    there = {unescape(value) for _, value in _attributes(_NO_MARKUP.sub("", page), _ID)}
    respelt = {}
    for link in links:
        wanted = unquote(unescape(link))
        anchor = slug(wanted)
        if wanted not in there and anchor in there:
            respelt[link] = anchor
    return _TO_ANCHOR.sub(lambda match: f'"#{respelt[match[2]]}"' if match[2] in respelt else match[0], page)
