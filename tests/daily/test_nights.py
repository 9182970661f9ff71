"""Days by the clock of their zone: nights of 23 and 25 hours, days over midnight, days that nobody worked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from tests.support.clock import SetClock

from clx import Queue
from clx.artifacts.store import ArtifactStore
from clx.daily import Flow, Step
from clx.daily.backfill import Backfill
from clx.daily.days import days_of
from clx.daily.registering import workflow_of
from clx.db.models import Job
from clx.routines.announcing import announce

BERLIN = ZoneInfo("Europe/Berlin")
HALF = timedelta(minutes=30)


def on_the_clock(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


class Table:
    """A table whose clock is set, with one flow's schedule in it."""

    def __init__(self, queue: Queue, at: str, begins: str) -> None:
        self.queue = queue
        self.flow = Flow("nights", [Step("one", lambda: 1)], zone="Europe/Berlin", at=at)
        self.set(begins)
        announce(queue, [workflow_of("nights")], "")

    def set(self, at: str | datetime) -> None:
        moment = on_the_clock(at) if isinstance(at, str) else at
        self.queue.database.clock = SetClock(round(moment.timestamp() * 1000))
        self.queue.schedules.fire_due()

    def jobs(self) -> list[Job]:
        return self.queue.search(type="workflow:nights", limit=1000)[::-1]

    def keys(self) -> list[str | None]:
        return [each.key for each in self.jobs()]

    def claim(self) -> Job | None:
        found = self.queue.claim(["workflow:nights"], 1)
        return found[0] if found else None

    def finish(self, job: Job) -> None:
        self.queue.finish(job.id, job.run, {"value": {"missing": {}, "errors": {}}})


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with Queue.open(tmp_path / "jobs.db") as found:
        yield found


@pytest.mark.parametrize(
    ("begins", "days", "begun"),
    [
        (
            "2026-03-27T12:00",
            ["2026-03-28", "2026-03-29", "2026-03-30"],
            ["01:30", "01:00", "00:30"],
        ),  # 2:30 is no time
        ("2026-10-23T12:00", ["2026-10-24", "2026-10-25", "2026-10-26"], ["00:30", "00:30", "01:30"]),  # 2:30 is twice
    ],
)
def test_each_day_has_one_run_in_a_night_of_23_and_of_25_hours(
    queue: Queue, begins: str, days: list[str], begun: list[str]
) -> None:
    """Looked at each half hour that passes; what was due is begun at once, at *begun* of UTC."""
    table = Table(queue, "02:30", begins)
    moment, found = on_the_clock(begins), []
    while moment < on_the_clock(f"{days[-1]}T12:00"):
        table.set(moment)
        while (job := table.claim()) is not None:
            found.append((job.key, f"{moment:%H:%M}"))
            table.finish(job)
        moment += HALF
    assert found == list(zip(days, begun, strict=True))
    assert [(each.day, each.state) for each in days_of(queue.database, "nights")] == [
        (day, "done") for day in days[::-1]
    ]


def test_a_run_over_midnight_is_of_the_day_it_was_due(queue: Queue) -> None:
    table = Table(queue, "23:30", "2026-11-27T12:00")
    table.set("2026-11-27T23:30")
    job = table.claim()
    assert job is not None
    for later in ("2026-11-28T00:00", "2026-11-28T06:00"):
        table.set(later)
        assert table.keys() == ["2026-11-27"]
    table.finish(job)
    table.set("2026-11-28T23:30")
    assert table.keys() == ["2026-11-27", "2026-11-28"]


def test_a_run_by_hand_before_it_is_due_is_the_run_of_that_day(queue: Queue, tmp_path: Path) -> None:
    table = Table(queue, "06:00", "2026-11-26T12:00")
    table.set("2026-11-27T05:00")
    asked = Backfill(queue, "nights", [date(2026, 11, 27)])
    (entered,) = asked.enter(ArtifactStore(tmp_path / "artifacts"), "")
    job = table.claim()
    assert job is not None
    table.set("2026-11-27T06:00")
    assert [each.id for each in table.jobs()] == [entered.job] == [job.id]
    table.finish(job)
    table.set("2026-11-27T23:59")
    assert table.keys() == ["2026-11-27"]


def test_days_that_nobody_worked_are_done_in_order_each_once(queue: Queue) -> None:
    table = Table(queue, "06:00", "2026-11-23T12:00")
    found = []
    for _ in range(20):
        table.set("2026-11-27T12:00")
        if (job := table.claim()) is not None:
            found.append(job.key)
            assert table.claim() is None, "one at a time, in order"
            table.finish(job)
    assert found == ["2026-11-24", "2026-11-25", "2026-11-26", "2026-11-27"]
