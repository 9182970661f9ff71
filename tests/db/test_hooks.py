"""Hooks are told of every job, and harm none."""

from __future__ import annotations

from typing import Any

import pytest

from clx.db.consumer import Consumer
from clx.db.hooks import Hooks
from clx.db.jobs import Job, NewJob, Queue
from clx.errors import Cancelled, Discard


class _Noted(Hooks):
    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def on_start(self, job: Job) -> None:
        self.told.append(("start", job.type))

    def on_success(self, job: Job, result: Any) -> None:
        self.told.append(("success", job.type, result))

    def on_failure(self, job: Job, error: BaseException, *, retried_in: float | None) -> None:
        self.told.append(("failure", job.type, str(error), retried_in))

    def on_cancelled(self, job: Job) -> None:
        self.told.append(("cancelled", job.type))


def _raise(error: BaseException) -> Any:
    raise error


_HANDLERS = {
    "good": lambda _job: 7,
    "bad": lambda _job: _raise(Discard("no")),
    "unwanted": lambda _job: _raise(Cancelled()),
}


def test_each_end_is_told(queue: Queue) -> None:
    hooks = _Noted()
    for type_ in _HANDLERS:
        queue.enqueue(NewJob(type_))

    Consumer(queue, _HANDLERS, hooks=hooks).run(until_idle=True)

    assert hooks.told == [
        ("start", "good"),
        ("success", "good", 7),
        ("start", "bad"),
        ("failure", "bad", "no", None),
        ("start", "unwanted"),
        ("cancelled", "unwanted"),
    ]


def test_a_failure_says_when_it_is_tried_again(queue: Queue) -> None:
    hooks = _Noted()
    queue.enqueue(NewJob("t", max_runs=2))

    Consumer(queue, {"t": lambda _job: _raise(ValueError("no"))}, hooks=hooks).run(until_done=True)

    (_, first, _, last) = hooks.told
    assert 0 < first[3] < 1
    assert last[3] is None


class _Broken(Hooks):
    def on_start(self, job: Job) -> None:
        raise SystemExit(1)

    def on_success(self, job: Job, result: Any) -> None:
        raise ValueError("broken hook")

    def on_failure(self, job: Job, error: BaseException, *, retried_in: float | None) -> None:
        raise ValueError("broken hook")

    on_cancelled = on_start


def test_what_a_hook_raises_is_logged_and_harms_no_job(queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    ids = [queue.enqueue(NewJob(type_)) for type_ in _HANDLERS]

    assert Consumer(queue, _HANDLERS, hooks=_Broken()).run(until_idle=True) == 3

    assert [job.state for job in queue.get_many(ids)] == ["succeeded", "failed", "cancelled"]
    assert queue.result(ids[0]) == 7
    assert "the hook on_success failed at job 1 (good)" in caplog.text


def test_who_overrides_nothing_is_told_nothing(queue: Queue) -> None:
    for type_ in _HANDLERS:
        queue.enqueue(NewJob(type_))

    assert Consumer(queue, _HANDLERS, hooks=Hooks()).run(until_idle=True) == 3
