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
    """A trace in a file: a number in each line, or what ``clx serve export actions`` has written.

    Of the latter the successful runs of one row count, in their order.

    Raises:
        OSError: it cannot be read.
        ValueError: a line is no number above 0, or there is none.
    """
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    found = _of_actions(lines) if lines and lines[0].startswith("server\t") else [int(line) for line in lines]
    if not found or min(found) <= 0:
        raise ValueError("a service time is a whole number above 0")
    return found


def _of_actions(lines: list[str]) -> list[int]:
    names = lines[0].split("\t")
    rows = [dict(zip(names, line.split("\t"), strict=False)) for line in lines[1:]]
    alike = {"kind": "infer", "outcome": "success", "rows": "1"}
    return [int(row["took_ns"]) for row in rows if alike.items() <= row.items()]


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
