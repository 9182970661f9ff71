"""Run every benchmark, one after another: ``python -m benchmarks``. Nothing else should run meanwhile."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FIRST = ("build", "plantuml", "drawio", "memory")


def main() -> None:
    """One process per benchmark, so that none warms up another."""
    here = Path(__file__).parent
    names = {path.stem for path in here.glob("*.py")} - {"__init__", "__main__", "measure", "peers", "long_table"}
    for name in [*FIRST, *sorted(names - set(FIRST))]:
        print(f"\n== {name}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True, cwd=here.parent)


if __name__ == "__main__":
    main()
