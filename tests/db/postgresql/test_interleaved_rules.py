"""Limits, what expires, is unique for a time or paused, and schedules: whoever comes between two statements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.clock import SetClock, at, during
from tests.support.interleaving import Scene, in_any_order

from clx.db.check import check
from clx.db.jobs import NewJob, Queue, Success
from clx.db.schedules.models import Schedule
from clx.db.schedules.sweep import Sweep
from clx.db.workers import end_worker, register_this_process

L1, L2, L3, R1, R2, E, D, ONCE, P, X = range(1, 11)
"""L1 to L3 count to a limit on those that run: one does, two are held. R1 and R2 count to one on those that begin: one
has, one is held. E expires, D needs it; ONCE was unique for a time that is over; P is paused; X was cancelled."""
NOW = 60_050
_ALL = ["l", "r", "e", "t", "once", "p", "cron"]


def _now(call: Callable[[Queue], Any]) -> Callable[[Queue], Any]:
    return lambda queue: during(queue.database, SetClock(NOW), lambda: call(queue))


def _put_in_within(queue: Queue) -> None:
    raw = queue.database.connection().raw
    with raw.transaction():
        within = queue.within(raw)
        within.enqueue(NewJob("once", key="o", unique_for=1000))
        within.enqueue(NewJob("l", limit="c", priority=5))
    within.ring()


def _struck_off(tx: Any) -> None:
    end_worker(tx, 1, "gone", dead=True)


_STEPS: dict[str, Callable[[Queue], Any]] = {
    name: _now(call)
    for name, call in {
        "finish l1": lambda queue: queue.finish(L1, 1),
        "fail l1 again": lambda queue: queue.fail(L1, 1, {"message": "no"}, retry=True, backoff=0),
        "release l1 for later": lambda queue: queue.release(L1, 1, delay=40),
        "settle and claim": lambda queue: queue.settle([Success(R1, 1), Success(L1, 1)], ["l", "r"], 2, worker=1),
        "claim l": lambda queue: queue.claim(["l"], 3, worker=1),
        "claim all": lambda queue: queue.claim(_ALL, 20, worker=2),
        "limit": lambda queue: queue.set_limit("c", concurrency=2),
        "no limit": lambda queue: queue.set_limit("c"),
        "rescue": lambda queue: queue.rescue(),
        "rescue worker": lambda queue: queue.rescue_worker(
            1, {"kind": "gone"}, end=_struck_off
        ),
        "cancel": lambda queue: queue.cancel([L1, L2, E, P]),
        "retry": lambda queue: queue.retry([X]),
        "pause": lambda queue: queue.pause("l"),
        "resume": lambda queue: queue.resume("p"),
        "put in": lambda queue: queue.enqueue_many([NewJob("l", limit="c", priority=5), NewJob("t", needs=[E])]),
        "replace": lambda queue: queue.enqueue(NewJob("l", key="l2"), on_conflict="replace"),
        "want": lambda queue: queue.enqueue(NewJob("l", key="l2")),
        "once": lambda queue: queue.enqueue(NewJob("once", key="o", unique_for=1000)),
        "within": _put_in_within,
        "fire": lambda queue: Sweep(queue.database).fire_due(),
        "run schedule": lambda queue: queue.schedules.run("s"),
        "pause schedule": lambda queue: queue.schedules.pause("s"),
        "remove schedule": lambda queue: queue.schedules.remove("s"),
    }.items()
}  # fmt: skip
_FIRST = [name for name in _STEPS if name != "within"]
"""Those that can be held up: what another's transaction does is its own."""


def _prepare(queue: Queue) -> None:
    for _ in range(2):
        register_this_process(queue.database, "t")
    start = at(queue, 1)
    start.set_limit("c", concurrency=1)
    start.set_limit("r", rate=1, per=60_020)
    start.enqueue_many([NewJob("l", limit="c"), NewJob("l", key="l2", limit="c"), NewJob("l", limit="c")])
    start.enqueue_many([NewJob("r", limit="r"), NewJob("r", limit="r")])
    for type_ in "lr":
        assert len(start.claim([type_], 3, worker=1, lease=10**6)) == 1
    assert [row["held"] for row in queue.sql("SELECT held FROM jobs ORDER BY id")] == [0, 1, 1, 0, 1]
    start.enqueue(NewJob("e", key="e", expires_in=40))
    start.enqueue(NewJob("t", needs=[E]))
    start.enqueue(NewJob("once", key="o", unique_for=1000))
    start.finish(start.claim(["once"])[0].id, 1)
    start.enqueue(NewJob("p"))
    start.pause("p")
    start.cancel([start.enqueue(NewJob("l", limit="c"))])
    during(queue.database, SetClock(1), lambda: queue.schedules.add(Schedule("s", "* * * * *", NewJob("cron"))))


@pytest.fixture
def scene(postgresql: str) -> Iterator[Scene]:
    with Scene(postgresql, _STEPS, _prepare) as found:
        yield found


def _wrong(scene: Scene, steps: tuple[str, str]) -> list[str]:
    """What is not as any order of two steps would leave it."""
    problems = check(scene.one.database)
    states = dict(scene.found("SELECT id, state FROM clx.jobs"))
    running = "SELECT count(*) FROM clx.jobs WHERE state = 'running' AND limit_name = 'c'"
    if scene.found(f"SELECT 1 FROM clx.limits WHERE name = 'c' AND concurrency < ({running})"):
        problems.append("more run than the limit allows")
    begun = "SELECT count(*) FROM clx.jobs WHERE limit_name = 'r' AND started_at > 60021 AND state <> 'queued'"
    if scene.found(begun) > [(1,)]:
        problems.append("more have begun than the limit allows")
    if states[E] not in {"queued", "cancelled"}:
        problems.append(f"what has expired is {states[E]}")
    once = scene.found(f"SELECT id FROM clx.jobs WHERE type = 'once' AND id <> {ONCE}")
    if len(once) > 1 or ({"once", "within"} & {*steps} and scene.found("SELECT job_id FROM clx.recent_keys") != once):
        problems.append(f"unique for a time: {once}")
    if states[P] == "running" and "resume" not in steps:
        problems.append("a paused job runs")
    fired = scene.found("SELECT job_id FROM clx.fires WHERE outcome = 'queued' ORDER BY 1")
    if "remove schedule" not in steps and fired != scene.found(
        "SELECT id FROM clx.jobs WHERE type = 'cron' ORDER BY 1"
    ):
        problems.append(f"fires have queued {fired}")
    if scene.found("SELECT 1 FROM clx.workers w JOIN clx.jobs j ON j.worker_id = w.id "
                   "WHERE w.ended_at > 0 AND j.state = 'running'"):  # fmt: skip
        problems.append("a job is held by a worker that was struck off")
    return problems + _held_for_nothing(scene)


def _held_for_nothing(scene: Scene) -> list[str]:
    """What a limit holds back though there is room, after a look of somebody who sweeps."""
    _now(Queue.rescue)(scene.one)
    return [
        f"{name}: {held} are held and {ready} can be claimed, though {running} run"
        for name, held, ready, running, most in scene.found(
            "SELECT limit_name, count(*) FILTER (WHERE held = 1 AND state = 'queued' "
            "AND type NOT IN (SELECT type FROM clx.paused)), "  # a place goes to nobody who may not begin
            "count(*) FILTER (WHERE ready = 1 AND state = 'queued'), count(*) FILTER (WHERE state = 'running'), "
            "(SELECT concurrency FROM clx.limits WHERE name = limit_name) FROM clx.jobs "
            "WHERE limit_name = 'c' GROUP BY limit_name"
        )
        if held and (most is None or ready < most - running)
    ]


@pytest.mark.parametrize("first", _FIRST)
def test_any_two_steps_in_any_order(scene: Scene, first: str) -> None:
    in_any_order(scene, _STEPS, first, lambda second: _wrong(scene, (first, second)), share=4)


def test_a_limit_that_goes_keeps_nothing_back_that_somebody_else_was_about_to_change(scene: Scene) -> None:
    for before in (2, 3, 4):
        assert scene.run("want", "no limit", before)[1]
        assert _wrong(scene, ("want", "no limit")) == []
        assert scene.found("SELECT name FROM clx.limits") == [("r",)]
