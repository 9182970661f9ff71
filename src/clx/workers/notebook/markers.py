"""Cell markers of the percent format: ``# %% [markdown] lang="de" tags=["slide"]``.

Decks in the wild have odd blanks, swapped attributes and titles in their markers; all of them are read.
What would silently lose a tag, and with it perhaps a secret, is an error.
"""

from __future__ import annotations

import ast
import functools
import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from clx.errors import ConversionError

CellKind = Literal["code", "markdown", "raw"]

_KINDS: dict[str, CellKind] = {"markdown": "markdown", "md": "markdown", "raw": "raw", "code": "code"}
_KIND = re.compile(r"\[\s*(markdown|md|raw|code)\s*\]", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"""(?P<key>[\w.@/-]+)\s*=\s*
    (?P<value>"(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | \[[^\]]*\]? | \{.*?\} | [^\s\[]+)""",
    re.VERBOSE,
)
_MISSPELT = {"tag": "tags", "langs": "lang", "language": "lang"}


@dataclass(frozen=True, slots=True)
class Marker:
    """What the first line of a cell says about it."""

    kind: CellKind
    tags: tuple[str, ...] = ()
    lang: str | None = None


@functools.lru_cache(maxsize=4)
def marker_pattern(comment: str) -> re.Pattern[str]:
    """Pattern of marker lines for a comment sign; its group is what follows ``%%`` (absent: nothing).

    As jupytext has it, but ``%%[markdown]`` without a blank counts too.
    """
    sign = re.escape(comment)
    return re.compile(rf"^\s*{sign}\s*(?:%%+(?:\s+(.*)|(\[.*)|)|<codecell>|In\[[0-9 ]*\]:?)\s*$")


def read_marker(options: str, line: int) -> Marker:
    """Read what follows ``%%`` in a marker.

    Args:
        options: the text behind the percent signs.
        line: where it stands, for errors.

    Raises:
        ConversionError: a ``tags`` or ``lang`` attribute cannot be understood.
    """
    if not options:
        return Marker("code")
    attributes, rest = _attributes(options, line)
    kind = _KIND.search(rest)
    return Marker(
        _KINDS[kind[1].lower()] if kind else "code",
        tags_from(attributes.get("tags"), line),
        lang_from(attributes.get("lang"), line),
    )


def _attributes(options: str, line: int) -> tuple[dict[str, Any], str]:
    """The attributes, still unread, and the options without them."""
    brace, equal = options.find("{"), options.find("=")
    if brace >= 0 and (equal < 0 or brace < equal):
        try:
            found = json.loads(options[brace:])
        except ValueError as error:
            raise ConversionError("the marker's JSON cannot be read", line=line) from error
        return dict(found), options[:brace]
    attributes = {match["key"]: match["value"] for match in _ATTRIBUTE.finditer(options)}
    for key in attributes:
        meant = key.lower() if key.lower() in {"tags", "lang"} else _MISSPELT.get(key.lower(), key)
        if meant != key:
            raise ConversionError(f"unknown cell attribute {key!r}", f"Write {meant}=….", line=line)
    return attributes, _ATTRIBUTE.sub("", options)


def tags_from(value: Any, line: int) -> tuple[str, ...]:
    """The tags that an attribute's value names.

    Args:
        value: a list, or text as it stands in the marker: a list or one name; ``None``: no tags.
        line: where it stands, for errors.

    Raises:
        ConversionError: it is neither.
    """
    if isinstance(value, str):
        value = _literal(value)
    if value is None:
        return ()
    if isinstance(value, str):
        value = re.split(r"[\s,]+", value.strip())
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise ConversionError("the cell's tags cannot be read", 'Write tags=["slide", "keep"].', line=line)
    return tuple(dict.fromkeys(tag.strip() for tag in value if tag.strip()))


def lang_from(value: Any, line: int) -> str | None:
    """The language that an attribute's value names, in lower case; ``None`` when there is none.

    Raises:
        ConversionError: it is not text.
    """
    if isinstance(value, str):
        value = _literal(value)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ConversionError("the cell's language cannot be read", 'Write lang="de".', line=line)
    return value.strip().lower()


def _literal(text: str) -> Any:
    """A JSON or Python literal; a bare word stands for itself; anything else is an object nobody accepts."""
    if re.fullmatch(r"[\w-]+", text):
        return text
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return object()
