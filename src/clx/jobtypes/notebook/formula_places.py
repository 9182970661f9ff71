"""Where formulas end that begin with a backslash, what is no formula though dollar signs say so, and those in HTML."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape

_BEGIN = re.compile(r"\\begin\{([a-zA-Z]+\*?)\}")
_BRACKETS = {
    r"\\(": re.compile(r"\\\\\((.+?)\\\\\)", re.DOTALL),
    r"\\[": re.compile(r"\\\\\[(.+?)\\\\\]", re.DOTALL),
}
_AUTOLINK = re.compile(r"<[a-zA-Z][a-zA-Z0-9+.-]{1,31}:[^<>\s]*>")
_TAG_LENGTH = 2_000
_ADDRESS = re.compile(r"\b[a-zA-Z]{3,6}://[^\s{}<>]*\Z")
_TARGET = re.compile(r"\A[^\[\]]*\]\([^()\s]*\Z")
_MARKUP = re.compile(
    r"<(pre|code|script|style|textarea|kbd|samp|svg|math|iframe|template|select|object)\b.*?(?:</\1\s*>|\Z)"
    r"|<!--.*?(?:-->|\Z)|</?[a-zA-Z][\w:-]*(?:\s(?:\"[^\"]*\"|'[^']*'|[^<>\"'])*)?/?>",
    re.DOTALL | re.IGNORECASE,
)
_REQUIRE = re.compile(r"\\require\s*\{\s*(?:\[tex\]/)?([^{}]*?)\s*\}")
_TYPESET = """
base ams newcommand amscd bbox boldsymbol braket bussproofs cancel cases centernot color colortbl empheq enclose
extpfeil gensymb html mathtools mhchem textcomp textmacros unicode upgreek verb
"""
"""Packages that are loaded always, as in ``scripts/mathjax/entry.js``."""
_NEEDLESS = "amsmath amssymb amssymbols autoload configmacros noerrors noundefined require"
"""What other versions call them, and what nothing is typeset with."""
_PACKAGES = frozenset(f"{_TYPESET} {_NEEDLESS}".split())


def environment_end(text: str, start: int) -> int | None:
    r"""Where the environment ends whose ``\begin`` is at *start*, with others of its name in it."""
    opened = _BEGIN.match(text, start)
    if opened is None:
        return None
    depth = 0
    for match in re.finditer(rf"\\(begin|end)\{{{re.escape(opened[1])}\}}", text[start:]):
        depth += 1 if match[1] == "begin" else -1
        if depth == 0:
            return start + match.end()
    return None


def backslash_formula(text: str, start: int) -> tuple[int, int, int, bool] | None:
    r"""The formula that begins with a backslash at *start*: an environment, or Jupyter's ``\\(`` and ``\\[``.

    Returns:
        Where its TeX begins and ends, where it ends itself, and whether it stands in lines of its own.
    """
    bracket = _BRACKETS.get(text[start : start + 3])
    if bracket is None:
        end = environment_end(text, start)
        return None if end is None else (start, end, end, True)
    match = bracket.match(text, start)
    return match and (*match.span(1), match.end(), bracket is _BRACKETS[r"\\["])


def is_elsewhere(text: str, start: int, close: int) -> bool:
    """Whether the dollar sign at *close* belongs to a tag or an address that begins behind the one at *start*."""
    content = text[start + 1 : close]
    for match in re.finditer("<", content):
        rest = text[start + 1 + match.start() : close + _TAG_LENGTH]
        from markdown_it.common.html_re import HTML_TAG_RE  # who reads decks needs nothing else of it

        tag = HTML_TAG_RE.match(rest) or _AUTOLINK.match(rest)
        if tag and match.start() + tag.end() > len(content):
            return True
    if _ADDRESS.search(content):
        return True
    return bool(_TARGET.match(content)) and text.rfind("[", 0, start) > text.rfind("]", 0, start)


def is_tex_quote(text: str, start: int, end: int) -> bool:
    r"""Whether what looks like a code span begins in the quotation marks of a formula: ``\text{`a'}``."""
    return bool(
        re.match(r"`+[^`{}$]*'[^`{}$]*\}", text[start:end]) and re.search(r"\\[a-zA-Z]+\{[^{}`$]*\Z", text[:start])
    )


def in_html(html: str, replaced: Callable[[str], str]) -> str:
    """HTML with its text *replaced*: all but tags, comments, and elements that hold code or pictures."""
    return "".join(_pieces(html, replaced))


def _pieces(html: str, replaced: Callable[[str], str]) -> Iterator[str]:
    position = 0
    for match in _MARKUP.finditer(html):
        yield replaced(html[position : match.start()])
        yield match[0]
        position = match.end()
    yield replaced(html[position:])


def tex_of_html(text: str) -> str:
    """The TeX that a text of HTML means: without character references."""
    return unescape(text)


def without_require(tex: str) -> tuple[str, list[str]]:
    r"""A formula without its ``\require``, which loads nothing here, and the packages that are not there."""
    missing = [name for name in _REQUIRE.findall(tex) if name.lower() not in _PACKAGES]
    return _REQUIRE.sub("", tex), missing
