"""How many examples a test with generated ones has: the quick tests have few of them, all others have all."""

from __future__ import annotations

import os

_QUICK = bool(os.environ.get("CLX_QUICK"))
_FEW = 10


def examples(count: int) -> int:
    """*count*, or few of them where tests are to be quick."""
    return min(_FEW, count) if _QUICK else count
