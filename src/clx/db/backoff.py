"""How long a failed job waits before its next run."""

from __future__ import annotations

import random

BASE = 500
"""Milliseconds before the second run, on average."""
LIMIT = 5 * 60_000
"""Milliseconds no wait exceeds."""


def backoff(run: int, base: int = BASE) -> int:
    """Milliseconds between failed run number *run* and the next: doubling, ± 50 % so that jobs do not march in step.

    Args:
        base: milliseconds before the second run, on average.
    """
    wait = min(LIMIT, base * 2 ** min(run - 1, 20))
    return int(min(LIMIT, wait * random.uniform(0.5, 1.5)))  # noqa: S311  (spread, not secrecy)
