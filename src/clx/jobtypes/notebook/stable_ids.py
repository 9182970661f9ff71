"""Ids that libraries draw by chance (those of pandas, xarray, plotly), so that a page has the same bytes each time."""

from __future__ import annotations

import re

_RANDOM = re.compile(
    r"\bT_[0-9a-f]{5}(?=_|\b)"
    r"|(?<![0-9a-f])[0-9a-f]{8}(?P<dash>-?)[0-9a-f]{4}(?P=dash)4[0-9a-f]{3}(?P=dash)[89ab][0-9a-f]{3}(?P=dash)[0-9a-f]{12}"
    r"(?![0-9a-f])"
)
_ID = re.compile(r"""\bid\s*=\s*(?:"([^"<>]*)"|'([^'<>]*)')""")


class StableIds:
    """Numbers what chance has drawn, in the order of one page. Only what is an id of an element is replaced."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def html(self, text: str) -> str:
        """A piece of HTML with numbers in its ids, and wherever it names them."""
        for match in _ID.finditer(text):
            found = _RANDOM.search(match[1] or match[2] or "")
            if found and found[0] not in self._known:
                self._known[found[0]] = _numbered(found, len(self._known) + 1)
        return self.named(text)

    def named(self, text: str) -> str:
        """A text, such as a program, in which ids that are known are named by their numbers."""
        return _RANDOM.sub(lambda match: self._known.get(match[0], match[0]), text) if self._known else text


def _numbered(found: re.Match[str], number: int) -> str:
    if found[0].startswith("T_"):
        return f"T_{number:05x}"
    return found["dash"].join(("00000000", "0000", "4000", "8000", f"{number:012x}"))
