"""What runners of a storm of works do; copied to where they run."""

from __future__ import annotations


def twice(n: int, **_more: object) -> dict[str, int]:
    """The number of a work, twice."""
    return {"twice": 2 * n}
