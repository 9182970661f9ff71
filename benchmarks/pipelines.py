"""Pipelines whose works do nothing: what a step costs beside a plain work, with one program that does them all.

Usage: ``python -m benchmarks.pipelines [--stages 10] [--steps 100] [--db-path URL]``
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from clx.db.jobs import Queue
from clx.db.works.withdrawing import Asked
from clx.pipelines.document import read
from clx.pipelines.planning import planned


def text(stages: int, steps: int) -> str:
    """A pipeline file of so many stages of so many steps."""
    lines = [
        f"    - {{name: s{stage}-{step}, stage: {stage}, work: {{pipeline: nothing, retries: 1}}}}"
        for stage in range(stages)
        for step in range(steps)
    ]
    return "\n".join(['version: "2"', "name: bench", "pipeline:", "  steps:", *lines])


def do_all(queue: Queue, bucket: str) -> float:
    """Do every work there is and that follows; returns the seconds it took."""
    begun = time.perf_counter()
    while (work := queue.works.withdraw(Asked((bucket,)))) is not None:
        queue.works.update([{**work, "status": "success"}])
    return time.perf_counter() - begun


def measure(queue: Queue, stages: int, steps: int) -> None:
    """Print what it takes."""
    number = stages * steps
    begun = time.perf_counter()
    config = planned(read(text(stages, steps)))
    read_in = time.perf_counter() - begun
    begun = time.perf_counter()
    made = queue.pipelines.deploy(config)
    deployed_in = time.perf_counter() - begun
    done_in = do_all(queue, "nothing")
    found = queue.pipelines.get(made.pipelines[0])
    assert found is not None
    assert found["status"] == "success"
    queue.works.deposit([{"pipeline": "plain", "retries": 1}] * number)
    plain = do_all(queue, "plain")
    more, each = (done_in - plain) / number * 1000, plain / number * 1000
    print(f"{stages} stages × {steps} steps: read {read_in:.2f}, deployed {deployed_in:.2f}, done {done_in:.2f} s")
    print(f"a step costs {more:.2f} ms more than the {each:.2f} ms of a work")


def main() -> None:
    """Measure on a file, or on what is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stages", type=int, default=10)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--db-path")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, Queue.open(said.db_path or Path(directory) / "jobs.db") as queue:
        measure(queue, said.stages, said.steps)


if __name__ == "__main__":
    main()
