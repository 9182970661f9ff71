"""What a day's jobs and versions tell of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from clx import Queue
from clx.daily import Flow, Step
from clx.daily.history import history_of, runs_of, steps_of
from clx.db.models import Job
from clx.db.workers import register_this_process

DAY = "2026-11-27"


def look(slm: int) -> int:
    return slm


def end(found: Any) -> None:
    pass


FLOW = Flow(
    "told", [Step("look", look, {"slm": "@each"}, each=[3, 10], max_runs=2), Step("end", end, {"found": "@look"})]
)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with Queue.open(tmp_path / "jobs.db") as found:
        yield found


@pytest.fixture
def run(queue: Queue) -> Job:
    """A day whose first model fails once, and whose second one works."""
    from clx import NewJob
    from clx.db.calls.models import Call

    queue.enqueue(NewJob("workflow:told", {"arguments": {"data_date": {"$date": DAY}}}, key=DAY))
    worker = register_this_process(queue.database, "t")
    (day,) = queue.claim(["workflow:told"], worker=worker)
    calls = [
        Call(f"c{slm}", 0, NewJob("task:told.look:1.0.0", {"arguments": {"slm": slm}}, max_runs=2), False, None)
        for slm in (10, 3)
    ]
    queue.calls.enter((day.id, day.run), calls)
    for _ in range(2):
        (job,) = queue.claim(["task:told.look:1.0.0"], worker=worker, lease=10**8)
        if job.payload["arguments"]["slm"] == 10:
            queue.fail(job.id, job.run, {"type": "ValueError", "message": "no mind"}, retry=True, backoff=10**8)
    (found,) = runs_of(queue.database, "told", 10)
    return found


def test_steps_are_told_with_items_attempts_and_machines(queue: Queue, run: Job) -> None:
    found = steps_of(queue.database, FLOW, run)
    assert [(each.step, each.item, each.state, each.runs) for each in found] == [
        ("look", "3", "working", 1), ("look", "10", "queued", 1),
    ]  # fmt: skip
    assert all(each.host for each in found)


def test_what_happened_is_told_in_its_order_with_causes(queue: Queue, run: Job) -> None:
    found = history_of(queue.database, FLOW, run, [], date.fromisoformat(DAY).isoformat())
    assert [each.at for each in found] == sorted(each.at for each in found)
    assert ("failed", "look[10]", 1, "no mind") in [(each.what, each.name, each.run, each.why) for each in found]
    assert {each.what for each in found if each.name == "look[3]"} == {"asked", "begun"}
    assert found[0][1:3] == ("asked", "told")
