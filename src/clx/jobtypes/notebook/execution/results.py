"""What a run gives back, and how a cell fails."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

FailureKind = Literal["error", "timeout", "died"]

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


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


class CellFailedError(Exception):
    """A cell raised, took too long, or ended its kernel.

    Args:
        index: 0-based number of the cell among those given to the run.
        kind: ``error`` (it raised), ``timeout`` (over the cell timeout) or ``died`` (the kernel is gone).
        ename: name of the exception class, or ``CellTimeout`` / ``KernelDied``.
        evalue: the exception's message, or what happened.
        traceback: plain text, no terminal colours; empty when there is none.
        line: 1-based line within the cell, where it is known.
        results: what the cells gave so far, the failing one (with its partial outputs) last.
    """

    def __init__(
        self,
        index: int,
        kind: FailureKind,
        ename: str,
        evalue: str,
        *,
        traceback: str = "",
        line: int | None = None,
        results: list[CellResult] | None = None,
    ) -> None:
        super().__init__(f"cell {index + 1}: {ename}: {evalue}")
        self.index = index
        self.kind: FailureKind = kind
        self.ename = ename
        self.evalue = evalue
        self.traceback = traceback
        self.line = line
        self.results = results or []

    @property
    def retryable(self) -> bool:
        """Whether the same cells may succeed next time: only a kernel that died may have been innocent."""
        return self.kind == "died"
