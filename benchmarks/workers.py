"""Workers: how fast they are there and gone, what they cost while idle, and how soon an idle one starts a job.

Type: ``python -m benchmarks.workers [--rounds N]``. Everything is measured with real processes in one configuration.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from clx.db.database import Database
from clx.db.jobs import Queue
from clx.db.models import NewJob
from clx.db.workers import WorkerTable
from clx.workers import WorkerConfig, WorkerPoolManager

TYPES = ("notebook", "plantuml", "drawio")
IDLE_WORKERS = 8
IDLE_SECONDS = 10.0


def main() -> None:
    """Measure and print, one line per number."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="repetitions of each start")
    parser.add_argument("--jobs", type=int, default=200, help="jobs for the pick-up latency")
    options = parser.parse_args()
    bare = median(python_pass() for _ in range(options.rounds))
    print(f"python -c pass: {bare * 1000:.0f} ms")
    for type_ in TYPES:
        taken = median(spawn_to_registered(type_) for _ in range(options.rounds))
        print(f"spawn to registered, {type_}: {taken * 1000:.0f} ms ({taken / bare:.1f} x python -c pass)")
    services()
    idle(options.jobs)


def median(values: Iterable[float]) -> float:
    """The median of some seconds."""
    return statistics.median(values)


def python_pass() -> float:
    """Seconds for the smallest Python process."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - began


def spawn_to_registered(type_: str) -> float:
    """Seconds from starting one worker to its row."""
    with tempfile.TemporaryDirectory() as folder:
        manager = WorkerPoolManager(Path(folder) / "jobs.db", worker_configs=[WorkerConfig(type_)])
        began = time.perf_counter()
        manager.start_pools()
        taken = time.perf_counter() - began
        manager.close()
    return taken


def services() -> None:
    """`start-services` to ready and `stop-services` to gone for 8 workers."""
    with tempfile.TemporaryDirectory() as folder:
        named = ["--db-path", f"{folder}/jobs.db"]
        counts = ["--notebook-workers", "4", "--plantuml-workers", "2", "--drawio-workers", "2"]
        for command in (["start-services", *counts], ["stop-services"]):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-m", "clx", *command, *named], check=True, stdout=subprocess.DEVNULL)
            print(f"{command[0]}, {IDLE_WORKERS} workers: {time.perf_counter() - began:.2f} s")


def idle(jobs: int) -> None:
    """CPU and memory of idle workers, and in the same configuration how soon one of them starts a job."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jobs.db"
        configs = [WorkerConfig("notebook", IDLE_WORKERS)]
        manager = WorkerPoolManager(path, worker_configs=configs)
        manager.start_pools()
        with Database.open(path) as database:
            rows = WorkerTable(database).list()
            processes = [psutil.Process(row.pid) for row in rows]
            before = cpu(processes)
            time.sleep(IDLE_SECONDS)
            used = (cpu(processes) - before) / IDLE_SECONDS
            print(f"{IDLE_WORKERS} idle workers: {used * 100:.2f} % of one core")
            print(f"memory of an idle worker: {statistics.median(unique(each) for each in processes) / 2**20:.0f} MiB")
            waits = sorted(pick_up(Queue(database), rows[0].pool) for _ in range(jobs))
        manager.close()
    print(f"enqueue to started: p50 {waits[len(waits) // 2]} ms, p99 {waits[int(len(waits) * 0.99)]} ms, {jobs} jobs")


def cpu(processes: list[psutil.Process]) -> float:
    """Seconds of processor time they have used in all."""
    return sum(each.cpu_times().user + each.cpu_times().system for each in processes)


def unique(process: psutil.Process) -> int:
    """Bytes that would be free if the process ended."""
    return int(process.memory_full_info().uss)


def pick_up(queue: Queue, pool: str) -> int:
    """Milliseconds from enqueue to claim of one job that ends at once (its payload is none of a notebook's)."""
    [done] = queue.wait([queue.enqueue(NewJob("notebook", {"files": []}, pool=pool))], timeout=30)
    [run] = queue.runs(done.id)
    return int(run["started_at"] - done.created_at)


if __name__ == "__main__":
    main()
