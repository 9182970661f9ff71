"""Two connections at once, each step of one held up before every statement of it, while another does its own.

Whatever came of it must be what some order of the two, one after the other, leaves: the rules of the table hold,
nothing is done twice or by nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.clock import at
from tests.support.interleaving import Scene, in_any_order

from clx.db.batches import BatchTable
from clx.db.check import check
from clx.db.jobs import NewJob, Queue, Success
from clx.db.workers import WorkerTable, register_this_process

A1, A2, D, Q, X, Y = range(1, 7)
"""Two of a batch with a callback, which run; one that needs both; one that two other batches want; two with keys."""
B, C = 2, 3
"""The batches that want Q."""

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


@pytest.fixture
def scene(postgresql: str) -> Iterator[Scene]:
    with Scene(postgresql, _STEPS, _prepare) as found:
        yield found


_CIRCLE = """
WITH RECURSIVE way (first, id) AS (SELECT job_id, needs_id FROM clx.dependencies
  UNION SELECT way.first, d.needs_id FROM way JOIN clx.dependencies d ON d.job_id = way.id)
SELECT first FROM way WHERE first = id"""


def _wrong(scene: Scene) -> list[str]:
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
def test_any_two_steps_in_any_order(scene: Scene, first: str) -> None:
    in_any_order(scene, _STEPS, first, lambda _second: _wrong(scene), share=3)


def test_one_key_is_taken_once(scene: Scene) -> None:
    for before in (2, 3, 4):
        scene.run("new key", "new key", before)
        assert scene.found("SELECT count(*) FROM clx.jobs WHERE key = 'new'") == [(1,)]


def test_of_two_halves_of_a_circle_one_is_refused(scene: Scene) -> None:
    for before in (2, 3, 4, 5, 6):
        told, _ = scene.run("x needs y", "y needs x", before)
        assert sorted(told) == ["QueueError", "done"], before


def test_what_two_ends_let_go_is_let_go_once_both_are_over(scene: Scene) -> None:
    for before in (2, 3, 4, 5, 6):
        scene.run("finish a1", "finish a2", before)
        assert scene.found(f"SELECT state, waits_for, ready FROM clx.jobs WHERE id = {D}") == [("queued", 0, 1)]


def test_two_that_claim_at_once_get_different_jobs(scene: Scene) -> None:
    for before in (2, 3, 4):
        scene.run("claim", "claim", before)
        assert scene.found("SELECT count(*) FROM clx.jobs WHERE state = 'running' AND worker_id = 1") == [(3,)]


def test_a_cancelled_job_is_claimed_by_nobody(scene: Scene) -> None:
    for before in (2, 3, 4):
        scene.run("cancel", "claim many", before)
        rows = scene.found(f"SELECT state, cancel_requested, run FROM clx.jobs WHERE id = {Q}")
        assert rows in ([("cancelled", 0, 0)], [("running", 1, 1)])


def test_a_worker_that_was_struck_off_holds_nothing_whenever_it_claims(scene: Scene) -> None:
    for before in (2, 3, 4):
        scene.run("claim", "rescue worker", before)
        assert scene.found("SELECT id FROM clx.jobs WHERE state = 'running' AND worker_id = 1") == []
        assert WorkerTable(scene.one.database).list()[0].id == 2
