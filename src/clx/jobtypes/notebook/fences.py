"""Fenced blocks: what opens one, and what closes it (CommonMark, 4.5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)$")
"""Opens or closes a fenced block: its signs, and what is written behind them."""


def opened_fence(line: str) -> str | None:
    """The signs of the block that a line opens, where none is open; ``None`` where it opens none."""
    match = FENCE.match(line)
    return None if match is None or (match[1][0] == "`" and "`" in match[2]) else match[1]


def closes_fence(line: str, opened: str) -> bool:
    """Whether a line ends the block that the signs *opened* began."""
    match = FENCE.match(line)
    return match is not None and match[1].startswith(opened) and not match[2].strip()


def last_closings(lines: Sequence[str], bare: Callable[[str], str] = str) -> dict[tuple[str, int], int]:
    """By sign and length of a fence, the index of the last line that could close it; a longer one closes a shorter too.

    Args:
        bare: what of a line is looked at.
    """
    found: dict[tuple[str, int], int] = {}
    longest = {"`": 0, "~": 0}
    for index in range(len(lines) - 1, -1, -1):
        line = lines[index]
        match = FENCE.match(bare(line)) if "```" in line or "~~~" in line else None
        if match is None or match[2].strip():
            continue
        sign = match[1][0]
        for length in range(longest[sign] + 1, len(match[1]) + 1):
            found[sign, length] = index
        longest[sign] = max(longest[sign], len(match[1]))
    return found


def is_closed_behind(opened: str, index: int, closings: Mapping[tuple[str, int], int]) -> bool:
    """Whether some line behind *index* could close the block that the signs *opened* began (:func:`last_closings`)."""
    return closings.get((opened[0], len(opened)), -1) > index


class Fence:
    """Follows fenced blocks line by line."""

    def __init__(self) -> None:
        self._open: str | None = None

    def read(self, line: str, index: int = -1, closings: Mapping[tuple[str, int], int] | None = None) -> bool:
        """Go on by one line; whether it belongs to a fenced block, or opens or closes one.

        With :func:`last_closings` and the index of the line, a block that is never closed is none.
        """
        if self._open is not None:
            if closes_fence(line, self._open):
                self._open = None
            return True
        opened = opened_fence(line) if "```" in line or "~~~" in line else None
        if opened and closings is not None and not is_closed_behind(opened, index, closings):
            return False
        self._open = opened
        return opened is not None
