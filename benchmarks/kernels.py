"""What a run of code cells costs: ``python benchmarks/kernels.py [--runs N]``.

Prints milliseconds per run (median) and its parts for forked kernels, the same for fresh kernels
started by their command line, and both for cells with numpy, pandas and one plot.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from clx.jobtypes.notebook.execution.client import Client
from clx.jobtypes.notebook.execution.pool import KernelPool

PLAIN = (
    "x = 1\nprint('hi')",
    "x + 1",
    "import sys\nprint('err', file=sys.stderr)\nprint('out')",
    "def f(n):\n    return n * 2\n\nf(21)",
    "[i for i in range(10)]",
)
HEAVY = (
    "import numpy as np\nimport pandas as pd\nimport matplotlib.pyplot as plt",
    "pd.DataFrame({'a': np.arange(5)})",
    "plt.plot([1, 2, 3])\nplt.title('x')\nplt.show()",
)
PARTS = ((KernelPool, "_start_kernel"), (Client, "wait_until_ready"), (Client, "run"), (KernelPool, "_end"))


class Fresh(KernelPool):
    """A pool that never forks."""

    def __init__(self) -> None:
        super().__init__()
        self._forks = False


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20, help="runs per line with forked kernels")
    runs = parser.parse_args().runs
    times = {name: timed(owner, name) for owner, name in PARTS}
    for label, cells in (("5 plain cells", PLAIN), ("numpy, pandas, one plot", HEAVY)):
        forked = measure(label + ", forked", KernelPool(), cells, runs, times)
        fresh = measure(label + ", fresh", Fresh(), cells, max(3, runs // 5), times)
        print(f"{'':32} forked / fresh = {forked / fresh:.2f}")


def timed(owner: type[Any], name: str) -> list[float]:
    """Make *owner.name* record how many milliseconds each call takes."""
    taken: list[float] = []
    original: Callable[..., Any] = getattr(owner, name)

    def measured(*arguments: Any, **options: Any) -> Any:
        begun = time.perf_counter()
        try:
            return original(*arguments, **options)
        finally:
            taken.append((time.perf_counter() - begun) * 1000)

    setattr(owner, name, measured)
    return taken


def measure(label: str, pool: KernelPool, cells: Sequence[str], runs: int, times: dict[str, list[float]]) -> float:
    """Median milliseconds per run through *pool*, the first two left out; printed with its parts."""
    whole = []
    with tempfile.TemporaryDirectory() as directory:
        for number in range(runs + 2):
            if number == 2:
                for taken in times.values():
                    taken.clear()
            begun = time.perf_counter()
            pool.run(cells, cwd=Path(directory), cell_timeout=60)
            whole.append((time.perf_counter() - begun) * 1000)
    pool.close()
    median = statistics.median(whole[2:])
    start, ready, run, end = (statistics.median(times[name]) for _, name in PARTS)
    print(f"{label:32} {median:7.1f} ms  start {start:.1f}  ready {ready:.1f}  cells {run:.1f}  end {end:.1f}")
    return median


if __name__ == "__main__":
    main()
