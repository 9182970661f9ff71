"""The text of files that are to be copied, as far as it must be looked through before."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

_WINDOW = 4 << 20
"""Bytes that are looked at together."""
_OVERLAP = 1 << 16
"""Bytes that two windows share: longer than anything that is looked for."""
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def windows_of(path: Path) -> Iterator[bytes]:
    """The bytes of a text file in windows that overlap, UTF-16 as UTF-8; nothing of a binary file."""
    with path.open("rb") as stream:
        window = stream.read(_WINDOW)
        is_wide = window.startswith(_UTF_16)
        if not is_wide and b"\0" in window[:8192]:
            return
        encoding = "utf-16-le" if window.startswith(codecs.BOM_UTF16_LE) else "utf-16-be"
        while window:
            yield window.decode(encoding, "replace").encode("utf-8", "replace") if is_wide else window
            more = stream.read(_WINDOW)
            window = window[-_OVERLAP:] + more if more else b""
