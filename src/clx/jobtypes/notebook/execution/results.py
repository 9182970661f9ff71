"""What a run gives back, and how a cell fails."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

FailureKind = Literal["error", "timeout", "died"]

UNREADABLE = "UnreadableAnswer"
"""What stands for the name of an exception where the kernel's answer to a cell cannot be read."""
NOT_ANSWERING = "when it is interrupted"
"""With what the fact ends where a kernel did not even give a traceback after the time of its cell."""
_OWN_FRAME = re.compile(r"File \S*[/\\]execution[/\\]kernelapp\.py:\d+")
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


def without_own_frames(traceback: Sequence[str]) -> list[str]:
    """The parts of a traceback, one for each frame, without those of CLX's own streams."""
    return [part for part in traceback if not _OWN_FRAME.match(part)]


def plain(text: str) -> str:
    """*text* without terminal colours and other escape sequences."""
    return _ANSI.sub("", text)


@dataclass
class CellResult:
    """What one cell left behind: nbformat-4 output dictionaries and its number in the kernel.

    A cell that holds nothing but white space is not executed and has no number.
    """

    outputs: list[dict[str, Any]] = field(default_factory=list)
    execution_count: int | None = None
    is_cut: bool = False
    """Whether it wrote more than is kept; its last output says so then."""


@dataclass(eq=False)
class CellFailedError(Exception):
    """A cell raised, took too long, or ended its kernel."""

    index: int
    """0-based number of the cell among those given to the run."""
    kind: FailureKind
    """``error`` (it raised), ``timeout`` (over the cell timeout) or ``died`` (the kernel is gone)."""
    ename: str
    """Name of the exception class, or ``CellTimeout`` / ``KernelDied``."""
    evalue: str
    """The exception's message, or what happened."""
    traceback: str = ""
    """Plain text, no terminal colours; empty when there is none."""
    line: int | None = None
    """1-based line within the cell, where it is known."""
    results: list[CellResult] = field(default_factory=list)
    """What the cells gave so far, the failing one (with its partial outputs) last."""

    def __str__(self) -> str:
        return f"cell {self.index + 1}: {self.ename}: {self.evalue}"

    @property
    def retryable(self) -> bool:
        """Whether the same cells may succeed next time: only a kernel that died may have been innocent."""
        return self.kind == "died"
