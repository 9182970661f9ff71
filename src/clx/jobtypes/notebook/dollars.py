"""Which dollar signs of a text begin and end a formula, and which are prices: one rule for pages and for Jinja."""

from __future__ import annotations

import functools
import re

from clx.jobtypes.notebook.deck import code_spans
from clx.jobtypes.notebook.formula_places import is_elsewhere, is_tex_quote

_MASKED = "\ue03d"
_SIGNS = re.compile(r"\\.|[{}]|\$\$?", re.DOTALL)
_NESTED = 500
"""How far behind dollar signs within braces those are looked for that end a formula."""
_OF_TEX = re.compile(r"[\\^_={}<>+*/|]")
_ARGUMENT = re.compile(r"\\[a-zA-Z]+\*?\s*\{[^{}]*\}")
_WORD = re.compile(r"(?<![\\a-zA-Z])[^\W\d_]{3,}")


def formula_at(text: str, start: int) -> tuple[str, str, int] | None:
    """The signs, the TeX and the end of the formula that begins at a dollar sign; ``None``: it is a price, or text.

    Args:
        text: one whose code spans are masked (:func:`spans_masked`).
    """
    before = start
    while before and text[before - 1] == "\\":
        before -= 1
    if (start - before) % 2 or (start and text[start - 1].isdigit()):
        return None
    signs = "$$" if text.startswith("$$", start) else "$"
    close = closing(text, start + len(signs), signs)
    if close is None or close == start + len(signs):
        return None
    content, end = text[start + len(signs) : close], close + len(signs)
    if text[end : end + 1].isdigit() or (
        signs == "$" and (_is_price(content, text[:start]) or is_elsewhere(text, start, close))
    ):
        return None
    return signs, content, end


def closing(text: str, start: int, signs: str) -> int | None:
    """Where the first *signs* stand that end a formula: outside of braces, if there are such nearby."""
    first, depth = None, 0
    for match in _SIGNS.finditer(text, start):
        if match[0] in "{}":
            depth += 1 if match[0] == "{" else -1
        elif match[0].startswith(signs):
            if depth <= 0:
                return match.start()
            first = match.start() if first is None else first
        if first is not None and match.start() > first + _NESTED:
            break
    return first


@functools.lru_cache(maxsize=4)
def spans_masked(text: str) -> str:
    """A text in whose code spans no sign of formulas or tables stands; as long as it was."""
    if "`" not in text:
        return text
    pieces, position = [], 0
    for start, end in code_spans(text, 0, len(text)):
        if is_tex_quote(text, start, end):
            continue
        pieces += [text[position:start], re.sub(r"[$\\|]", _MASKED, text[start:end])]
        position = end
    return "".join([*pieces, text[position:]])


def _is_price(content: str, before: str) -> bool:
    """Whether dollar signs with blanks inside of them are no formula: ``5 $ and 6 $``."""
    left, right = content[:1].isspace(), content[-1:].isspace()
    if not left and not right:
        return False
    if (left and before.rstrip()[-1:].isdigit()) or (not left and content[0].isdigit()):
        return True
    if has_words(content):
        return True
    return not _OF_TEX.search(content) and (len(content.split()) != 1 or not (left and right))


def has_words(tex: str) -> bool:
    """Whether something that may be TeX holds words, other than in arguments of commands."""
    return _WORD.search(_ARGUMENT.sub("", tex)) is not None
