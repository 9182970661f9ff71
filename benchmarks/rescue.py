"""How soon does another worker start the job of one that was killed, or that fell silent?

Type: ``python -m benchmarks.rescue [--rounds N]``. Real services with real notebook workers, and real consumers; each
round takes one of them away in the middle of a job and measures until the next run of that job began.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from benchmarks.measure import ENVIRONMENT, clx, mark, percentile
from clx.artifacts.store import ArtifactStore
from clx.db.clock import now_ms
from clx.db.consumer import Consumer
from clx.db.jobs import Job, NewJob, Queue
from clx.db.workers import WorkerTable

ROUNDS = 20
LEASE = 2.0
HEARTBEAT = 0.5
AIM_KILLED = 1.0
AIM_SILENT = LEASE + 2.0
A_SESSION = 5
"""Rounds with the same services: at the sixth death within a minute they would give up."""
LIMIT = 60.0
DECK = '# %% tags=["keep"]\nimport time\ntime.sleep(0.5)\n'
JOB_TYPE = "held"

T = TypeVar("T")


def until(what: Callable[[], T | None]) -> T:
    """The first value of *what* that there is."""
    deadline = time.monotonic() + LIMIT
    while (found := what()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {LIMIT:g} s")
        time.sleep(0.005)
    return found


def rescued(queue: Queue, job_id: int, number: signal.Signals) -> float:
    """Seconds from the signal to the worker that has the job until the next run has begun."""

    def in_run(run: int) -> Job | None:
        job = queue.get(job_id)
        return job if job is not None and job.run >= run else None

    until(lambda: in_run(1))
    time.sleep(random.uniform(0, 0.2))
    job = in_run(1)
    assert job is not None
    assert job.state == "running"
    pids = {row.id: row.pid for row in WorkerTable(queue.database).list()}
    victim, at = pids[job.worker_id or 0], now_ms()
    os.kill(victim, number)
    again = until(lambda: in_run(2))
    return ((again.started_at or 0) - at) / 1000


# -- services -----------------------------------------------------------------------------------------------------


@contextmanager
def services() -> Iterator[tuple[Queue, str]]:
    """A queue that services watch, and the pool of their workers: one more than are taken away."""
    counts = ["--notebook-workers", str(A_SESSION + 1), "--plantuml-workers", "0", "--drawio-workers", "0"]
    environment = {**ENVIRONMENT, "CLX_JOBS__LEASE": str(LEASE), "CLX_JOBS__HEARTBEAT": str(HEARTBEAT)}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        named = ["--db-path", f"{folder}/jobs.db"]

        def command(*words: str) -> None:
            subprocess.run(clx(*words, *named), cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)

        command("start-services", *counts)
        try:
            with Queue.open(f"{folder}/jobs.db") as queue:
                yield queue, WorkerTable(queue.database).list()[0].pool
        finally:
            command("stop-services", "--timeout", "2")


def worker_rescues(number: signal.Signals, rounds: int) -> Iterator[float]:
    """Seconds of each rescue from a worker of the services."""
    for begin in range(0, rounds, A_SESSION):
        with services() as (queue, pool):
            digest = ArtifactStore(queue.database.state.path / "artifacts").put_bytes(DECK.encode())
            payload = {
                "task": "execute", "source": "slides_x.py", "topic": ".", "lang": "en", "prog_lang": "python",
                "course": "C", "section": "S", "files": [["slides_x.py", digest]], "cell_timeout": 60.0,
            }  # fmt: skip
            for _ in range(min(A_SESSION, rounds - begin)):
                job_id = queue.enqueue(NewJob("notebook", payload, pool=pool))
                yield rescued(queue, job_id, number)
                [done] = queue.wait([job_id], timeout=LIMIT)
                assert done.state == "succeeded", done.error


# -- consumers ----------------------------------------------------------------------------------------------------


def consumer_rescues(number: signal.Signals, rounds: int) -> Iterator[float]:
    """Seconds of each rescue from one of two consumers, by the other."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, Queue.open(f"{folder}/jobs.db") as queue:
        for _ in range(rounds):
            command = [sys.executable, "-m", "benchmarks.rescue", "--serve", f"{folder}/jobs.db"]
            pair = [subprocess.Popen(command, cwd=Path(__file__).parents[1]) for _ in range(2)]
            try:
                until(lambda: len(WorkerTable(queue.database).list()) == 2 or None)
                yield rescued(queue, queue.enqueue(NewJob(JOB_TYPE)), number)
            finally:
                for process in pair:
                    process.kill()
                    process.wait()
            for row in WorkerTable(queue.database).list():
                WorkerTable(queue.database).end(row.id, "the round is over")


def serve(path: str) -> None:
    """A consumer that is long at the first run of a job."""
    with Queue.open(path) as queue:
        hold = {JOB_TYPE: lambda job: time.sleep(LIMIT if job.run == 1 else 0)}
        Consumer(queue, hold, lease=int(LEASE * 1000)).run()


def row(what: str, found: Iterator[float], aim: float) -> None:
    """Print one line."""
    times = sorted(found)
    half, most = percentile(times, 0.5), percentile(times, 0.99)
    told = f"{what}, {len(times)} times"
    print(f"{told:<66} p50 {half:6.3f} s  p99 {most:6.3f} s   aim p99 ≤ {aim:g} s {mark(most <= aim)}", flush=True)


def main() -> None:
    """Measure and print, one line per kind of loss."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how many are killed; half as many fall silent")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    silent = max(1, options.rounds // 2)
    row("rescue after SIGKILL of a worker", worker_rescues(signal.SIGKILL, options.rounds), AIM_KILLED)
    lease = f"lease {LEASE:g} s"
    row(f"rescue from a silent worker (SIGSTOP), {lease}", worker_rescues(signal.SIGSTOP, silent), AIM_SILENT)
    row(f"rescue from a silent consumer (SIGSTOP), {lease}", consumer_rescues(signal.SIGSTOP, silent), AIM_SILENT)


if __name__ == "__main__":
    main()
