"""Service times to replay: measured of a model, read from a file, or made up from a seed. Nanoseconds."""

from __future__ import annotations

from pathlib import Path
from random import Random
from time import monotonic_ns

MEAN = 2_000_000
"""Of a trace that is made up: 2 ms."""
_TAIL = 0.02
"""How often a run of it is slow: by half, mostly."""


def made_up(seed: int, runs: int) -> list[int]:
    """A trace that is the same wherever it is made: runs resemble those before them, some are slow."""
    dice, found, drift = Random(seed), [], 0.0  # noqa: S311 - nothing is secret here
    for _ in range(runs):
        drift = 0.9 * drift + dice.gauss(0, 0.03)
        slow = dice.uniform(0.3, 0.7) if dice.random() < _TAIL else 0.0
        found.append(int(MEAN * max(0.5, 1 + drift + slow)))
    return found


def of_file(path: Path) -> list[int]:
    """A trace in a file: a number in each line.

    Raises:
        OSError: it cannot be read.
        ValueError: a line is no number above 0.
    """
    found = [int(line) for line in path.read_text(encoding="ascii").splitlines() if line.strip()]
    if not found or min(found) <= 0:
        raise ValueError("a service time is a whole number above 0")
    return found


def of_model(path: str, runs: int) -> list[int]:
    """How long a model of ONNX takes here, one row at a time.

    Raises:
        ModelError: the file is none.
    """
    from clx.serving.worker.models import opened

    model = opened(path, 1, {}, ())
    sample, found = model.sample(1), []
    for _ in range(runs):
        began = monotonic_ns()
        model.run(sample)
        found.append(monotonic_ns() - began)
    return found
