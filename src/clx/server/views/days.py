"""Flows of a day: a grid of flows and days, and the days of one flow with what of them lies in lakes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from clx.daily.days import DayRow, days_of, flows_of
from clx.daily.machines import machines_of
from clx.db.lake.table import LakeTable
from clx.db.models import decode_or_show
from clx.server.answers import Refusal
from clx.server.views.sections import Asked, Section, View

WIDTH = 30
"""Days side by side."""
_PREFIX = "workflow:"
_FIRST = date(1, 1, 1) + timedelta(days=WIDTH)


class FlowLine(NamedTuple):
    """A flow and its days.

    Attributes:
        days: by day, those of the grid.
        newest: the newest of them that is done; None: none is.
        due: when its schedule queues the next one, milliseconds UTC; None: none does.
    """

    name: str
    days: Mapping[str, DayRow]
    newest: DayRow | None
    due: int | None


def _grid(asked: Asked) -> Mapping[str, Any]:
    """The days up to the one that was asked for, or up to now, of every flow that there is."""
    given = _until(asked)
    until = given or datetime.now(UTC).date() + timedelta(days=1)  # where it is tomorrow already
    days = _window(until)
    found = flows_of(asked.queue.database, days[-1], days[0])
    if given is None and (every := found or flows_of(asked.queue.database)):  # else it is for what is not there yet
        newest = max(rows[0].day for rows in every.values())
        if newest != days[0]:
            days = _window(max(date.fromisoformat(newest), _FIRST))
            found = flows_of(asked.queue.database, days[-1], days[0])
    due = _due(asked)
    flows = [_line(name, found.get(name, []), due) for name in sorted({*found, *_known(asked)})]
    before = date.fromisoformat(days[-1]) - timedelta(days=1)
    return {
        "flows": flows,
        "days": days[::-1],
        "until": "" if given is None else given.isoformat(),
        "next": asked.with_query(until=before.isoformat()) if before >= _FIRST else None,
        "first": None if given is None else asked.with_query(until=None),
        "machines": machines_of(asked.queue.database),
    }


def _one(asked: Asked) -> Mapping[str, Any]:
    """The days of a flow, and what was published for them."""
    name, given = asked.text("flow"), _until(asked)
    last = "9999-12-31" if given is None else given.isoformat()
    rows = days_of(asked.queue.database, name, last=last)
    known = _known(asked)
    if not rows and name not in known and given is None:
        raise Refusal(404, f"There is no flow {name!r}.", "See the list of flows.")
    page, more = rows[:WIDTH], rows[WIDTH:]
    versions = LakeTable(asked.queue.database).of_flow(name, page[-1].day, page[0].day) if page else []
    published: dict[str, list[dict[str, Any]]] = {}
    for each in versions:
        missing = decode_or_show(each.missing)
        told = {**each._asdict(), "missing": missing if isinstance(missing, list) else []}
        published.setdefault(each.day, []).append(told)
    return {
        "flow": _line(name, rows, _due(asked)),
        "rows": page,
        "published": published,
        "next": asked.with_query(until=more[0].day) if more else None,
        "first": None if given is None else asked.with_query(until=None),
    }


def _line(name: str, rows: list[DayRow], due: Mapping[str, int]) -> FlowLine:
    newest = next((each for each in rows if each.state in {"done", "partial"}), None)
    return FlowLine(name, {each.day: each for each in rows}, newest, due.get(name))


def _window(until: date) -> list[str]:
    return [(until - timedelta(days=number)).isoformat() for number in range(WIDTH)]


def _until(asked: Asked) -> date | None:
    text = asked.text("until")
    try:
        found = date.fromisoformat(text) if text else None
    except ValueError:
        found = date.min
    if found is not None and found < _FIRST:
        raise Refusal(422, "until is a day.", "Write it as 2026-11-27.")
    return found


def _known(asked: Asked) -> list[str]:
    """Flows that workers have, whether they have run or not: their workflows are called with the day alone."""
    routines = asked.queue.calls.routines()
    ids = [each.id for each in routines if each.signature.startswith("(data_date:") and "," not in each.signature]
    return [each.removeprefix(_PREFIX) for each in ids if each.startswith(_PREFIX)]


def _due(asked: Asked) -> Mapping[str, int]:
    """When the next day of each flow is queued, where a schedule does that."""
    with warnings.catch_warnings():  # of one that cannot be used; `clx doctor` tells which
        warnings.simplefilter("ignore")
        found = asked.queue.schedules.list()
    return {
        each.job.type.removeprefix(_PREFIX): each.next_at
        for each in found
        if each.job.type.startswith(_PREFIX) and each.next_at is not None and not each.paused
    }


DAYS = Section("Days", "/days", "d", [View("/days", "days.html", _grid), View("/days/one", "day_flow.html", _one)])
