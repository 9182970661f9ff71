"""Names that are nearly the one that was looked for: another case, or the same letters as other Unicode characters."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable


def nearly(name: str, there: Iterable[str]) -> str:
    """A sentence on the one of *there* that is *name* but for case and the form of its accents; empty if none is."""
    for other in there:
        if other != name and _compared(other) == _compared(name):
            if unicodedata.normalize("NFC", other) == unicodedata.normalize("NFC", name):
                return f'"{other}" is there, spelled with other Unicode characters (as macOS does): copy its name.'
            return f'There is "{other}", in another case.'
    return ""


def _compared(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
