"""The queue's own numbers, beside what the bare driver does with the same statements and pragmas.

Every measurement makes databases of its own, in the directory or on the server it is given. Rates are per second; the
ratio says what share of the bare driver's rate remains when the queue's rules are kept.
"""

from __future__ import annotations

import os
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
from clx.db.wait import Bells
from clx.db.workers import register_this_process

_TYPE = "bench"
_PLACE = "CLX_BENCH_DATABASE"
"""The variable by which the idle worker is told where its queue is."""


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


def measure(where: Path | str, *, scale: float = 1.0) -> Iterator[Number]:
    """Measure everything, one number at a time.

    Args:
        where: a directory on the disk to measure, whose files are left to its owner to remove; or the URL of a
            PostgreSQL server, on which databases are made and dropped.
        scale: 1 takes about ten seconds on a disk, a minute on a server.

    Raises:
        DatabaseError: the server cannot be reached, or lets this user make no database.
    """
    jobs = max(50, int(2000 * scale))
    yield _enqueue(where, jobs)
    yield _enqueue_many(where, jobs * 50)
    yield _claim_finish(where, jobs)
    yield loop(where, jobs * 2)
    yield _claims(where, jobs)
    yield from _latency(where, max(20, jobs // 20))


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


class Bare:
    """The driver's own connection to the database of *queue*, and how a transaction that writes begins there."""

    def __init__(self, queue: Queue) -> None:
        connection = queue.database.connection()
        self.execute, self.executemany = connection.execute, connection.executemany
        self.sql = queue.database.sql
        self.marks = queue.database.write("look", lambda tx: tx.marks("", _TYPE))
        self._begin = "BEGIN" if queue.database.is_served else "BEGIN IMMEDIATE"
        if not queue.database.is_served:
            # SQLite's own: copying the log back is a part of the price
            connection.execute("PRAGMA wal_autocheckpoint = 1000")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction."""
        self.execute(self._begin)
        yield
        self.execute("COMMIT")


@contextmanager
def _queue(where: Path | str, name: str) -> Iterator[tuple[Queue, str]]:
    """A new queue, and what opens it."""
    if isinstance(where, Path):
        path = where / f"{name}.db"
        with Queue.open(path) as queue:
            yield queue, str(path)
    else:
        from clx.db.postgresql.scratch import scratch_database

        with scratch_database(where) as url, Queue.open(url) as queue:
            yield queue, url


@contextmanager
def _pair(where: Path | str, name: str, jobs: int = 0) -> Iterator[tuple[Queue, Bare]]:
    """A queue, and a bare connection to another database of the same schema, settings and jobs."""
    with _queue(where, f"{name}-ours") as (queue, _), _queue(where, f"{name}-bare") as (other, _):
        for each in (queue, other):
            each.enqueue_many([NewJob(_TYPE, {"n": n}) for n in range(jobs)])
            register_this_process(each.database, _TYPE)
        yield queue, Bare(other)


def _enqueue(where: Path | str, jobs: int) -> Number:
    row = row_to_insert(NewJob(_TYPE, {"n": 1}), 0, None, 1)

    def plain(bare: Bare, count: int) -> None:
        for _ in range(count):
            with bare.transaction():
                bare.execute(sql.INSERT, row)

    def ours(queue: Queue, count: int) -> None:
        for n in range(count):
            queue.enqueue(NewJob(_TYPE, {"n": n}))

    with _pair(where, "enqueue") as pair:
        return Number("enqueue, one commit each", *_alternating(jobs, pair, ours, plain))


def _enqueue_many(where: Path | str, jobs: int) -> Number:
    def plain(bare: Bare, count: int) -> None:
        rows = [row_to_insert(NewJob(_TYPE, {"n": n}), 0, None, 1) for n in range(count)]
        with bare.transaction():
            bare.executemany(sql.INSERT, rows)

    def ours(queue: Queue, count: int) -> None:
        queue.enqueue_many([NewJob(_TYPE, {"n": n}) for n in range(count)])

    with _pair(where, "many") as pair:
        return Number("enqueue_many", *_alternating(jobs, pair, ours, plain))


def _bare_claim_finish(bare: Bare, count: int) -> None:
    """Two transactions a job, nothing but the two statements."""
    params: dict[str, Any] = {
        "worker": 1,
        "lease": 30_000,
        "now": 10**12,
        "pool": "",
        "type": _TYPE,
    }
    params["marks"] = bare.marks
    for _ in range(count):
        with bare.transaction():
            row = bare.execute(bare.sql.claim_one, params).fetchall()[0]
        with bare.transaction():
            report = {"id": row[0], "run": row[7], "now": 10**12, "result": "null"}
            bare.execute(sql.SUCCEED, report).fetchall()


def _claim_finish(where: Path | str, jobs: int) -> Number:
    def ours(queue: Queue, count: int) -> None:
        for _ in range(count):
            job = queue.claim([_TYPE])[0]
            queue.finish(job.id, job.run)

    with _pair(where, "claim", jobs * 2) as pair:
        return Number("claim and finish, two commits", *_alternating(jobs, pair, ours, _bare_claim_finish))


def loop(where: Path | str, jobs: int) -> Number:
    """A worker's own loop with *jobs* that do nothing, by two bare transactions a job."""

    def ours(queue: Queue, count: int) -> None:
        done = Consumer(queue, {_TYPE: lambda _job: None}, limit=count).run(until_idle=True)
        assert done == count

    with _pair(where, "loop", jobs * 2) as pair:
        return Number("a worker's loop, jobs that do nothing", *_alternating(jobs, pair, ours, _bare_claim_finish))


def _claims(where: Path | str, jobs: int) -> Number:
    def fifty(queue: Queue, count: int) -> None:
        for _ in range(count // 50):
            queue.claim([_TYPE], 50)

    def one(queue: Queue, count: int) -> None:
        for _ in range(count):
            queue.claim([_TYPE])

    jobs = max(250, jobs // 250 * 250)  # so that each turn has whole fifties
    with _queue(where, "claims") as (queue, _):
        queue.enqueue_many([NewJob(_TYPE) for _ in range(jobs * 2)])
        queue.claim([_TYPE])
        return Number("claim 50 at once, by one at a time", *_alternating(jobs, (queue, queue), fifty, one))


def _latency(where: Path | str, jobs: int) -> Iterator[Number]:
    with _queue(where, "latency") as (queue, place):
        # not on its command line, which everybody sees: it may be a URL with a password
        told = os.environ | {_PLACE: place}
        command = [sys.executable, "-P", "-m", "clx.db.bench"]
        idle = subprocess.Popen(command, stdout=subprocess.PIPE, env=told)
        assert idle.stdout is not None
        try:
            idle.stdout.readline()
            _pick_up(queue, idle.stdout)  # the first one may come before the server knows who listens
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
    _serve_idle(os.environ[_PLACE])
