"""What became of each day, by the newest run of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clx import NewJob, Queue
from clx.daily.days import days_of


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with Queue.open(tmp_path / "jobs.db") as found:
        yield found


def ran(queue: Queue, day: str, value: Any = None, error: Any = None) -> int:
    job = queue.enqueue(NewJob("workflow:lab", {"arguments": {"data_date": {"$date": day}}}))
    (claimed,) = queue.claim(["workflow:lab"], 1)
    if error is not None:
        queue.fail(claimed.id, claimed.run, error)
    else:
        queue.finish(claimed.id, claimed.run, {"value": value})
    return job


def test_each_day_by_its_newest_run(queue: Queue) -> None:
    ran(queue, "2026-11-26", {"missing": {}, "errors": {}})
    ran(queue, "2026-11-27", error={"type": "ValueError", "message": "bad"})
    ran(queue, "2026-11-25", {"missing": {"infer": [3]}, "errors": {"infer[3]": "ValueError: bad"}})
    again = ran(queue, "2026-11-27", {"missing": {}, "errors": {}})
    queue.enqueue(NewJob("workflow:lab", {"arguments": {}, "schedule": {"data_date": "2026-11-28"}}))
    queue.enqueue(NewJob("workflow:lab", {"arguments": {"odd": 1}}))
    queue.enqueue(NewJob("workflow:other", {"arguments": {"data_date": "2026-11-30"}}))
    found = days_of(queue.database, "lab")
    assert [(each.day, each.state) for each in found] == [
        ("2026-11-28", "queued"), ("2026-11-27", "done"), ("2026-11-26", "done"), ("2026-11-25", "partial"),
    ]  # fmt: skip
    assert (found[1].job, found[3].said) == (again, "infer: 3")


def test_why_a_day_failed(queue: Queue) -> None:
    ran(queue, "2026-11-27", error={"type": "ValueError", "message": "bad"})
    (found,) = days_of(queue.database, "lab")
    assert (found.state, found.said) == ("failed", "ValueError: bad")
