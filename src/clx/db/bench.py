"""The queue's own numbers, beside what the bare driver does with the same statements and pragmas.

Every measurement makes its database in the directory it is given. Rates are per second; the ratio says what
share of the bare driver's rate remains when the queue's rules are kept.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clx.db import statements as sql
from clx.db.consumer import Consumer
from clx.db.jobs import NewJob, Queue
from clx.db.models import row_to_insert
from clx.db.sqlite.dialect import DIALECT
from clx.db.wait import Bells
from clx.db.workers import register_this_process

_TYPE = "bench"


@dataclass(frozen=True, slots=True)
class Number:
    """One result.

    Attributes:
        name: what was measured.
        value: how much.
        unit: of what.
        bare: what the bare driver did in the same moment; None where there is nothing to compare with.
    """

    name: str
    value: float
    unit: str
    bare: float | None = None

    @property
    def ratio(self) -> float | None:
        """Ours by the bare driver's."""
        return None if self.bare is None else self.value / self.bare


def measure(folder: Path, *, scale: float = 1.0) -> Iterator[Number]:
    """Measure everything, one number at a time.

    Args:
        folder: a directory on the disk to measure; files are left to its owner to remove.
        scale: 1 takes about ten seconds.
    """
    jobs = max(50, int(2000 * scale))
    yield _enqueue(folder, jobs)
    yield _enqueue_many(folder, jobs * 50)
    yield _claim_finish(folder, jobs)
    yield loop(folder, jobs * 2)
    yield _claims(folder, jobs)
    yield from _latency(folder, max(20, jobs // 20))


def rate(count: int, body: Callable[[], Any]) -> float:
    """How many of *count* were done per second."""
    started = time.perf_counter()
    body()
    return count / (time.perf_counter() - started)


def _alternating(
    count: int, pair: tuple[Queue, Any], ours: Callable[[Queue, int], Any], plain: Callable[[Any, int], Any]
) -> tuple[float, str, float]:
    """Rates of both, measured in turns so that a busy machine is busy for both; the median of five turns."""
    queue, bare = pair
    part = count // 5
    found = [(rate(part, lambda: ours(queue, part)), rate(part, lambda: plain(bare, part))) for _ in range(5)]
    return statistics.median(one for one, _ in found), "jobs/s", statistics.median(other for _, other in found)


@contextmanager
def _pair(folder: Path, name: str, jobs: int = 0) -> Iterator[tuple[Queue, Any]]:
    """A queue, and a bare connection to another file of the same schema, pragmas and jobs."""
    with Queue.open(folder / f"{name}-ours.db") as queue, Queue.open(folder / f"{name}-bare.db") as other:
        for each in (queue, other):
            each.enqueue_many([NewJob(_TYPE, {"n": n}) for n in range(jobs)])
        register_this_process(queue.database, _TYPE)
        bare = other.database.connection()
        bare.execute("PRAGMA wal_autocheckpoint = 1000")  # SQLite's own: copying the log back is a part of the price
        yield queue, bare


def _enqueue(folder: Path, jobs: int) -> Number:
    row = row_to_insert(NewJob(_TYPE, {"n": 1}), 0, None, 1)

    def plain(bare: Any, count: int) -> None:
        for _ in range(count):
            bare.execute("BEGIN IMMEDIATE")
            bare.execute(sql.INSERT, row)
            bare.execute("COMMIT")

    def ours(queue: Queue, count: int) -> None:
        for n in range(count):
            queue.enqueue(NewJob(_TYPE, {"n": n}))

    with _pair(folder, "enqueue") as pair:
        return Number("enqueue, one commit each", *_alternating(jobs, pair, ours, plain))


def _enqueue_many(folder: Path, jobs: int) -> Number:
    def plain(bare: Any, count: int) -> None:
        rows = [row_to_insert(NewJob(_TYPE, {"n": n}), 0, None, 1) for n in range(count)]
        bare.execute("BEGIN IMMEDIATE")
        bare.executemany(sql.INSERT, rows)
        bare.execute("COMMIT")

    def ours(queue: Queue, count: int) -> None:
        queue.enqueue_many([NewJob(_TYPE, {"n": n}) for n in range(count)])

    with _pair(folder, "many") as pair:
        return Number("enqueue_many", *_alternating(jobs, pair, ours, plain))


def bare_claim_finish(connection: Any, count: int) -> None:
    """Two transactions a job, nothing but the two statements."""
    params = {"worker": 1, "lease": 30_000, "until": 10**12 + 30_000, "now": 10**12, "pool": "", "type": _TYPE}
    for _ in range(count):
        connection.execute("BEGIN IMMEDIATE")
        row = connection.execute(DIALECT.claim_one, params).fetchall()[0]
        connection.execute("COMMIT")
        connection.execute("BEGIN IMMEDIATE")
        report = {"id": row[0], "run": row[7], "now": 10**12, "result": "null"}
        connection.execute(sql.SUCCEED, report).fetchall()
        connection.execute("COMMIT")


def _claim_finish(folder: Path, jobs: int) -> Number:
    def ours(queue: Queue, count: int) -> None:
        for _ in range(count):
            job = queue.claim([_TYPE])[0]
            queue.finish(job.id, job.run)

    with _pair(folder, "claim", jobs * 2) as pair:
        return Number("claim and finish, two commits", *_alternating(jobs, pair, ours, bare_claim_finish))


def loop(folder: Path, jobs: int) -> Number:
    """A worker's own loop with *jobs* that do nothing, by two bare transactions a job."""

    def ours(queue: Queue, count: int) -> None:
        done = Consumer(queue, {_TYPE: lambda _job: None}, limit=count).run(until_idle=True)
        assert done == count

    with _pair(folder, "loop", jobs * 2) as pair:
        return Number("a worker's loop, jobs that do nothing", *_alternating(jobs, pair, ours, bare_claim_finish))


def _claims(folder: Path, jobs: int) -> Number:
    def fifty(queue: Queue, count: int) -> None:
        for _ in range(count // 50):
            queue.claim([_TYPE], 50)

    def one(queue: Queue, count: int) -> None:
        for _ in range(count):
            queue.claim([_TYPE])

    jobs = max(250, jobs // 250 * 250)  # so that each turn has whole fifties
    with Queue.open(folder / "claims.db") as queue:
        queue.enqueue_many([NewJob(_TYPE) for _ in range(jobs * 2)])
        queue.claim([_TYPE])
        return Number("claim 50 at once, by one at a time", *_alternating(jobs, (queue, queue), fifty, one))


def _latency(folder: Path, jobs: int) -> Iterator[Number]:
    path = folder / "latency.db"
    with Queue.open(path) as queue:
        command = [sys.executable, "-P", "-m", "clx.db.bench", str(path)]
        idle = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert idle.stdout is not None
        try:
            idle.stdout.readline()
            waits = sorted(_pick_up(queue, idle.stdout) for _ in range(jobs))
        finally:
            idle.kill()
            idle.wait()
            idle.stdout.close()
    yield Number("pick-up by an idle worker, p50", 1000 * waits[len(waits) // 2], "ms")
    yield Number("pick-up by an idle worker, p99", 1000 * waits[int(len(waits) * 0.99)], "ms")


def _pick_up(queue: Queue, answers: Any) -> float:
    """Seconds from enqueueing a job to the moment an idle process has it."""
    time.sleep(0.005)  # so that the worker has gone back to waiting
    started = time.monotonic()
    queue.enqueue(NewJob(_TYPE))
    return float(answers.readline()) - started


def _serve_idle(path: str) -> None:
    """A worker that waits, and prints when it has something."""
    with Queue.open(path) as queue, Bells(queue.database, [_TYPE]) as bells:
        queue.claim([_TYPE])
        print("ready", flush=True)  # noqa: T201
        while True:
            bells.silence()
            for job in queue.claim([_TYPE]):
                print(time.monotonic(), flush=True)  # noqa: T201
                queue.finish(job.id, job.run)
            bells.wait(1)


if __name__ == "__main__":
    _serve_idle(sys.argv[1])
