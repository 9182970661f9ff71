"""Workers that grow beyond what their models took: noticed, with a guess at who it is, and replaced by others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

BASE = 128 << 20
"""Bytes that a worker may take without any model."""
_NAMED = 3


class Growth:
    """How one worker grows.

    Args:
        most: bytes that it may grow by.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._last: int | None = None  # bytes that it took beyond its models
        self._by: Counter[str] = Counter()

    def begin(self, resident: int, models: int) -> None:
        """Note what a worker takes that has run nothing yet: what it grows by from then on is somebody's.

        Args:
            resident: bytes that it takes now.
            models: bytes that its models took when they were loaded.
        """
        if self._last is None:  # at its first model
            self._last = resident - models

    def look(self, resident: int, models: int, ran: Collection[str]) -> bool:
        """Note what a worker takes; returns whether it is too much.

        Args:
            resident: bytes that it takes now.
            models: bytes that its models took when they were loaded.
            ran: the models that have run since the last look; what was grown by meanwhile is theirs, in equal parts.
        """
        self.begin(resident, models)
        grown, self._last = resident - models - (self._last or 0), resident - models
        for each in ran:
            self._by[each] += grown // len(ran)
        return resident > BASE + models + self._most

    def by(self) -> list[str]:
        """The models that it has probably grown by, the most first."""
        return [name for name, grown in self._by.most_common(_NAMED) if grown * 10 > self._most]
