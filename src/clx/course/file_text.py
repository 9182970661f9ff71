"""The text of files that are to be copied, as far as it must be looked through before.

It may be UTF-16, have NUL bytes in it, or lie in an archive: students read that as well.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from clx.course.archives import Readable, files_in
from clx.regular import open_regular

WINDOW = 4 << 20
"""Bytes that are looked at together."""
_OVERLAP = 1 << 16
"""Bytes that two windows share: longer than anything that is looked for."""
_UTF_16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def texts_of(path: Path) -> Iterator[tuple[str, Readable]]:
    """The texts in a file: itself, or the files of an archive with their paths in there.

    One must be read before the next one is asked for.

    Raises:
        ClosedArchiveError: it is an archive that cannot be looked through.
        OSError: it cannot be read.
    """
    with open_regular(path) as stream:
        yield from files_in(stream)


def windows_of(path: Path) -> Iterator[bytes]:
    """The texts in a file, in windows that overlap; errors are those of :func:`texts_of`."""
    for _, text in texts_of(path):
        yield from windows(text)


def windows(text: Readable, first: bytes = b"") -> Iterator[bytes]:
    """A text in windows that overlap, as :func:`plain` has it; *first* was read of it already."""
    window = first or text.read(WINDOW)
    encoding = encoding_of(window)
    while window:
        yield plain(window, encoding)
        more = text.read(WINDOW)
        window = window[-_OVERLAP:] + more if more else b""


def encoding_of(beginning: bytes) -> str:
    """The encoding of a text that begins with the mark of UTF-16; else empty."""
    return _UTF_16.get(beginning[:2], "")


def plain(data: bytes, encoding: str) -> bytes:
    """UTF-16 as UTF-8, and nothing of NUL bytes: without them, other wide text is plain too."""
    if encoding:
        data = data.decode(encoding, "replace").encode("utf-8", "replace")
    return data.replace(b"\0", b"") if b"\0" in data else data
