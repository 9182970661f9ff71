"""Where a value came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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


class Origins:
    """Where the value of each setting came from.

    Args:
        values: what holds, by dotted key.
    """

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values

    def origin(self, key: str) -> Origin:
        """Where the value of a dotted key came from; ``KeyError`` when there is no such setting."""
        return self._values[key].origin

    def items(self) -> Iterator[tuple[str, Any, Origin]]:
        """Every dotted key with its value and origin, in the order of the schema."""
        for key, (value, origin) in self._values.items():
            yield key, value, origin


class OptionValue(NamedTuple):
    """A value given on the command line."""

    value: object
    """``None`` when the option was not given."""
    option: str
    """The option's spelling, e.g. ``--notebook-workers``."""
