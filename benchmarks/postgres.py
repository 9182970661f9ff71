"""The table on PostgreSQL beside others there: ``python -m benchmarks.postgres [PART …] [--jobs N] [--rounds N]``.

Debian's PostgreSQL with its default settings, thrown away afterwards, a socket of its own, on a disk; every commit is
durable (``fsync`` and ``synchronous_commit`` on), and what is compared runs in turns on the same server. *pgqueuer* (by
asyncpg, 64 jobs at a time) and *procrastinate* (its defaults) are in an environment of their own (`benchmarks/queues`).

Parts: ``drain`` (a worker's own loop, 1 and 4 processes), ``enqueue`` (one by one, many), ``bells`` (8 processes put
jobs in while others are told, or are not), ``pickup`` (an idle worker), ``depth`` (what a claim costs in a long table,
without the disk), ``memory`` (an idle worker). Without any: all of them.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import mark, percentile, rate_row
from benchmarks.memory import idle_function_worker
from benchmarks.queues import postgres
from benchmarks.queues.crowd import ROOT, DrainError, Peer, drain, pick_ups
from clx.db import statements as sql
from clx.db.jobs import NewJob, Queue
from clx.db.models import row_to_insert
from clx.db.transaction import Transaction
from clx.db.wait import Bells

CLX = Peer("clx", "clx_queue", "", sqlite=False)
PGQUEUER = Peer("pgqueuer", "pgqueuer_queue", "", sqlite=False)
PROCRASTINATE = Peer("procrastinate", "procrastinate_queue", "", sqlite=False, share=0.05)
AIMS = {PGQUEUER: 3.0, PROCRASTINATE: 50.0}
AIM_ENQUEUE, AIM_BELLS, AIM_DEPTH = 0.7, 0.9, 1.5
AIM_PICK_UP = 5.0
"""Milliseconds."""
AIM_MEMORY = 35.0
"""MiB."""
PUTTERS = 8
_MILLION = 1_000_000
_QUEUED = "INSERT INTO jobs (type, payload, created_at) SELECT 't', '{}', 0 FROM generate_series(1, CAST(? AS bigint))"
_FINISHED = (
    "INSERT INTO jobs (type, payload, created_at, state, run, finished_at, started_at) "
    "SELECT 't', '{}', 0, 'succeeded', 1, 1, 0 FROM generate_series(1, CAST(? AS bigint))"
)


def drains(server: postgres.Server, jobs: int, rounds: int) -> None:
    """A worker's own loop, jobs that do nothing."""
    for processes in (1, 4):
        rates: dict[Peer, list[float]] = {peer: [] for peer in (CLX, *AIMS)}
        for _ in range(rounds):
            for peer, found in rates.items():
                try:
                    found.append(drain(peer, server.database(), processes, int(jobs * peer.share)).rate)
                except DrainError as error:
                    print(f"{peer.name}: failed: {error}", flush=True)
        ours = statistics.median(rates[CLX])
        for peer, aim in AIMS.items():
            if rates[peer]:
                what = f"a worker's loop, {processes} processes, by {peer.name}'s"
                rate_row(what, ours, statistics.median(rates[peer]), aim)


def enqueues(server: postgres.Server, jobs: int, rounds: int) -> None:
    """Putting in, beside the bare driver with the same statements."""
    count = max(100, jobs // 100)
    row = row_to_insert(NewJob("t", {"n": 1}), 0, None, 1)
    with Queue.open(server.database()) as queue, Queue.open(server.database()) as other:
        bare = other.database.connection()

        def plain() -> None:
            for _ in range(count):
                bare.execute("BEGIN")
                bare.execute(f"{sql.INSERT} RETURNING id", row).fetchone()
                bare.execute("COMMIT")

        def plain_many() -> None:
            rows = [row_to_insert(NewJob("t", {"n": n}), 0, None, 1) for n in range(jobs)]
            bare.execute("BEGIN")
            bare.executemany(sql.INSERT, rows)
            bare.execute("COMMIT")

        one_by_one = (lambda: [queue.enqueue(NewJob("t", {"n": n})) for n in range(count)], plain)
        many = (lambda: queue.enqueue_many([NewJob("t", {"n": n}) for n in range(jobs)]), plain_many)
        for what, pair, times in (("enqueue, one commit each", one_by_one, count), ("enqueue_many", many, jobs)):
            ours, theirs = _in_turns(*pair, rounds=rounds)
            rate_row(f"{what}, by the bare driver's", times / ours, times / theirs, AIM_ENQUEUE)


def _in_turns(ours: Callable[[], Any], theirs: Callable[[], Any], *, rounds: int) -> tuple[float, float]:
    """Median seconds of both."""
    found = [(_seconds(ours), _seconds(theirs)) for _ in range(rounds)]
    return statistics.median(one for one, _ in found), statistics.median(other for _, other in found)


def _seconds(body: Callable[[], Any]) -> float:
    started = time.perf_counter()
    body()
    return time.perf_counter() - started


def bells(server: postgres.Server, jobs: int, rounds: int) -> None:
    """Processes that put jobs in, one commit each, while somebody listens: told of each, or of none."""
    where, each = server.database(), max(20, jobs // 100)
    with Queue.open(where) as queue, Bells(queue.database, ["t"]):
        found = [(_put_at_once(where, each, "on"), _put_at_once(where, each, "off")) for _ in range(rounds)]
    told, silent = (statistics.median(rates) for rates in zip(*found, strict=True))
    rate_row(f"{PUTTERS} processes enqueue, told by untold", told, silent, AIM_BELLS)


def _put_at_once(where: str, jobs: int, how: str) -> float:
    """Jobs per second of all of them, from the moment when all are ready."""
    command = [sys.executable, "-m", "benchmarks.postgres", "put", "--at", where, "--jobs", str(jobs), "--bells", how]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    crowd = [subprocess.Popen(command, cwd=ROOT, text=True, **pipes) for _ in range(PUTTERS)]  # type: ignore[call-overload]
    for process in crowd:
        assert process.stdout.readline() == "ready\n"
    started = time.perf_counter()
    for process in crowd:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.stdout.readline() for process in crowd] == ["done\n"] * PUTTERS
    seconds = time.perf_counter() - started
    for process in crowd:
        process.communicate()
    return PUTTERS * jobs / seconds


def put(where: str, jobs: int, *, with_bells: bool) -> None:
    """What each of those processes does."""
    with Queue.open(where) as queue:
        if not with_bells:
            queue.database.doorbell.ring = lambda *_: None  # type: ignore[method-assign]
        queue.enqueue(NewJob("t"))
        print("ready", flush=True)
        sys.stdin.readline()
        for n in range(jobs):
            queue.enqueue(NewJob("t", {"n": n}))
        print("done", flush=True)


def pickups(server: postgres.Server, jobs: int) -> None:
    """From putting a job in to its start in an idle process."""
    medians = {}
    for peer in (CLX, *AIMS):
        found = [1000 * seconds for seconds in pick_ups(peer, server.database(), jobs)]
        medians[peer] = percentile(found, 0.5)
        what, slow = f"pick-up by an idle worker, {peer.name}", percentile(found, 0.99)
        print(f"{what:<66} {medians[peer]:8.2f} ms, p99 {slow:.2f} ms", flush=True)
    lowest, soon = medians[CLX] == min(medians.values()), medians[CLX] <= AIM_PICK_UP
    print(f"{'clx: the lowest':<66} {mark(lowest)};  ≤ {AIM_PICK_UP:g} ms {mark(soon)}", flush=True)


def depths(server: postgres.Server) -> None:
    """What a claim costs in a long table, by what it costs in one of 1,000."""
    base = _claim_cost(server, 1000, 0)
    print(f"{'a claim, 1,000 queued':<66} {base:8.3f} ms", flush=True)
    for queued, finished, passed in ((_MILLION, 0, 0), (1000, _MILLION, 0), (1000, 0, _MILLION)):
        cost = _claim_cost(server, queued, finished, passed)
        what, ratio = f"{queued:,} queued, {finished:,} finished, {passed:,} done before", cost / base
        print(f"{what:<66} {cost:8.3f} ms {ratio:6.2f} ×   aim ≤ {AIM_DEPTH} × {mark(ratio <= AIM_DEPTH)}", flush=True)


def _claim_cost(server: postgres.Server, queued: int, finished: int, passed: int = 0) -> float:
    """Milliseconds of the median claim; nothing is analysed or vacuumed but by the server's own autovacuum."""
    where = server.database()
    if passed:
        drain(CLX, where, 4, passed)
    with Queue.open(where) as queue:
        for statement, count in ((_FINISHED, finished), (_QUEUED, queued)):
            queue.database.write("fill", partial(_fill, statement, count))
        queue.claim(["t"])
        queue.database.connection().raw.execute("SET synchronous_commit = off")
        return 1000 * statistics.median(_seconds(lambda: queue.claim(["t"])) for _ in range(500))


def _fill(statement: str, count: int, tx: Transaction) -> None:
    tx.execute(statement, (count,))


def memory(server: postgres.Server) -> None:
    """An idle worker's own share of memory."""
    with tempfile.TemporaryDirectory() as folder:
        found = idle_function_worker(server.database(), Path(folder))
    print(f"{'memory of an idle worker':<66} {found:8.1f} MiB   aim ≤ {AIM_MEMORY:g} MiB {mark(found <= AIM_MEMORY)}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--jobs", type=int, default=40_000, help="jobs in a queue of the fast ones")
    parser.add_argument("--pick-ups", type=int, default=40, help="jobs for the pick-up latency")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, whose median counts")
    parser.add_argument("--at", help=argparse.SUPPRESS)
    parser.add_argument("--bells", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.parts == ["put"]:
        put(options.at, options.jobs, with_bells=options.bells == "on")
        return
    with postgres.server() as server:
        if server is None:
            sys.exit(f"PostgreSQL is not installed: {postgres.INSTALL}")
        print(f"PostgreSQL {server.version}, default settings, a socket of its own; {options.jobs:,} jobs", flush=True)
        parts: dict[str, Callable[[], None]] = {
            "drain": lambda: drains(server, options.jobs, options.rounds),
            "enqueue": lambda: enqueues(server, options.jobs, options.rounds),
            "bells": lambda: bells(server, options.jobs, options.rounds),
            "pickup": lambda: pickups(server, options.pick_ups),
            "depth": lambda: depths(server),
            "memory": lambda: memory(server),
        }
        for name in options.parts or parts:
            parts[name]()


if __name__ == "__main__":
    main()
