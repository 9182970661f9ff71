"""Two connections at once: each step of one, held up before every statement of it, while another does its own.

The other goes on until it has ended or waits for a lock of the first; then the first goes on. Whatever came of it must
be what some order of the two, one after the other, leaves: the rules of the table hold, nothing is done twice or by
nobody.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from tests.support.clock import at
from tests.support.postgresql import Server

from clx.db.batches import BatchTable
from clx.db.check import check
from clx.db.jobs import NewJob, Queue, Success
from clx.db.workers import WorkerTable, register_this_process
from clx.errors import LostBatchError, LostRunError, LostWorkerError, QueueError

A1, A2, D, Q, X, Y = range(1, 7)
"""Two of a batch with a callback, which run; one that needs both; one that two other batches want; two with keys."""
B, C = 2, 3
"""The batches that want Q."""
_EXPECTED = (LostRunError, LostWorkerError, LostBatchError, QueueError)

_STEPS: dict[str, Callable[[Queue], Any]] = {
    "finish a1": lambda queue: at(queue, 50).finish(A1, 1),
    "finish a2": lambda queue: at(queue, 50).finish(A2, 1),
    "fail a1": lambda queue: at(queue, 50).fail(A1, 1, {"message": "no"}),
    "fail a2 again": lambda queue: at(queue, 50).fail(A2, 1, {"message": "no"}, retry=True, backoff=0),
    "settle both": lambda queue: at(queue, 50).settle([Success(A2, 1), Success(A1, 1)], ["t"], 1, worker=1),
    "claim": lambda queue: at(queue, 50).claim(["t"], worker=1),
    "claim many": lambda queue: at(queue, 50).claim(["t", "u"], 9, worker=2),
    "cancel": lambda queue: at(queue, 50).cancel([A1, Q, X]),
    "retry": lambda queue: at(queue, 50).retry([A1, D]),
    "rescue": lambda queue: at(queue, 500).rescue(),
    "rescue worker": lambda queue: at(queue, 50).rescue_worker(1, {"kind": "gone"}, end=_end),
    "release": lambda queue: at(queue, 50).release(A1, 1),
    "heartbeat": lambda queue: at(queue, 50).heartbeat(A1, 1),
    "want too": lambda queue: at(queue, 50).enqueue_many([NewJob("t", key="k")], batch=C),
    "replace": lambda queue: at(queue, 50).enqueue(NewJob("t", key="x"), on_conflict="replace"),
    "behind": lambda queue: at(queue, 50).enqueue(NewJob("t", key="k"), on_conflict="after"),
    "new key": lambda queue: at(queue, 50).enqueue(NewJob("t", key="new")),
    "needs a1": lambda queue: at(queue, 50).enqueue(NewJob("u", needs=[A1, Q])),
    "x needs y": lambda queue: at(queue, 50).enqueue(NewJob("t", key="x", needs=[Y]), on_conflict="replace"),
    "y needs x": lambda queue: at(queue, 50).enqueue(NewJob("t", key="y", needs=[X]), on_conflict="replace"),
    "close b": lambda queue: at(BatchTable(queue.database), 50).close(B),
    "close c": lambda queue: at(BatchTable(queue.database), 50).close(C),
}


def _end(tx: Any) -> None:
    from clx.db.workers import end_worker

    end_worker(tx, 1, "gone", dead=True)


def _prepare(queue: Queue) -> None:
    for _ in range(2):
        register_this_process(queue.database, "t")
    start = at(queue, 1)
    start.enqueue_batch([NewJob("t", key="k"), NewJob("t")], NewJob("callback"))
    for worker, job_id in ((1, A1), (2, A2)):
        assert start.claim(["t"], worker=worker, lease=100)[0].id == job_id
    start.enqueue(NewJob("u", needs=[A1, A2]))
    batches = at(BatchTable(queue.database), 1)
    for _ in (B, C):
        batches.open("b", host="h", pid=1, identity="i", lease=10**9)
    start.enqueue_many([NewJob("t", key="q")], batch=B)
    start.enqueue_many([NewJob("t", key="q")], batch=C)
    start.enqueue_many([NewJob("t", key="x"), NewJob("t", key="y")])


class _Scene:
    """A table that is as it was prepared before each run, and two queues on it."""

    def __init__(self, server: Server, url: str) -> None:
        self.one, self.other = Queue.open(url), Queue.open(url)
        _prepare(self.one)
        self._looker = psycopg.connect(url, autocommit=True)
        self._thread = ThreadPoolExecutor(1)
        self._backend = self._thread.submit(lambda: self.other.database.connection().raw.info.backend_pid).result()
        filled = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'clx'"
        names = {row[0] for row in self._looker.execute(filled).fetchall()} - {"alembic_version"}
        self._looker.execute("CREATE SCHEMA saved")
        # those that others name come last when they are emptied, and first when they are filled
        last = [name for name in ("jobs", "batches", "schedules") if name in names]
        order = [*sorted(names - set(last)), *last]
        for name in order:
            self._looker.execute(f"CREATE TABLE saved.{name} AS TABLE clx.{name}")
        self._restore = "; ".join(
            [f"DELETE FROM clx.{name}" for name in order]
            + [f"INSERT INTO clx.{name} SELECT * FROM saved.{name}" for name in reversed(order)]
        )

    def restore(self) -> None:
        self._looker.execute(self._restore)

    def run(self, first: str, second: str, before: int) -> tuple[list[str], bool]:
        """Do *first*, and *second* before a statement of it; what came of each and whether it was done."""
        self.restore()
        told: list[Future[str]] = []
        count = 0

        def pause(_statement: str) -> None:
            nonlocal count
            count += 1
            if count == before:
                told.append(self._thread.submit(_do, second, self.other))
                self._until_done_or_waiting(told[0])

        connection = self.one.database.connection()
        connection.set_trace_callback(pause)
        try:
            answer = _do(first, self.one)
        finally:
            connection.set_trace_callback(None)
        return [answer, told[0].result(20) if told else ""], bool(told)

    def _until_done_or_waiting(self, task: Future[str]) -> None:
        waits = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
        ends = time.monotonic() + 20
        while not task.done() and not self._looker.execute(waits, (self._backend,)).fetchone():
            assert time.monotonic() < ends
            time.sleep(0.001)

    def found(self, query: str) -> list[tuple[Any, ...]]:
        return self._looker.execute(query).fetchall()

    def close(self) -> None:
        self._thread.submit(self.other.close).result()
        self._thread.shutdown()
        self.one.close()
        self._looker.execute("DROP SCHEMA saved CASCADE")
        self._looker.close()


def _do(step: str, queue: Queue) -> str:
    try:
        _STEPS[step](queue)
    except _EXPECTED as error:
        return type(error).__name__
    return "done"


@pytest.fixture
def scene(server: Server, postgresql: str) -> Iterator[_Scene]:
    found = _Scene(server, postgresql)
    yield found
    found.close()


_CIRCLE = """
WITH RECURSIVE way (first, id) AS (SELECT job_id, needs_id FROM clx.dependencies
  UNION SELECT way.first, d.needs_id FROM way JOIN clx.dependencies d ON d.job_id = way.id)
SELECT first FROM way WHERE first = id"""


def _wrong(scene: _Scene) -> list[str]:
    """What is not as any order of two steps would leave it."""
    problems = check(scene.one.database)
    states = dict(scene.found("SELECT id, state FROM clx.jobs"))
    live = {"queued", "running"}
    callbacks = len(scene.found("SELECT 1 FROM clx.jobs WHERE type = 'callback'"))
    if callbacks != (0 if {states[A1], states[A2]} & live else 1):
        problems.append(f"{callbacks} callbacks, of jobs that are {states[A1]} and {states[A2]}")
    open_batches = {row[0] for row in scene.found("SELECT id FROM clx.batches WHERE state = 'live'")}
    if not {B, C} & open_batches and states[Q] == "queued":
        problems.append("a job waits that nobody wants")
    if scene.found(_CIRCLE):
        problems.append("jobs wait for each other in a circle")
    dead = "SELECT id FROM clx.workers WHERE ended_at > 0"
    if scene.found(f"SELECT 1 FROM clx.jobs WHERE state = 'running' AND worker_id IN ({dead})"):
        problems.append("a job is held by a worker that was struck off")
    return problems


@pytest.mark.parametrize("first", _STEPS)
def test_any_two_steps_in_any_order(scene: _Scene, first: str) -> None:
    names = [*_STEPS]
    # all of them take four minutes: by day each meets a third of the others, before or after itself
    met = names if os.environ.get("CLX_SOAK") else names[names.index(first) % 3 :: 3]
    for second in met:
        before = 1
        while True:
            told, was_run = scene.run(first, second, before)
            if not was_run:
                break
            assert _wrong(scene) == [], (first, second, before, told)
            before += 1
        assert before > 2


def test_one_key_is_taken_once(scene: _Scene) -> None:
    for before in (2, 3, 4):
        scene.run("new key", "new key", before)
        assert scene.found("SELECT count(*) FROM clx.jobs WHERE key = 'new'") == [(1,)]


def test_of_two_halves_of_a_circle_one_is_refused(scene: _Scene) -> None:
    for before in (2, 3, 4, 5, 6):
        told, _ = scene.run("x needs y", "y needs x", before)
        assert sorted(told) == ["QueueError", "done"], before


def test_what_two_ends_let_go_is_let_go_once_both_are_over(scene: _Scene) -> None:
    for before in (2, 3, 4, 5, 6):
        scene.run("finish a1", "finish a2", before)
        assert scene.found(f"SELECT state, waits_for, ready FROM clx.jobs WHERE id = {D}") == [("queued", 0, 1)]


def test_two_that_claim_at_once_get_different_jobs(scene: _Scene) -> None:
    for before in (2, 3, 4):
        scene.run("claim", "claim", before)
        assert scene.found("SELECT count(*) FROM clx.jobs WHERE state = 'running' AND worker_id = 1") == [(3,)]


def test_a_cancelled_job_is_claimed_by_nobody(scene: _Scene) -> None:
    for before in (2, 3, 4):
        scene.run("cancel", "claim many", before)
        rows = scene.found(f"SELECT state, cancel_requested, run FROM clx.jobs WHERE id = {Q}")
        assert rows in ([("cancelled", 0, 0)], [("running", 1, 1)])


def test_a_worker_that_was_struck_off_holds_nothing_whenever_it_claims(scene: _Scene) -> None:
    for before in (2, 3, 4):
        scene.run("claim", "rescue worker", before)
        assert scene.found("SELECT id FROM clx.jobs WHERE state = 'running' AND worker_id = 1") == []
        assert WorkerTable(scene.one.database).list()[0].id == 2
