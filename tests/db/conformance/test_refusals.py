"""What no table can keep is refused by every one of them, in the same words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from clx.commands import told_elsewhere
from clx.db.jobs import NewJob, Queue
from clx.errors import ClxError

_TEXTS = ("a\0b", "\0", "\ud800", "a" * 5000, "", 5, b"b", None)
_NUMBERS = (-1, 0, 2**63 - 1, 2**63, 2**70, 1.5, "1", None, True)


def _enqueued(name: str, queue: Queue, value: Any) -> int:
    return queue.enqueue(NewJob("t", {}, **{name: value}))


def _claimed(queue: Queue) -> Any:
    queue.enqueue(NewJob("mine"))
    return queue.claim(["mine"])[0]


def _finished(queue: Queue, value: Any) -> Any:
    job = _claimed(queue)
    queue.finish(job.id, job.run, value)
    return queue.result(job.id, 0)


def _failed(queue: Queue, value: Any) -> Any:
    job = _claimed(queue)
    queue.fail(job.id, job.run, {"message": value})
    return queue.runs(job.id)[0]["error"]


def _released(queue: Queue, value: Any) -> None:
    job = _claimed(queue)
    queue.release(job.id, job.run, delay=value)


def _told(queue: Queue, value: Any) -> Any:
    job = _claimed(queue)
    queue.heartbeat(job.id, job.run, progress=value)
    return queue.get(job.id).progress  # type: ignore[union-attr]


_CALLS: dict[str, Callable[[Queue, Any], Any]] = {
    **{
        f"enqueue {name}": partial(_enqueued, name)
        for name in ("pool", "key", "limit", "needs", "priority", "max_runs", "not_before", "deadline", "timeout",
                     "delay", "expires", "expires_in", "unique_for")
    },
    "enqueue type": lambda queue, value: queue.enqueue(NewJob(value)),
    "enqueue payload": lambda queue, value: queue.get(queue.enqueue(NewJob("t", {"n": value, str(value): 1}))).payload,  # type: ignore[union-attr]
    "enqueue many": lambda queue, value: queue.enqueue_many([NewJob("t", key=value), NewJob("t", key="other")]),
    "enqueue unique": lambda queue, value: queue.enqueue(NewJob("t", key=value, unique_for=1000)),
    "enqueue batch": lambda queue, value: queue.enqueue_batch([NewJob("t")], NewJob("u"), name=value),
    "results": lambda queue, value: queue.results([value]),
    "results of type": lambda queue, value: queue.results(["k"], type=value),
    "claim": lambda queue, value: queue.claim([value]),
    "claim pool": lambda queue, value: queue.claim(["t"], pool=value),
    "claim n": lambda queue, value: len(queue.claim(["t"], value)),
    "claim lease": lambda queue, value: len(queue.claim(["t"], lease=value)),
    "search type": lambda queue, value: queue.search(type=value),
    "search pool": lambda queue, value: queue.search(pool=value),
    "search key": lambda queue, value: queue.search(key=value),
    "search state": lambda queue, value: queue.search(state=value),
    "search limit": lambda queue, value: queue.search(limit=value),
    "search before": lambda queue, value: queue.search(before=value),
    "search batch": lambda queue, value: queue.search(batch=value),
    "get": lambda queue, value: queue.get(value),
    "get_many": lambda queue, value: queue.get_many([value]),
    "cancel": lambda queue, value: list(queue.cancel([value])),
    "retry": lambda queue, value: queue.retry([value]),
    "runs": lambda queue, value: queue.runs(value),
    "needs": lambda queue, value: queue.needs(value),
    "pause": lambda queue, value: queue.pause(value),
    "pause pool": lambda queue, value: queue.pause("t", value),
    "resume": lambda queue, value: queue.resume(value),
    "set_limit": lambda queue, value: queue.set_limit(value, concurrency=1),
    "set_limit concurrency": lambda queue, value: queue.set_limit("n", concurrency=value),
    "set_limit rate": lambda queue, value: queue.set_limit("n", rate=value, per=1000),
    "set_limit per": lambda queue, value: queue.set_limit("n", rate=1, per=value),
    "finish": _finished,
    "fail": _failed,
    "finish id": lambda queue, value: queue.finish(value, 1),
    "finish run": lambda queue, value: queue.finish(1, value),
    "heartbeat id": lambda queue, value: queue.heartbeat(value, 1),
    "release delay": _released,
    "progress": _told,
    "schedule": lambda queue, value: queue.schedules.get(value),
    "schedule fires": lambda queue, value: queue.schedules.fires(value),
}  # fmt: skip
_TELLS = {"enqueue payload", "finish", "fail", "progress"}
"""Of these, what was kept is compared, too."""


@pytest.fixture
def memory() -> Iterator[Queue]:
    """The one that others are held to."""
    with Queue.open("memory:") as queue:
        yield queue


def _outcome(queue: Queue, name: str, value: Any) -> Any:
    try:
        found = _CALLS[name](queue, value)
    except ClxError as error:
        return type(error).__name__, told_elsewhere(error.fact), told_elsewhere(error.next_step)
    return repr(found) if name in _TELLS else "taken"


@pytest.mark.parametrize("name", _CALLS)
def test_what_one_refuses_all_refuse(queue: Queue, memory: Queue, name: str) -> None:
    differ = {}
    for value in (*_TEXTS, *_NUMBERS):
        here, there = (_outcome(each, name, value) for each in (queue, memory))
        if here != there:
            differ[repr(value)[:30]] = (here, there)
    assert not differ, "".join(f"\n{value}\n  {here}\n  {there}" for value, (here, there) in differ.items())
