"""More operations of ``/api/v1``: types that are paused, limits, schedules, what is long over."""

from __future__ import annotations

import dataclasses
import time
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, structs

from clx.db.models import NewJob
from clx.db.queries import LimitState, Paused
from clx.db.retention import LOWEST, Policy, prune_part
from clx.db.schedules.documents import fire_document, schedule_document
from clx.db.schedules.models import Fire, Schedule
from clx.errors import QueueError
from clx.server.answers import Refusal
from clx.server.api.documents import MOST, Done, JobToBe, Length, Moment, Name, Pause, Request, Text, Whole
from clx.server.api.operations import Call, Operation

_AT_A_TIME = 1.0
"""Seconds for which one call prunes: others that write wait meanwhile."""
Days = Annotated[float, Meta(ge=0, le=1e9)]
ScheduleName = Annotated[str, Meta(min_length=1, max_length=100)]


class TypeOfJobs(Request, frozen=True):
    """A type of jobs of one pool."""

    type: Name
    pool: Text = ""


class LimitToBe(Request, frozen=True):
    """A limit; with neither ``concurrency`` nor ``rate`` there is none any more. ``per`` in milliseconds."""

    name: Name
    concurrency: Whole | None = None
    rate: Whole | None = None
    per: Length | None = None


class ScheduleToBe(Request, frozen=True):
    """When to queue which job; the fields of ``Schedule``."""

    name: ScheduleName
    cron: Annotated[str, Meta(max_length=200)]
    job: JobToBe
    zone: Annotated[str, Meta(max_length=100)] = "UTC"
    overlap: Literal["", "skip", "queue", "cancel"] = ""
    catch_up: Literal["none", "last", "all"] = "last"
    window: Pause = 7 * 24 * 3600 * 1000
    ends_at: Moment | None = None
    paused: bool = False
    replace: bool = False


class Keep(Request, frozen=True):
    """What is kept for how many days, as of ``Queue.prune``; ``after``: where the answer before this one ended."""

    succeeded: Days | None = None
    works: Days | None = None
    failed: Days | None = None
    workers: Days | None = None
    results: Days | None = None
    pipelines: Days | None = None
    after: Annotated[int, Meta(ge=LOWEST, le=MOST)] | None = None


class PrunedPart(msgspec.Struct, frozen=True):
    """How much was removed, and where to go on (``after``); null when all is done."""

    jobs: int
    workers: int
    events: int
    batches: int
    results: int
    fires: int
    pipelines: int
    abandoned: int
    after: int | None


class OfSchedule(Request, frozen=True):
    """A schedule by its name."""

    name: ScheduleName


class FiresOf(OfSchedule, frozen=True):
    """The latest times of a schedule."""

    limit: Annotated[int, Meta(ge=1, le=10_000)] = 20


class Range(OfSchedule, frozen=True):
    """Times of a schedule that are over, ``start`` and ``end`` included, whose jobs are to be queued."""

    start: Moment
    end: Moment
    only_missing: bool = False
    at_most: Annotated[int, Meta(ge=0, le=10_000)] | None = None


FireDocument = msgspec.defstruct(
    "Fire",
    [
        ("schedule", str), ("fire_at", int), ("at", str), ("fired_at", int), ("outcome", str),
        ("job_id", int | None), ("state", str | None),
    ],
    frozen=True,
)  # fmt: skip
ScheduleDocument = msgspec.defstruct(
    "Schedule",
    [
        ("name", str), ("cron", str), ("job", dict[str, Any]), ("zone", str), ("overlap", str), ("catch_up", str),
        ("window", int), ("ends_at", int | None), ("paused", bool), ("next_at", int | None), ("next", str | None),
        ("created_at", int), ("last", FireDocument | None),
    ],
    frozen=True,
)  # fmt: skip


class PausedTypes(msgspec.Struct, frozen=True):
    """Types that nobody claims at the moment."""

    paused: list[Any]


class Limits(msgspec.Struct, frozen=True):
    """Limits, how many jobs of each run, and how many it holds back."""

    limits: list[Any]


class Schedules(msgspec.Struct, frozen=True):
    """Schedules, by name."""

    schedules: list[ScheduleDocument]  # type: ignore[valid-type]


class Fires(msgspec.Struct, frozen=True):
    """Times of a schedule, and what became of them; of a backfill, how many were left alone and are left to do."""

    fires: list[FireDocument]  # type: ignore[valid-type]
    there: int = 0
    left: int = 0


def _paused(call: Call) -> PausedTypes:
    return PausedTypes([dict(zip(Paused._fields, each, strict=True)) for each in call.queue.paused()])


def _limits(call: Call) -> Limits:
    return Limits([dict(zip(LimitState._fields, each, strict=True)) for each in call.queue.limits()])


def _set_limit(call: Call) -> Done:
    call.queue.set_limit(**structs.asdict(call.body))
    return Done(True)


def _prune(call: Call) -> PrunedPart:
    asked: Keep = call.body
    kept = {name: days for name, days in structs.asdict(asked).items() if name != "after" and days is not None}
    ends_at = time.monotonic() + _AT_A_TIME
    removed, after = prune_part(
        call.queue.database, Policy.of(kept), after=LOWEST if asked.after is None else asked.after,
        is_over=lambda: time.monotonic() > ends_at,
    )  # fmt: skip
    return PrunedPart(**dataclasses.asdict(removed), after=after)


def _told(call: Call, schedule: Schedule) -> Any:
    last = call.queue.schedules.fires(schedule.name, 1)
    return msgspec.convert(schedule_document(schedule, last[0] if last else None), ScheduleDocument)


def _fires(call: Call, name: str, fires: list[Fire], there: int = 0, left: int = 0) -> Fires:
    zone = next((each.zone for each in call.queue.schedules.list() if each.name == name), "UTC")
    return Fires([msgspec.convert(fire_document(each, zone), FireDocument) for each in fires], there, left)


def _add(call: Call) -> Any:
    asked: ScheduleToBe = call.body
    given = {name: getattr(asked, name) for name in ScheduleToBe.__struct_fields__ if name not in ("job", "replace")}
    job: NewJob = asked.job.job()
    return _told(call, call.queue.schedules.add(Schedule(job=job, **given), replace=asked.replace))


def _change(call: Call, name: str) -> Any:
    """What a method of the schedules does with the one that was named; 404 where there is none."""
    try:
        return getattr(call.queue.schedules, name)(call.body.name)
    except QueueError as error:
        if error.fact.startswith("There is no schedule"):
            raise Refusal(404, error.fact, error.next_step) from error
        raise


def _changed(call: Call, name: str) -> Done:
    _change(call, name)
    return Done(True)


def _backfill(call: Call) -> Fires:
    asked: Range = call.body
    done = call.queue.schedules.backfill(
        asked.name, asked.start, asked.end, only_missing=asked.only_missing, at_most=asked.at_most
    )
    return _fires(call, asked.name, done.queued, done.there, done.left)


def _history(call: Call) -> Fires:
    return _fires(call, call.query.name, call.queue.schedules.fires(call.query.name, call.query.limit))


UPKEEP = (
    Operation("paused", "GET", "/paused", "read", "Types of jobs that nobody claims now.", _paused, PausedTypes),
    Operation(
        "pause", "POST", "/pause", "admin", "Let nobody claim jobs of a type; those that run go on.",
        lambda call: Done(call.queue.pause(call.body.type, call.body.pool)), Done, body=TypeOfJobs, writes=True,
    ),
    Operation(
        "resume", "POST", "/resume", "admin", "Let jobs of a type be claimed again.",
        lambda call: Done(call.queue.resume(call.body.type, call.body.pool)), Done, body=TypeOfJobs, writes=True,
    ),
    Operation("limits", "GET", "/limits", "read", "Every limit that is set.", _limits, Limits),
    Operation(
        "set_limit", "POST", "/limits", "admin", "Say how many jobs of a limit may run, or begin within a time.",
        _set_limit, Done, body=LimitToBe, writes=True,
    ),
    Operation(
        "prune", "POST", "/prune", "admin", "Remove what is long over, as much as a second takes; go on after `after`.",
        _prune, PrunedPart, body=Keep, writes=True,
    ),
    Operation(
        "schedules", "GET", "/schedules", "read", "Every schedule, by name.",
        lambda call: Schedules([_told(call, each) for each in call.queue.schedules.list()]), Schedules,
    ),
    Operation(
        "fires", "GET", "/schedules/fires", "read", "What became of the latest times of a schedule, newest first.",
        _history, Fires, query=FiresOf,
    ),
    Operation(
        "add_schedule", "POST", "/schedules", "admin", "Put a schedule in, or another in its place.", _add,
        ScheduleDocument, body=ScheduleToBe, writes=True, status=201,
    ),
    Operation(
        "remove_schedule", "POST", "/schedules/remove", "admin", "Take a schedule away; its jobs stay.",
        lambda call: _changed(call, "remove"), Done, body=OfSchedule, writes=True, errors=(404,),
    ),
    Operation(
        "pause_schedule", "POST", "/schedules/pause", "admin", "Let a schedule fire no more.",
        lambda call: _changed(call, "pause"), Done, body=OfSchedule, writes=True, errors=(404,),
    ),
    Operation(
        "resume_schedule", "POST", "/schedules/resume", "admin", "Let a schedule fire again, from its next time on.",
        lambda call: _changed(call, "resume"), Done, body=OfSchedule, writes=True, errors=(404,),
    ),
    Operation(
        "run_schedule", "POST", "/schedules/run", "admin", "Fire now, also while it is paused.",
        lambda call: _fires(call, call.body.name, [_change(call, "run")]), Fires, body=OfSchedule, writes=True,
        errors=(404,),
    ),
    Operation(
        "backfill", "POST", "/schedules/backfill", "admin", "Queue the jobs of times that are over.", _backfill,
        Fires, body=Range, writes=True,
    ),
)  # fmt: skip
"""These operations, as the document lists them."""
