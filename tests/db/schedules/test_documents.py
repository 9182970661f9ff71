"""What programs are told of a schedule: moments also by the clock of its zone, and of its job what is not usual."""

from __future__ import annotations

from clx.db.models import NewJob
from clx.db.schedules.documents import fire_document, schedule_document
from clx.db.schedules.models import Fire, Schedule

_AT = 1_795_669_200_000
"""2026-11-26, 6:00 in Berlin."""


def test_moments_are_told_with_the_offset_of_the_zone() -> None:
    schedule = Schedule("n", "0 6 * * *", NewJob("t"), zone="Europe/Berlin", next_at=_AT, created_at=5)
    told = schedule_document(schedule, Fire("n", _AT - 3_600_000, _AT, "skipped"))
    assert (told["next_at"], told["next"], told["created_at"]) == (_AT, "2026-11-26T06:00:00+01:00", 5)
    assert (told["last"]["at"], told["last"]["outcome"]) == ("2026-11-26T05:00:00+01:00", "skipped")
    assert schedule_document(Schedule("n", "@daily", NewJob("t")), None)["next"] is None
    assert fire_document(Fire("n", 0, 0, "queued", 7, "failed"), "UTC")["at"] == "1970-01-01T00:00:00+00:00"


def test_a_job_is_told_as_it_goes_in() -> None:
    job = NewJob("t", {"n": 1}, key="k", timeout=1500, limit="api")
    told = schedule_document(Schedule("n", "@daily", job), None)["job"]
    assert told == {
        "type": "t", "payload": {"n": 1}, "key": "k", "priority": 3, "max_runs": 3, "timeout": 1500, "limit": "api"
    }  # fmt: skip
    assert NewJob(**told) == job
