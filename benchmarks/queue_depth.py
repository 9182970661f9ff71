"""Does a claim cost the same however long the table is? And how much memory does a worker take that runs nothing?"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import mark
from clx.db.jobs import NewJob, Queue

DEPTHS = (1_000, 100_000, 1_000_000)
CLAIMS = 400
CHUNK = 50_000
AIM = 1.3
AIM_MEMORY = 1.2

_FINISHED_JOBS = (
    "INSERT INTO jobs (type, payload, created_at, state, run, finished_at, started_at) "
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
    "SELECT 't', '{}', 0, 'succeeded', 1, 1, 0 FROM n"
)
_THEIR_RUNS = (
    "INSERT INTO runs (job_id, run, worker_id, started_at, ended_at, outcome) "
    "SELECT id, 1, 1, 0, 1, 'succeeded' FROM jobs WHERE state = 'succeeded'"
)


def claim_cost(queued: int, finished: int, types: tuple[str, ...] = ("t",)) -> float:
    """Milliseconds of the median claim over *types* with that many rows in the table, spread over them."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, Queue.open(Path(folder) / "jobs.db") as queue:
        if finished:
            queue.database.write("fill", lambda connection: connection.execute(_FINISHED_JOBS, (finished,)))
            queue.database.write("fill", lambda connection: connection.execute(_THEIR_RUNS))
        for start in range(0, queued, CHUNK):
            part = range(start, min(queued, start + CHUNK))
            queue.enqueue_many([NewJob(types[n % len(types)], {"n": n}) for n in part])
        queue.claim(types)
        return statistics.median(_one(queue, types) for _ in range(CLAIMS))


def _one(queue: Queue, types: tuple[str, ...]) -> float:
    started = time.perf_counter()
    queue.claim(types)
    return 1000 * (time.perf_counter() - started)


def memory(code: str) -> int:
    """Peak KiB of an interpreter that ran *code* (Linux)."""
    # not getrusage: its maximum starts from what this process held, a table of a million jobs
    tail = "\nprint(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    return int(subprocess.run([sys.executable, "-c", code + tail], check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Print cost by depth, each beside the shortest table's."""
    for types in (("t",), ("t", "u", "v", "w")):
        base = claim_cost(DEPTHS[0], 0, types)
        over = f"claim over {len(types)} type{'s' * (len(types) > 1)}"
        print(f"{f'{over}, 1,000 queued':<44}{base:8.3f} ms")
        for queued, finished in ((DEPTHS[1], 0), (DEPTHS[2], 0), (DEPTHS[0], DEPTHS[2])):
            cost = claim_cost(queued, finished, types)
            what = f"{queued:,} queued, {finished:,} finished"
            print(f"{what:<44}{cost:8.3f} ms {cost / base:6.2f} ×  aim ≤ {AIM} × {mark(cost / base <= AIM)}")
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        idle = (
            f"import clx.workers.__main__\nfrom clx.db.jobs import Queue\nQueue.open({folder + '/x.db'!r}).claim(['t'])"
        )
        ours, bare = memory(idle), memory("import sqlalchemy")
    what = "memory of an idle worker, by SQLAlchemy"
    ratio = ours / bare
    print(f"{what:<44}{ours / 1024:7.1f} MiB {ratio:6.2f} ×  aim ≤ {AIM_MEMORY} × {mark(ratio <= AIM_MEMORY)}")


if __name__ == "__main__":
    main()
