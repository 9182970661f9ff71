"""What a schedule may be, and what the job of each of its times is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.db.schedules.conftest import ms

from clx import NewJob, QueueError, Schedule
from clx.db.schedules.models import schedule_from_row
from clx.errors import OddRowError

JOB = NewJob("report", {"to": "me"})


def test_the_job_is_told_its_time_and_its_date_on_the_clock_of_the_zone() -> None:
    schedule = Schedule("nightly", "30 0 * * *", JOB, zone="Europe/Berlin")
    job = schedule.job_at(ms("2026-11-25T00:30"))
    assert job.payload == {
        "to": "me",
        "schedule": {"name": "nightly", "fire_at": "2026-11-25T00:30:00+01:00", "data_date": "2026-11-25"},
    }
    assert JOB.payload == {"to": "me"}


def test_a_key_may_hold_the_time() -> None:
    schedule = Schedule("n", "@daily", NewJob("t", key="day {data_date} {x}"), zone="Europe/Berlin")
    assert schedule.job_at(ms("2026-11-25T00:00")).key == "day 2026-11-25 {x}"
    schedule = Schedule("n", "@daily", NewJob("t", key="{fire_at}"))
    assert schedule.job_at(1500).key == "1970-01-01T00:00:01.500+00:00"


def test_times_are_taken_as_everywhere() -> None:
    schedule = Schedule("n", "@daily", JOB, window=timedelta(days=1), ends_at=datetime(2026, 12, 1, tzinfo=UTC))
    assert (schedule.window, schedule.ends_at) == (86_400_000, ms("2026-12-01", "UTC"))
    assert [*schedule.fires_after(ms("2026-11-29", "UTC"))] == [ms("2026-11-30", "UTC"), ms("2026-12-01", "UTC")]
    assert schedule.next_after(ms("2026-12-01", "UTC")) is None


def test_how_overlap_goes_with_catch_up() -> None:
    assert Schedule("n", "@daily", JOB).overlap == "skip"
    assert Schedule("n", "@daily", JOB, catch_up="all").overlap == "queue"
    assert Schedule("n", "@daily", JOB, overlap="cancel").catch_up == "last"


@pytest.mark.parametrize(
    ("values", "fact", "step"),
    [
        ({"name": ""}, "cannot be called ''", "letters"),
        ({"name": "-x"}, "cannot be called", "hyphen"),
        ({"name": "a b"}, "cannot be called", "letters"),
        ({"name": "x" * 101}, "cannot be called", "100"),
        ({"name": 7}, "cannot be called 7", "letters"),
        ({"overlap": "quue"}, "overlap cannot be 'quue'", 'Did you mean "queue"'),
        ({"catch_up": "lst"}, "catch_up cannot be 'lst'", 'Did you mean "last"'),
        ({"catch_up": "all", "overlap": "skip"}, "do not go together", "Choose overlap queue"),
        ({"catch_up": "all", "overlap": "cancel"}, "do not go together", "Choose overlap queue"),
        ({"catch_up": "none", "overlap": "queue"}, "do not go together", "Choose overlap skip"),
        ({"window": -1}, "caught up for -1", "timedelta"),
        ({"window": 1.5}, "caught up for 1.5", "timedelta"),
        ({"ends_at": "soon"}, "cannot end at 'soon'", "milliseconds"),
        ({"ends_at": datetime(2026, 1, 1)}, "ends_at", "zone"),  # noqa: DTZ001
        ({"job": "report"}, "queues a NewJob", "NewJob("),
        ({"job": NewJob("t", needs=[1])}, "cannot have needs", "It may have type"),
        ({"job": NewJob("t", not_before=timedelta(hours=1))}, "cannot have not_before", "It may have"),
        ({"job": NewJob("t", {"schedule": 1})}, 'no "schedule" of its own', "call yours else"),
        ({"job": NewJob("t", {"x": float("nan")})}, "JSON cannot say", "finite"),
        ({"zone": "Europe/Berlni"}, "no time zone", "Europe/Berlin"),
        ({"cron": "0 6 * *"}, "4 fields", "minute, hour"),
    ],
)
def test_what_cannot_be_is_refused_in_words(values: dict[str, Any], fact: str, step: str) -> None:
    with pytest.raises(QueueError) as raised:
        Schedule(**{"name": "n", "cron": "@daily", "job": JOB, **values})
    assert fact in raised.value.fact
    assert step in raised.value.next_step


def test_a_row_becomes_what_it_was_made_of() -> None:
    given = Schedule(
        "n", "0 6 * * *", NewJob("t", {"ä": [1]}, pool="p", key="k", priority=5, max_runs=1, timeout=7),
        zone="Asia/Tokyo",
        catch_up="all", window=5, ends_at=10**13, paused=True,
    )  # fmt: skip
    assert schedule_from_row((*given.row(), 1, 42, 41)) == given
    assert schedule_from_row((*given.row(), 1, 42, 41)).next_at == 42


@pytest.mark.parametrize(
    ("column", "value"), [(1, "nonsense"), (2, "Nowhere"), (3, "{"), (3, "[]"), (3, '{"x":1}'), (4, "often"), (6, "x")]
)
def test_a_row_that_another_program_wrote_is_told(column: int, value: str) -> None:
    row = [*Schedule("n", "@daily", JOB).row(), 0, 42, 41]
    row[column] = value
    with pytest.raises(OddRowError, match='The schedule "n" cannot be used'):
        schedule_from_row(row)
