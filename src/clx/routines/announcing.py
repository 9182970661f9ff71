"""What a host says of its routines when it begins: which there are, after what they run, and at which times."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import msgspec

from clx.db.calls.models import RoutineRow
from clx.db.jobs import Queue
from clx.db.schedules.models import Schedule
from clx.errors import UsageError
from clx.routines.codecs import canonical_arguments
from clx.routines.performing import SCHEDULED, job_of
from clx.routines.routine import Routine


def announce(queue: Queue, routines: Iterable[Routine[..., Any]], pool: str) -> None:
    """Enter *routines* and their triggers and schedules; a schedule that somebody has paused stays so.

    Raises:
        UsageError: an argument of a schedule is none of the routine's.
        QueueError: triggers go round in a circle, or a schedule cannot be.
    """
    known = list(routines)
    queue.calls.register([_row(each, pool) for each in known])
    there = {each.name: each for each in queue.schedules.list()}
    for routine in known:
        wanted = {each.name: each for each in _schedules(routine, pool)}
        for name, schedule in wanted.items():
            before = there.get(name)
            if before is None or replace(before, paused=False) != schedule:
                queue.schedules.add(schedule, replace=True)  # where it was paused it stays so
        for name in there.keys() - wanted.keys():
            if name == routine.id or (name.startswith(f"{routine.id}@") and there[name].job.type == routine.id):
                queue.schedules.remove(name)


def _row(routine: Routine[..., Any], pool: str) -> RoutineRow:
    job = replace(job_of(routine, "{}", pool), payload={}, key=None)
    trigger = routine.trigger
    return RoutineRow(
        routine.id, routine.function.__module__, routine.source, str(routine.signature), inspect.getdoc(routine) or "",
        job=job, after=trigger and trigger.after, on=trigger and trigger.on,
        parameter=next(iter(routine.signature.parameters), None),
    )  # fmt: skip


def _schedules(routine: Routine[..., Any], pool: str) -> Iterator[Schedule]:
    for number, told in enumerate(routine.schedules):
        name = routine.id if number == 0 else f"{routine.id}@{number + 1}"
        job = job_of(routine, _arguments(routine, told["arguments"]), pool)
        payload = msgspec.json.decode(msgspec.json.encode(job.payload))  # as the table gives it back
        yield Schedule(
            name, told["cron"], replace(job, payload=payload, key=routine.options.key or None), told["timezone"],
            overlap=told["overlap"], catch_up=told["catch_up"],
        )  # fmt: skip


def _arguments(routine: Routine[..., Any], given: dict[str, Any]) -> str:
    """The arguments of each run as canonical JSON, without those that are the time."""
    parameters = routine.signature.parameters
    if odd := [name for name in given if name not in parameters]:
        raise UsageError(f"{routine.id} takes no argument {odd[0]}, which its schedule gives.", "Correct the schedule.")
    missing = routine.missing({*given, *SCHEDULED})
    if missing is not None:
        raise UsageError(
            f"The schedule of {routine.id} does not say what {missing} is.",
            f"Write @define.schedule(…, {missing}=…); data_date and fire_at it gives by itself.",
        )
    return canonical_arguments(given, routine.argument_hints)
