"""Whether a file has a cell that no student gets: in whatever format decks and notebooks are written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from clx.course.archives import ClosedArchiveError, Readable
from clx.course.file_text import WINDOW, encoding_of, plain, texts_of, windows
from clx.course.withheld import is_like_deck
from clx.jobtypes.notebook.markers import HIDDEN_TAGS

_MOST_JSON = 64 << 20
"""Bytes up to which JSON is read as such."""
_HIDING_SLIDES = frozenset({"notes", "skip"})
_OPTIONS = 2000
"""Bytes behind the fence of a directive in which its options are looked for."""
_HIDDEN = rb"\b(?:private|notes|del)\b"
_TAGS = rb"\b(?:(?:tags|tag(?=[\"'=: ]))\b[^\n]{0,500}?" + _HIDDEN + rb"|slide_type\b[^\n]{0,20}?\b(?:notes|skip)\b)"
_WORDS = (
    *(b"tags", b'tag"', b"tag'", b"tag=", b"tag:", b"tag ", b"tag_", b"slide_type", b"notes"),
    *(b".private", b".del", b"hidden", b"::private", b": private", b"{private", b":del", b": del", b"{del"),
)
_MARKED = re.compile(
    # a marker of the percent or light format, a region, fence or block break of Markdown
    rb"^[ \t>|+<-]*(?:\S{1,4}[ \t]*(?:%%|\+)|<!--[ \t]*#|`{3,}|~{3,}|:{3,})[^\n]{0,500}?"
    + _TAGS
    # an option of Quarto or of a directive of MyST
    + rb"|^[ \t>]*(?:\S{1,2}\||:)[ \t]*"
    + _TAGS
    # the speaker's notes of Quarto and of reveal.js, and what else Quarto hides (jobtypes/notebook/hidden_blocks.py)
    + rb"|^[ \t>]*:{3,}[ \t]*\{?[ \t]*\.?(?:notes|private|del)\b(?!-)"
    + rb"|^[ \t>]*:{3,}[ \t]*\{[^}\n]{0,300}?(?<=[\s{])\.(?:notes|private|del|hidden)\b(?!-)"
    + rb"|^[ \t>]*:{3,}[ \t]*\{[^}\n]{0,300}?\.content-hidden\b(?![^}\n]{0,300}?\b(?:when|unless)-)"
    + rb"|<aside\b[^>\n]{0,300}?\bclass=[\"']?notes\b(?!-)"
    # a cell of an exported page
    + rb'|\bclass="[^"\n]{0,300}?\b(?:cell)?tag_(?:private|notes|del)\b'
    # a notebook's metadata, where it is not JSON as a whole
    + rb'|"tags"\s{0,99}:\s{0,99}\[[^\]]{0,999}?"(?:private|notes|del)"'
    + rb'|"slide_type"\s{0,99}:\s{0,99}"(?:notes|skip)"',
    re.IGNORECASE | re.MULTILINE,
)
_DIRECTIVE = re.compile(rb"^[ \t>]*(?:`{3,}|~{3,}|:{3,})[ \t]*\{[^\n]{0,500}\n", re.MULTILINE)
_LISTED = re.compile(
    rb"^[ \t>#|/:]*tags[ \t]*:[^\n]{0,200}(?:\n[ \t>#|/]*-[^\n]{0,200}){0,20}?(?<=[^\w])(?:private|notes|del)\b",
    re.IGNORECASE | re.MULTILINE,
)
_END = re.compile(rb"\n[ \t>]*(?:`{3}|~{3}|:{3})")
_ESCAPE = re.compile(rb"\\u00([0-7][0-9a-fA-F])")


def is_marked(path: Path) -> bool:
    """Whether a text or notebook, or one in an archive, has a cell that no student gets, or is called like a deck.

    An archive that cannot be looked through counts as one that has.
    """
    try:
        return any(is_like_deck(name) or _has_marked(text) for name, text in texts_of(path))
    except ClosedArchiveError:
        return True


def _has_marked(text: Readable) -> bool:
    first = text.read(WINDOW)
    beginning = plain(first[:200], encoding_of(first)).lstrip(b"\xef\xbb\xbf \t\r\n")
    if beginning.startswith((b"{", b"[")):
        while len(first) < _MOST_JSON and (more := text.read(WINDOW)):
            first += more
        try:
            found = msgspec.json.decode(plain(first, encoding_of(first)).removeprefix(b"\xef\xbb\xbf"))
        except (msgspec.DecodeError, RecursionError):
            pass  # in a conflict, say, or cut off
        else:
            return any(_hides(each) for each in _metadata(found))
    return any(_marks(window) for window in windows(text, first))


def _metadata(found: Any) -> Iterator[dict[str, Any]]:
    """Everything in a notebook that is the metadata of something, of whichever version it is."""
    waiting = [found]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            if isinstance(metadata := each.get("metadata"), dict):
                yield metadata
            waiting += each.values()


def _hides(metadata: dict[str, Any]) -> bool:
    inner, slideshow = metadata.get("jupyter"), metadata.get("slideshow")
    lists = [each.get("tags") for each in (metadata, inner) if isinstance(each, dict)]
    words = [word for tags in lists for word in _words(tags)]
    type_ = slideshow.get("slide_type") if isinstance(slideshow, dict) else None
    return str(type_).strip().lower() in _HIDING_SLIDES or any(word.strip().lower() in HIDDEN_TAGS for word in words)


def _words(tags: Any) -> list[str]:
    found = tags if isinstance(tags, list) else re.split(r"[\s,]+", tags) if isinstance(tags, str) else []
    return [each for each in found if isinstance(each, str)]


def _marks(window: bytes) -> bool:
    if b"\\u00" in window:
        window = _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), window)
    lowered = window.lower()
    if not any(word in lowered for word in _WORDS):  # much faster than the patterns, and most files have none
        return False
    if b"\r" in window:
        window = window.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return bool(_MARKED.search(window)) or any(_LISTED.search(each) for each in _options(window))


def _options(window: bytes) -> Iterator[bytes]:
    """What stands in front of the text of each directive: ``:tags: [private]``, or YAML between dashes."""
    for match in _DIRECTIVE.finditer(window):
        block = window[match.end() - 1 : match.end() + _OPTIONS]
        yield _END.split(block, maxsplit=1)[0]
