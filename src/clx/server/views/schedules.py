"""Schedules: what is queued at which times, and what became of these."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from clx.db.schedules.documents import fire_document, schedule_document
from clx.errors import QueueError
from clx.server.answers import Refusal
from clx.server.views.sections import Asked, Section, View

_FIRES = 50


def _list(asked: Asked) -> Mapping[str, Any]:
    table = asked.queue.schedules
    with warnings.catch_warnings():  # of one that cannot be used; `clx doctor` tells which
        warnings.simplefilter("ignore")
        found = table.list()
    return {"schedules": [schedule_document(each, next(iter(table.fires(each.name, 1)), None)) for each in found]}


def _one(asked: Asked) -> Mapping[str, Any]:
    table, name = asked.queue.schedules, asked.text("name")
    try:
        schedule = table.get(name)
    except QueueError as error:
        raise Refusal(404, error.fact, "See the list of schedules.") from error
    fires = table.fires(name, _FIRES)
    return {
        "schedule": schedule_document(schedule, fires[0] if fires else None),
        "fires": [fire_document(fire, schedule.zone) for fire in fires],
    }


SCHEDULES = Section(
    "Schedules",
    "/schedules",
    "s",
    [View("/schedules", "schedules.html", _list), View("/schedules/one", "schedule.html", _one)],
)
