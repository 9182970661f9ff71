"""What is counted costs a part of the time, whoever asks; and how values are told."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from clx.db.browsing import Called
from clx.db.jobs import Queue
from clx.db.models import NewJob, Success, Unreadable
from clx.db.workers import register_this_process
from clx.server.views.board import Board, Counted
from clx.server.views.graph import drawn
from clx.server.views.telling import (
    as_json,
    in_path,
    in_short,
    length,
    machine_time,
    milliseconds,
    moment,
    number,
    size,
    type_address,
    work_address,
)


def test_what_takes_long_is_counted_beside_and_seldom() -> None:
    go_on, counted = threading.Event(), threading.Event()
    calls = []

    def slowly() -> int:
        calls.append(1)
        go_on.wait(60)
        counted.set()
        return len(calls)

    value = Counted(slowly, 0.0)
    assert [value.get(is_short=lambda: False) for _ in range(3)] == [None] * 3
    go_on.set()
    assert counted.wait(60)
    found = None
    while found is None:
        found = value.get(is_short=lambda: False)
    assert (found, len(calls)) == (1, 1)


def test_what_is_short_is_counted_at_once_and_holds_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    calls: list[int] = []
    value = Counted(lambda: calls.append(1) or len(calls), 1.0)  # type: ignore[func-returns-value]
    assert [value.get(is_short=lambda: True) for _ in range(3)] == [1, 1, 1]
    now = 1.5
    assert value.get(is_short=lambda: True) == 2


def test_the_last_hour_by_type(queue: Queue) -> None:
    register_this_process(queue.database, "t")
    queue.enqueue_many([NewJob("t") for _ in range(3)])
    for job in queue.claim(["t"], 2):
        queue.settle([Success(job.id, job.run, None)], [], 0)
    found = Board(queue)
    assert found.counts() == {"t": {"succeeded": 2, "queued": 1}}
    pace = (found.paces() or {})["t"]
    assert (pace.done, pace.failed, sum(pace.bars)) == (2, 0, 2)
    assert pace.waited is not None


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (length(12), "12 ms"), (length(3400), "3.4 s"), (length(303_000), "5 min 3 s"),
        (length(7_500_000), "2 h 5 min"),
        (length(3600_000), "1 h"), (length(None), ""), (number(1234567), "1\u202f234\u202f567"), (size(512), "512 B"),
        (size(3.5 * 1024 * 1024), "3.5 MiB"), (moment(0), "1970-01-01 00:00:00 UTC"), (moment(None), ""),
        (moment(10**30), ""), (machine_time(1), "1970-01-01T00:00:00.001+00:00"), (as_json(Unreadable("{x")), "{x"),
        (in_short({"type": "E", "message": "one\ntwo"}), "E: one"), (in_short({"kind": "silent"}), "silent"),
        (in_short(None), ""), (type_address("a b"), "/jobs?type=a%20b"),
        (type_address("work:a b"), "/works?pipeline=a%20b"), (work_address("6b0d-x_1"), "/works/6b0d-x_1"),
        (work_address("file"), "/works/one?id=file"), (work_address("a/b"), "/works/one?id=a%2Fb"),
        (str(milliseconds(1.5)), "1500"), (str(milliseconds("x")), "None"), (str(milliseconds(1e300)), "None"),
        (in_path("a b/ä\ud800"), "a%20b%2F%C3%A4%3F"),
    ],
)  # fmt: skip
def test_values_are_told(told: str, text: str) -> None:
    assert told == text


def test_long_values_are_cut() -> None:
    assert len(as_json("x" * 300_000)) < 101_000
    assert len(in_short({"message": "x" * 999})) == 200


def _call(parent: int, job_id: int | None, type_: str = "task:t:1", **more: Any) -> Called:
    told: dict[str, Any] = {"state": "queued", "run": 0, "started_at": None, "finished_at": None, **more}
    return Called(parent, "n", 0, type_, job_id, **told)


def test_a_graph_has_each_job_once_and_overlaps_nowhere(queue: Queue) -> None:
    root = queue.get(queue.enqueue(NewJob("workflow:w")))
    assert root is not None
    calls = [
        _call(1, 2, "workflow:a"), _call(2, 3), _call(2, 4), _call(1, 5, "workflow:b"), _call(5, 3), _call(5, 6),
        _call(1, None, state=None), _call(1, 8, state=None), _call(6, 1),
    ]  # fmt: skip
    graph = drawn(root, calls)
    assert [box.job_id for box in graph.boxes] == [1, 2, 3, 4, 5, 6, None, 8]
    assert [box.state for box in graph.boxes][-2:] == ["kept", "gone"]
    places = {(box.x, box.y) for box in graph.boxes}
    assert len(places) == len(graph.boxes)
    assert len(graph.lines) == len(calls)
    deep = drawn(root, [_call(n, n + 1) for n in range(1, 3000)])
    assert len(deep.boxes) == 3000
