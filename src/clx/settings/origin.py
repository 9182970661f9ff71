"""Where a value came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

OriginKind = Literal["default", "system", "user", "project", "environment", "option"]


class Origin(NamedTuple):
    """Where a value came from; its text is what a user can look up."""

    kind: OriginKind
    where: str
    """``/path/config.toml:12``, the variable, the option as typed, or ``default``."""
    base: Path | None = None
    """The directory that relative paths from here are relative to; ``None``: the current one."""

    def __str__(self) -> str:
        return self.where


class Value(NamedTuple):
    """A value and where it came from."""

    value: Any
    origin: Origin


class OptionValue(NamedTuple):
    """A value given on the command line."""

    value: object
    """``None`` when the option was not given."""
    option: str
    """The option's spelling, e.g. ``--notebook-workers``."""
