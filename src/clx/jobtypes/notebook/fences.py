"""Fenced blocks: what opens one, and what closes it (CommonMark, 4.5)."""

from __future__ import annotations

import re

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


class Fence:
    """Follows fenced blocks line by line."""

    def __init__(self) -> None:
        self._open: str | None = None

    def read(self, line: str) -> bool:
        """Go on by one line; whether it belongs to a fenced block, or opens or closes one."""
        if self._open is not None:
            if closes_fence(line, self._open):
                self._open = None
            return True
        self._open = opened_fence(line) if "```" in line or "~~~" in line else None
        return self._open is not None
