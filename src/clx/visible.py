"""Text of others made harmless to show: what a terminal would obey is written out instead."""

from __future__ import annotations

import functools
import re

_WRITTEN = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: str) -> str:
    """*text* with control characters as a programmer would write them; line feeds and tabs stay.

    Also what turns the direction of writing and what only some programs take for the end of a line.
    """
    return text if text.isprintable() else _controls().sub(_written, text)


def visible_line(text: str) -> str:
    """*text* as one line: line feeds too are written out."""
    return text if text.isprintable() else visible(text).replace("\n", "\\n")


@functools.cache
def _controls() -> re.Pattern[str]:
    return re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def _written(match: re.Match[str]) -> str:
    return _WRITTEN.get(match[0]) or match[0].encode("unicode_escape").decode("ascii")
