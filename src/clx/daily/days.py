"""What became of each day of a flow, as the job table has it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from clx.db.browsing import Filter, keyed

if TYPE_CHECKING:
    from clx.daily.flow import Flow
    from clx.db.browsing import Keyed
    from clx.db.database import Database
    from clx.db.models import Job

_MOST = 10_000
"""Days that are told of, and runs that are looked at for them, newest days first."""
_FIRST, _LAST = "0001-01-01", "9999-12-31"
_STATES = {"succeeded": "done"}


class DayRow(NamedTuple):
    """A day and its newest run.

    Attributes:
        day: ``2026-11-27``.
        state: ``queued``, ``running``, ``done``, ``partial`` (done, and a fan-out lacks items), ``failed``,
            ``cancelled``.
        job: the number of the run's job.
        seconds: that it took; None: it has not ended.
        missing: by step, items that gave nothing.
        errors: by step or ``step[item]``, why.
        ended_at: when, milliseconds UTC; None: it has not ended.
    """

    day: str
    state: str
    job: int
    seconds: float | None
    missing: dict[str, list[Any]]
    errors: dict[str, str]
    ended_at: int | None = None

    @property
    def said(self) -> str:
        """What is missing, or why it failed, in one line."""
        if self.state == "failed":
            return "; ".join(self.errors.values())
        return "; ".join(f"{step}: {', '.join(map(str, items))}" for step, items in self.missing.items())


def days_of(database: Database, flow: str, first: str = _FIRST, last: str = _LAST) -> list[DayRow]:
    """Each day of a flow from *first* to *last*, both included, by its newest run, newest day first."""
    return _days(database, Filter(type=f"workflow:{flow}"), first, last).get(flow, [])


def flows_of(database: Database, first: str = _FIRST, last: str = _LAST) -> dict[str, list[DayRow]]:
    """The same of every flow that has run, by its name: of every workflow that is keyed by its day."""
    return _days(database, Filter(prefix="workflow:"), first, last)


def _days(database: Database, which: Filter, first: str, last: str) -> dict[str, list[DayRow]]:
    found: dict[str, dict[str, DayRow]] = {}
    for job in keyed(database, which, first, last, limit=_MOST):
        days = found.setdefault(job.type.partition(":")[2], {})
        if job.key == _day(job) and (job.key not in days or days[job.key].job < job.id):
            days[job.key] = row_of(job.key, job)
    return {flow: [days[day] for day in sorted(days, reverse=True)] for flow, days in sorted(found.items()) if days}


class Late(NamedTuple):
    """A day that should be done and is not: its state, empty where it has never run."""

    day: str
    state: str


def late(flow: Flow, found: Sequence[DayRow], now: datetime) -> Late | None:
    """The newest day of *flow* whose time (``by``) is over at *now* (with a zone other than the flow's), if it is late.

    Where that is yesterday, and the flow has never run for a day as early, it did not exist then, and is not late.

    Args:
        found: the days that there are.
    """
    from clx.db.schedules.cron import zone_of

    if flow.by is None:
        return None
    zone = zone_of(flow.zone)
    today = now.astimezone(zone).date()
    is_over = now >= datetime.combine(today, time.fromisoformat(flow.by), zone)
    day = (today if is_over else today - timedelta(days=1)).isoformat()
    if not is_over and all(each.day > day for each in found):
        return None
    state = next((each.state for each in found if each.day == day), "")
    return None if state in {"done", "partial"} else Late(day, state)


def _day(job: Keyed) -> str | None:
    """The day that a run is of: its argument, or what its schedule said."""
    payload = job.payload if isinstance(job.payload, dict) else {}
    arguments, schedule = payload.get("arguments"), payload.get("schedule")
    day = arguments.get("data_date") if isinstance(arguments, dict) else None
    if isinstance(day, dict):
        day = day.get("$date")
    if day is None and isinstance(schedule, dict):
        day = schedule.get("data_date")
    return day if isinstance(day, str) else None


def row_of(day: str, job: Job | Keyed) -> DayRow:
    """A day as its run *job* has it."""
    value = job.result.get("value") if isinstance(job.result, dict) else None
    value = value if isinstance(value, dict) else {}
    missing, errors = value.get("missing") or {}, value.get("errors") or {}
    if job.error:
        errors = {**errors, "": f"{job.error.get('type', '')}: {job.error.get('message', '')}"}
    state = _STATES.get(job.state, job.state)
    took = None if job.started_at is None or job.finished_at is None else (job.finished_at - job.started_at) / 1000
    return DayRow(
        day, "partial" if state == "done" and missing else state, job.id, took, missing, errors, job.finished_at
    )
