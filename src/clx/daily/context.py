"""Which step of which flow runs: for the lake, which notes of whom a version is."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, NamedTuple


class StepRun(NamedTuple):
    """A step that runs.

    Attributes:
        code: digest of its code.
        inputs: its arguments by name.
    """

    flow: str
    step: str
    code: str
    inputs: dict[str, Any]


STEP: ContextVar[StepRun | None] = ContextVar("clx_daily_step", default=None)
