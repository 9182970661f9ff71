"""Timing whole commands, and printing a result as one row."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run(command: Sequence[str | Path], *, cwd: Path | None = None, variables: Mapping[str, str] | None = None) -> None:
    """Run a command to its end, with *variables* added to its environment.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    env = {**ENVIRONMENT, **(variables or {})}
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=env, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-2000:], file=sys.stderr)
        done.check_returncode()


def seconds(body: Callable[[], None], *, rounds: int = 3, before: Callable[[], None] | None = None) -> float:
    """The median wall time of *body*; *before* runs untimed ahead of each round."""
    found = []
    for _ in range(rounds):
        if before is not None:
            before()
        started = time.perf_counter()
        body()
        found.append(time.perf_counter() - started)
    return statistics.median(found)


def row(what: str, ours: float, theirs: float, aim: float) -> None:
    """Print one line: our time, theirs, their ratio and the aim."""
    ratio = ours / theirs
    print(f"{what:<66} {ours:8.3f} s {theirs:8.3f} s {ratio:8.3f} ×   aim ≤ {aim:g} × {mark(ratio <= aim)}", flush=True)


def rate_row(what: str, ours: float, theirs: float, aim: float) -> None:
    """Print one line: our jobs per second, theirs, their ratio and the aim."""
    ratio = ours / theirs
    print(
        f"{what:<66} {ours:8,.0f}/s {theirs:8,.0f}/s {ratio:7.2f} ×   aim ≥ {aim:g} × {mark(ratio >= aim)}", flush=True
    )


def mark(met: bool) -> str:
    """How a row ends."""
    return "met" if met else "MISSED"


def percentile(found: Sequence[float], share: float) -> float:
    """The value below which *share* of the sorted *found* lie."""
    return found[min(len(found) - 1, int(share * len(found)))]


def clx(*arguments: str | Path) -> list[str | Path]:
    """The ``clx`` command of this environment."""
    return [Path(sys.executable).parent / "clx", *arguments]
