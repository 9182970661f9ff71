"""What a storm of lookers has left, judged by a process that took no part in it, through the standard library alone."""

from __future__ import annotations

import json
import signal
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

Spans = list[tuple[int, int]]
_AT_ONCE = 1000
"""Milliseconds within which a process dies of a SIGTERM that it does not handle."""


class Took(NamedTuple):
    """What the storm knows of one process that took part; moments in milliseconds UTC.

    Attributes:
        identity: its pid and start time, as the end of its identity in the table.
        seen_alive: when it was seen for the last time.
        killed: whether it was sent SIGKILL, which may leave jobs behind.
        termed: when it was sent SIGTERM.
        code: with which it ended; None: it has not.
        starves: whether what it may have ran out on purpose: it may end of itself.
        frozen: from when until when it was stopped.
    """

    identity: str
    seen_alive: int
    killed: bool
    termed: int | None
    code: int | None
    starves: bool
    frozen: Spans


def main(path: str, known: str) -> None:
    """Print the problems, one a line."""
    facts = json.loads(Path(known).read_text(encoding="utf-8"))
    connection = sqlite3.connect(f"{Path(path).as_uri()}?mode=ro", uri=True)
    problems = [*_file(connection), *_jobs(connection, facts["acknowledged"]), *_batches(connection)]
    took = [Took._make(each) for each in facts["took"]]
    weather = [tuple(span) for span in facts["weather"]]
    problems += _judged(connection, took, weather, facts["lease"])
    for problem in problems:
        print(problem)


def _file(connection: sqlite3.Connection) -> Iterator[str]:
    for (text,) in connection.execute("PRAGMA integrity_check(20)"):
        if text != "ok":
            yield f"the file: {text}"
    for row in connection.execute("PRAGMA foreign_key_check"):
        yield f"a row names one that is not there: {row}"


def _jobs(connection: sqlite3.Connection, acknowledged: list[int]) -> Iterator[str]:
    states = dict(connection.execute("SELECT id, state FROM jobs NOT INDEXED"))
    for job_id in sorted(set(acknowledged) - set(states)):
        yield f"job {job_id} was acknowledged and is lost"
    for job_id, state in states.items():
        if state != "succeeded":
            yield f"job {job_id} is {state}"
    outcomes = "SELECT job_id, count(*) FROM runs WHERE outcome = 'succeeded' GROUP BY 1 HAVING count(*) <> 1"
    for job_id, count in connection.execute(outcomes):
        yield f"job {job_id} has succeeded {count} times"
    without = "SELECT id FROM jobs WHERE id NOT IN (SELECT job_id FROM runs WHERE outcome = 'succeeded')"
    for (job_id,) in connection.execute(without):
        yield f"job {job_id} has no recorded success"


def _batches(connection: sqlite3.Connection) -> Iterator[str]:
    for batch_id, state, callback in connection.execute("SELECT id, state, callback_job FROM batches"):
        if state != "done" or callback is None:
            yield f"batch {batch_id} is {state} and has called back with job {callback}"
    queued, batches = connection.execute(
        "SELECT (SELECT count(*) FROM jobs WHERE type = 'after'), (SELECT count(*) FROM batches)"
    ).fetchone()
    if queued != batches:
        yield f"{batches} batches have called back {queued} times"


def _judged(connection: sqlite3.Connection, took: list[Took], weather: Spans, lease: int) -> Iterator[str]:
    """Whoever was taken for dead while it lived, and whoever was taken for silent without a reason."""
    struck_off = "SELECT id, identity, ended_at, reason FROM workers WHERE state = 'dead' OR reason LIKE '%gone%'"
    for worker, identity, at, reason in connection.execute(struck_off):
        process = _process(identity, took)
        if process is None or at < process.seen_alive:
            yield f"worker {worker} was struck off ({reason}) while it lived: {process}"
    rescued = (
        "SELECT r.job_id, r.run, r.ended_at, r.cause, w.identity FROM runs r JOIN workers w ON w.id = r.worker_id "
        "WHERE r.cause IS NOT NULL"
    )
    for job_id, run, at, cause, identity in connection.execute(rescued):
        reason = _unfounded(_process(identity, took), at, json.loads(cause)["kind"], weather, lease)
        if reason:
            yield f"run {run} of job {job_id} was taken from its worker at {at} ({cause}), {reason}"


def _process(identity: str, took: list[Took]) -> Took | None:
    return next((each for each in took if identity.endswith(each.identity)), None)


def _unfounded(process: Took | None, at: int, kind: str, weather: Spans, lease: int) -> str | None:
    """Why a run should not have been taken; None when it was right."""
    if process is None:
        return "which nobody knows"
    if kind == "silent":
        # it is seen within some leases: one may pass while who looks leaves it the time to renew
        hushed = any(since <= at and until >= at - 4 * lease for since, until in process.frozen)
        return None if hushed or process.starves or at >= process.seen_alive else f"which was not silent: {process}"
    if at < process.seen_alive:
        return f"which lived: {process}"
    if process.killed or process.starves:
        return None
    # told to end it hands its jobs back, unless the table takes nothing until it has to go
    # one that lived on after SIGTERM was ending in order; another one may have come when it could wait no longer
    heeded = process.code != -signal.SIGTERM or process.seen_alive - (process.termed or 0) > _AT_ONCE
    in_order = process.termed is not None and heeded
    kept = in_order and any(since <= at and until >= (process.termed or 0) for since, until in weather)
    return None if kept else f"which was not killed: {process}"


if __name__ == "__main__":
    arguments: Any = sys.argv[1:]
    main(*arguments)
