"""The queue beside other SQLite queues from PyPI: the same jobs, which do nothing, on the same disk.

Each peer runs with its own defaults in an environment of its own. *litequeue* keeps a job until it is marked
done and serves several processes: the fair comparison. *persist-queue* (SQLiteAckQueue) keeps it too, but serves one
process. *huey* deletes a task when it is fetched, so a killed worker loses it: it is shown for orientation.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PACKAGES = ("huey==3.5.4", "litequeue==0.9", "persist-queue==1.1.0")
HOME = Path(__file__).parents[1] / "build" / "bench-queue-peers"
JOBS = 10_000
PROCESSES = (1, 2, 4, 8)
ROUNDS = 3

_CLX = """
from clx.db.jobs import NewJob, Queue
from clx.db.consumer import Consumer
def fill(path, n):
    with Queue.open(path) as queue:
        queue.enqueue_many([NewJob("t", {"n": i}) for i in range(n)])
def drain(path):
    with Queue.open(path) as queue:
        return Consumer(queue, {"t": lambda job: None}).run(until_idle=True)
"""
_LITEQUEUE = """
from litequeue import LiteQueue
def fill(path, n):
    queue = LiteQueue(path)
    with queue.transaction():
        for i in range(n):
            queue.put(str(i))
def drain(path):
    queue, done = LiteQueue(path), 0
    while (message := pop(queue)) is not None:
        again(queue.done, message.message_id)
        done += 1
    return done
def pop(queue):
    return again(queue.pop)
def again(call, *arguments):
    import sqlite3
    while True:
        try:
            return call(*arguments)
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
"""
_PERSIST_QUEUE = """
import persistqueue
def fill(path, n):
    queue = persistqueue.SQLiteAckQueue(path, auto_commit=True)
    for i in range(n):
        queue.put(i)
def drain(path):
    queue, done = persistqueue.SQLiteAckQueue(path, auto_commit=True), 0
    while True:
        try:
            item = queue.get(block=False)
        except persistqueue.Empty:
            return done
        queue.ack(item)
        done += 1
"""
_HUEY = """
from huey import SqliteHuey
def make(path):
    huey = SqliteHuey(filename=path)
    return huey, huey.task()(nothing)
def nothing(n):
    return None
def fill(path, n):
    huey, task = make(path)
    for i in range(n):
        task(i)
def drain(path):
    huey, _ = make(path)
    done = 0
    while (task := huey.dequeue()) is not None:
        huey.execute(task)
        done += 1
    return done
"""
_RUN = """
import sys
if sys.argv[2] == "fill":
    fill(sys.argv[1], int(sys.argv[3]))
else:
    print("ready", flush=True)
    sys.stdin.readline()
    print(drain(sys.argv[1]), flush=True)
"""
PEERS = {"clx": _CLX, "litequeue": _LITEQUEUE, "persist-queue": _PERSIST_QUEUE, "huey": _HUEY}
ALONE = {"persist-queue"}


def python() -> Path:
    """The interpreter of the peers' environment, made on first use."""
    found = HOME / "bin" / "python"
    if not (HOME / ".complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(HOME)], check=True)
        subprocess.run([str(found), "-m", "pip", "install", "-q", *PACKAGES], check=True)
        (HOME / ".complete").touch()
    return found


def drain_rate(name: str, processes: int, jobs: int) -> float:
    """Jobs per second with which *processes* empty a queue; starting them is not counted."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        command = [sys.executable if name == "clx" else str(python()), "-c", PEERS[name] + _RUN, f"{folder}/jobs.db"]
        subprocess.run([*command, "fill", str(jobs)], check=True)
        crowd = [
            subprocess.Popen([*command, "drain"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(processes)
        ]
        for process in crowd:
            assert process.stdout is not None
            process.stdout.readline()
        started = time.perf_counter()
        for process in crowd:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        done = sum(int(process.communicate()[0]) for process in crowd)
        seconds = time.perf_counter() - started
    assert done == jobs, (name, processes, done)
    return jobs / seconds


def main(jobs: int = JOBS) -> None:
    """Print one row per number of processes: jobs per second of each, and ours by the best fair peer's."""
    print(f"{'processes':<10}" + "".join(f"{name:>15}" for name in PEERS) + f"{'clx / litequeue':>18}")
    for processes in PROCESSES:
        rates = {
            name: statistics.median(drain_rate(name, processes, jobs) for _ in range(ROUNDS))
            for name in PEERS
            if processes == 1 or name not in ALONE
        }
        shown = "".join(f"{rates[name]:>15,.0f}" if name in rates else f"{'-':>15}" for name in PEERS)
        print(f"{processes:<10}{shown}{rates['clx'] / rates['litequeue']:>16.1f} ×", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
