"""What became of each day, by the newest run of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from clx import NewJob, Queue
from clx.daily import Flow, Step
from clx.daily.days import DayRow, Late, days_of, flows_of, late


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with Queue.open(tmp_path / "jobs.db") as found:
        yield found


def ran(queue: Queue, day: str, value: Any = None, error: Any = None) -> int:
    job = queue.enqueue(NewJob("workflow:lab", {"arguments": {"data_date": {"$date": day}}}, key=day))
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
    queue.enqueue(NewJob("workflow:lab", {"arguments": {}, "schedule": {"data_date": "2026-11-28"}}, key="2026-11-28"))
    queue.enqueue(NewJob("workflow:lab", {"arguments": {"odd": 1}}, key="2026-11-29"))
    queue.enqueue(NewJob("workflow:other", {"arguments": {"data_date": "2026-11-30"}}, key="2026-11-30"))
    found = days_of(queue.database, "lab")
    assert [(each.day, each.state) for each in found] == [
        ("2026-11-28", "queued"), ("2026-11-27", "done"), ("2026-11-26", "done"), ("2026-11-25", "partial"),
    ]  # fmt: skip
    assert (found[1].job, found[3].said) == (again, "infer: 3")
    assert days_of(queue.database, "lab", "2026-11-26", "2026-11-27") == found[1:3]
    every = flows_of(queue.database, "2026-11-27")
    assert (list(every), every["lab"]) == (["lab", "other"], found[:2])


def test_why_a_day_failed(queue: Queue) -> None:
    ran(queue, "2026-11-27", error={"type": "ValueError", "message": "bad"})
    (found,) = days_of(queue.database, "lab")
    assert (found.state, found.said) == ("failed", "ValueError: bad")


def test_a_day_is_late_when_its_time_is_over_in_its_zone() -> None:
    flow = Flow("fresh", [Step("one", lambda: 1)], zone="Europe/Berlin", by="09:00")

    def at(hour: int, minute: int, *days: tuple[str, str]) -> Late | None:
        found = [DayRow(day, state, 1, None, {}, {}) for day, state in days]
        return late(flow, found, datetime(2026, 11, 27, hour, minute, tzinfo=UTC))

    assert at(7, 59) is None  # never run before
    assert at(8, 0) == ("2026-11-27", "")
    assert at(8, 0, ("2026-11-27", "running")) == ("2026-11-27", "running")
    assert at(8, 0, ("2026-11-27", "partial"), ("2026-11-26", "failed")) is None
    assert at(7, 59, ("2026-11-26", "done")) is None
    assert at(7, 59, ("2026-11-27", "done"), ("2026-11-25", "done")) == ("2026-11-26", "")
    assert at(23, 30, ("2026-11-27", "done")) is None  # the 28th there, whose time is not over
    flow.by = None
    assert at(23, 0) is None


def test_the_night_that_the_clock_is_set_back() -> None:
    """02:30 comes twice; the first one counts."""
    flow = Flow("night", [Step("one", lambda: 1)], zone="Europe/Berlin", by="02:30")
    found = [DayRow("2026-10-24", "done", 1, None, {}, {})]
    assert late(flow, found, datetime(2026, 10, 25, 0, 29, tzinfo=UTC)) is None
    assert late(flow, found, datetime(2026, 10, 25, 0, 30, tzinfo=UTC)) == ("2026-10-25", "")
    assert late(flow, found, datetime(2026, 10, 25, 1, 10, tzinfo=UTC)) == ("2026-10-25", "")
