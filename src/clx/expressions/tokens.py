"""The words of an expression, one after another, up to the braces that close it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from clx.errors import UsageError
from clx.settings.problems import shortened

EXPRESSION_LIMIT = 1_000
"""Characters of one expression."""

Kind = Literal["literal", "name", "part", "sign", "end"]

_CONSTANTS = {"true": True, "false": False, "null": None}
_WORDS = ("and", "or", "not", "in")
_TOKEN = re.compile(
    r"""(?P<blank>\s+)
    | (?P<end>\}\})
    | (?P<text>'[^']*'|"[^"]*")
    | (?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?(?![\w.]))
    | (?P<part>\.\s*[\w-]+)
    | (?P<name>[^\W\d][\w-]*)
    | (?P<sign>==|!=|<=|>=|<|>|[()\[\],])""",
    re.VERBOSE,
)
_MEANT = {"&": "and", "|": "or", "!": "not", "=": "=="}


class ExpressionError(UsageError):
    """An expression that cannot be read, or has no value.

    Args:
        offset: the character of the text at which it goes wrong, from 0.
        detail: the fact without the place that it begins with, if it does.
    """

    def __init__(self, fact: str, next_step: str, offset: int, detail: str = "") -> None:
        super().__init__(fact, next_step)
        self.offset = offset
        self.detail = detail or fact


class Token(NamedTuple):
    """A word, a sign, or a literal with its value; *offset* and *end* are characters of the text."""

    kind: Kind
    text: str
    offset: int
    end: int
    value: Any = None


def tokens(text: str, begin: int) -> Iterator[Token]:
    """The tokens of the expression that begins at *begin*; the last one is the ``}}`` that ends it.

    Raises:
        ExpressionError: something in it is no token, it is too long, or nothing ends it.
    """
    at = begin
    while at < len(text):
        found = _TOKEN.match(text, at, begin + EXPRESSION_LIMIT + 2)
        if found is None or found.end() - begin > EXPRESSION_LIMIT + 2:
            raise _odd(text, at, begin)
        token = _token(found)
        if token is not None:
            yield token
            if token.kind == "end":
                return
        at = found.end()
    raise ExpressionError("the braces are not closed", "Write }} behind the expression.", max(0, begin - 3))


def _token(found: re.Match[str]) -> Token | None:
    kind, text, offset, end = str(found.lastgroup), found[0], found.start(), found.end()
    if kind == "blank":
        return None
    if kind == "text":
        return Token("literal", text, offset, end, text[1:-1])
    if kind == "number":
        return Token("literal", text, offset, end, _number(text, offset))
    if kind == "part":
        return Token("part", text[1:].lstrip(), offset, end)
    if kind == "name" and text in _CONSTANTS:
        return Token("literal", text, offset, end, _CONSTANTS[text])
    if kind == "name" and text not in _WORDS:
        return Token("name", text, offset, end)
    return Token("end" if kind == "end" else "sign", text, offset, end)


def _number(text: str, offset: int) -> int | float:
    if text.lstrip("-").isdigit():
        return int(text)
    if not math.isfinite(value := float(text)):
        raise ExpressionError(f"{shortened(text)} is too large a number", "Write a smaller one.", offset)
    return value


def _odd(text: str, at: int, begin: int) -> ExpressionError:
    sign = text[at]
    is_quote = sign in "'\""
    if at - begin >= EXPRESSION_LIMIT or (is_quote and len(text) - begin > EXPRESSION_LIMIT):
        fact = f"an expression has more than {EXPRESSION_LIMIT} characters"
        return ExpressionError(fact, "Make it shorter, and close it with }}.", max(0, begin - 3))
    if is_quote:
        return ExpressionError("a text is not closed", f"Write {sign} behind it.", at)
    step = f"Write {_MEANT[sign]}." if sign in _MEANT else "There are paths, literals, comparisons, and, or, not, in."
    return ExpressionError(f"{shortened(sign)} means nothing in an expression", step, at)
