"""``clx work run`` on a file: ``python -m benchmarks.runner [--works N] [--latencies N]``.

* works a second of a function that does nothing, deposited before; the other system's runner does one a second at most;
* from a deposit to the start of the function, by a runner that waits.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.measure import clx, mark, percentile, rate_row
from clx.db.jobs import Queue
from clx.work.work import Work

_STEPS = """
import time

def nothing():
    return None

def moment():
    return {"at": time.time()}
"""
_THEIRS = 1.0
"""Works a second: it sleeps for a second after each at least."""


def rate(queue: Queue, directory: Path, works: int) -> tuple[float, float]:
    """Works a second, and milliseconds of CPU for each, of runner and function together."""
    queue.works.deposit([{"pipeline": "warm"}])
    _done(queue, directory, "warm", 1)
    queue.works.deposit([{"pipeline": "nothing"}] * works)
    seconds, cpu = _done(queue, directory, "nothing", works)
    of_start, cpu_of_start = _done(queue, directory, "none", 0)
    return works / (seconds - of_start), 1000 * (cpu - cpu_of_start) / works


def _done(queue: Queue, directory: Path, pipeline: str, works: int) -> tuple[float, float]:
    """Seconds, and seconds of CPU."""
    begun, before = time.perf_counter(), os.times()
    command = clx("work", "run", pipeline, "steps.nothing", "--until-idle", "-q")
    subprocess.run(command, cwd=directory, check=True, capture_output=True)
    lasted, after = time.perf_counter() - begun, os.times()
    assert queue.works.status(pipeline)["success"] == works
    taken = (each - other for each, other in zip(after[2:4], before[2:4], strict=True))
    return lasted, sum(taken)


def latencies(queue: Queue, directory: Path, count: int) -> list[float]:
    """Milliseconds from before a deposit to the start of the function, sorted."""
    found = []
    with subprocess.Popen(clx("work", "run", "moment", "steps.moment", "-q"), cwd=directory) as runner:
        try:
            for number in range(count + 1):
                began = time.time()
                work = Work("moment", parameters={}, where=queue)
                work.deposit()
                work.wait(60)
                if number:  # before the first it has started
                    found.append((work.results["at"] - began) * 1000)
        finally:
            runner.terminate()
    return sorted(found)


def main() -> None:
    """Print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--works", type=int, default=3000)
    parser.add_argument("--latencies", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        (directory / "steps.py").write_text(_STEPS)
        (directory / ".clx").mkdir()
        with Queue.open(directory / ".clx" / "jobs.db") as queue:
            per_second, cpu = rate(queue, directory, arguments.works)
            rate_row("works that do nothing, without the start", per_second, _THEIRS, 500)
            print(f"CPU for each: {cpu:.2f} ms")
            found = latencies(queue, directory, arguments.latencies)
    p99 = percentile(found, 0.99)
    print(f"deposit to start, ms: median {percentile(found, 0.5):.1f}, p99 {p99:.1f}, most {found[-1]:.1f}; "
          f"aim p99 ≤ 50 {mark(p99 <= 50)}; load {os.getloadavg()[0]:.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
