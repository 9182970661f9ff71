"""What runs of tasks have written: where it lies while one runs, and how its row names it afterwards.

A short output is in the row itself (``runs.stderr``); of a long one the row has the end, and the artifact that has all.
"""

from __future__ import annotations

import re
from pathlib import Path

_NAMING = "(the whole output, {size} bytes: artifact {digest})\n{tail}"
_NAMED = re.compile(r"\(the whole output, \d+ bytes: artifact ([0-9a-f]{64})\)\n")


def live_log(state: Path, job_id: int, run: int) -> Path:
    """The file that has the output of a run while it goes on; none where it has said nothing, or is short.

    Args:
        state: the state directory of the machine it runs on.
    """
    return state / "logs" / "jobs" / f"{job_id}-{run}.log"


def naming(digest: str, size: int, tail: str) -> str:
    """What the row of a run holds whose output, of so many bytes, is the artifact *digest*."""
    return _NAMING.format(size=size, digest=digest, tail=tail)


def named(told: str) -> str | None:
    """The artifact that has the whole output, by what the row of a run holds; None where the row has it itself."""
    found = _NAMED.match(told)
    return found[1] if found else None
