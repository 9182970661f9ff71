"""A schedule and its fires as programs are told of them: one form, on the command line and over HTTP.

Times are milliseconds UTC and durations milliseconds, as in Python; ``next`` and ``at`` say a moment by the clock of
the schedule's zone, with its offset (RFC 3339).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from clx.db.models import NewJob
from clx.db.schedules.cron import zone_of
from clx.db.schedules.models import JOB_OF_SCHEDULE, Fire, Schedule

_ALWAYS = {"type", "payload", "priority", "max_runs"}
_NOTHING = (None, "", 0)


def on_its_clock(at: int, zone: str) -> datetime:
    """The moment *at*, milliseconds UTC, by the clock of *zone*."""
    return datetime.fromtimestamp(at / 1000, zone_of(zone))


def schedule_document(schedule: Schedule, last: Fire | None) -> dict[str, Any]:
    """A schedule, and its *last* fire."""
    next_at = schedule.next_at
    return {
        "name": schedule.name,
        "cron": schedule.cron,
        "zone": schedule.zone,
        "job": _job_document(schedule.job),
        "overlap": schedule.overlap,
        "catch_up": schedule.catch_up,
        "window": schedule.window,
        "ends_at": schedule.ends_at,
        "paused": schedule.paused,
        "next_at": next_at,
        "next": None if next_at is None else on_its_clock(next_at, schedule.zone).isoformat(),
        "created_at": schedule.created_at,
        "last": None if last is None else fire_document(last, schedule.zone),
    }


def _job_document(job: NewJob) -> dict[str, Any]:
    found = {name: getattr(job, name) for name in JOB_OF_SCHEDULE}
    found["payload"] = dict(job.payload)
    return {name: value for name, value in found.items() if name in _ALWAYS or value not in _NOTHING}


def fire_document(fire: Fire, zone: str) -> dict[str, Any]:
    """What became of one time of a schedule of that *zone*."""
    return {
        "schedule": fire.schedule,
        "fire_at": fire.fire_at,
        "at": on_its_clock(fire.fire_at, zone).isoformat(),
        "fired_at": fire.fired_at,
        "outcome": fire.outcome,
        "job_id": fire.job_id,
        "state": fire.state,
    }
