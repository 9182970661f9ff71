"""Lengths of time as they may be given: numbers as they always were, or a ``timedelta``."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar

Milliseconds = int | timedelta
"""A length of time; a number counts milliseconds."""
Seconds = float | timedelta
"""A length of time; a number counts seconds."""

T = TypeVar("T")


def in_ms(value: T | timedelta) -> T | int:
    """A ``timedelta`` in milliseconds; all else as it is, to be looked at by whoever takes it."""
    return round(value / timedelta(milliseconds=1)) if isinstance(value, timedelta) else value


def in_seconds(value: T | timedelta) -> T | float:
    """The same in seconds."""
    return value.total_seconds() if isinstance(value, timedelta) else value


def counted(number: float, unit: str) -> str:
    """A number with its unit as people read it: ``1 second``, ``0.5 seconds``, ``3600 seconds``."""
    shown = f"{number:.10g}" if abs(number) < 1e9 else f"{number:.0f}"
    return f"{shown} {unit}{'' if shown == '1' else 's'}"
