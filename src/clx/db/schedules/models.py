"""A schedule, and what became of each of its times: plain immutable values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from clx.db.clock import now_ms
from clx.db.models import NewJob, decode, encode
from clx.db.odd_rows import Reader
from clx.db.schedules.cron import check_cron, fires_after, zone_of
from clx.db.schedules.statements import COLUMNS
from clx.db.statements import NO_TIME
from clx.db.validation import LONGEST, check_choice, in_milliseconds
from clx.errors import ClxError, OddRowError, QueueError
from clx.settings.problems import shortened

Overlap = Literal["skip", "queue", "cancel"]
CatchUp = Literal["none", "last", "all"]
Outcome = Literal["queued", "skipped", "missed"]

WINDOW = 7 * 24 * 3600 * 1000
"""Milliseconds for which a fire can be caught up where nothing else is said."""
ON_TIME = 60_000
"""Milliseconds by which a fire that is not to be caught up may be late: somebody may have held the table."""
TOLD = "schedule"
"""Where the payload of a job says which fire it is of."""
JOB_OF_SCHEDULE = ("type", "payload", "pool", "key", "priority", "max_runs", "timeout", "delay", "expires_in", "limit")
"""What a job of a schedule may have; all else is about one moment, or one other job."""
_SCHEDULE = Reader.of("schedules", COLUMNS.split(", "))
_FIRE = Reader(
    *(f"fires.{name}" for name in ("schedule", "fire_at", "fired_at", "outcome", "job_id")),
    "workers.reason",  # the state of its job; NULL where that is gone
)
_NAME = re.compile(r"[\w.:/@+][\w.:/@+-]{0,99}")


@dataclass(frozen=True, slots=True)
class Schedule:
    """When to queue which job.

    Attributes:
        name: what it is called by: letters, digits and ``._-:/@+``.
        cron: five fields (minute, hour, day of month, month, day of week), or ``@hourly``, ``@daily``, ``@weekly``,
            ``@monthly``, ``@yearly``.
        job: what is queued. Its payload gets ``schedule``: ``name``, ``fire_at`` (RFC 3339, with the zone's offset) and
            ``data_date`` (the date of that moment in the zone); in its ``key`` stand ``{fire_at}`` and ``{data_date}``
            for these. It has no ``needs``, and no moments; ``delay`` and ``expires`` count from when it is queued.
        zone: the time zone by whose clock *cron* is read, ``Europe/Berlin`` say.
        overlap: what happens at a fire while the job of the one before still waits or runs: the fire is left out
            (``skip``), waits until it has ended (``queue``), or has it cancelled and waits for that (``cancel``).
            Empty: ``queue`` with catch_up ``all``, else ``skip``.
        catch_up: which fires happen later, when nobody was there in time or they had to wait: ``none``, the ``last``
            of them, or ``all``, one after the other.
        window: how late that may be: milliseconds, or a ``timedelta``.
        ends_at: no fire is later: milliseconds UTC, or a ``datetime`` with its zone.
        paused: whether it fires at all.
        next_at: its next fire, milliseconds UTC; None when there is none. Told by the table.
        created_at: milliseconds UTC. Told by the table.

    Raises:
        QueueError: a value is not possible.
    """

    name: str
    cron: str
    job: NewJob
    zone: str = "UTC"
    overlap: Overlap | Literal[""] = ""
    catch_up: CatchUp = "last"
    window: int | timedelta = WINDOW
    ends_at: int | datetime | None = None
    paused: bool = False
    next_at: int | None = field(default=None, compare=False)
    created_at: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        for name, since in (("window", None), ("ends_at", now_ms)):
            value = getattr(self, name)
            if isinstance(value, datetime | timedelta):
                object.__setattr__(self, name, in_milliseconds(name, value, since))
        check_choice("catch_up", self.catch_up, get_args(CatchUp))
        if self.overlap == "":
            object.__setattr__(self, "overlap", "queue" if self.catch_up == "all" else "skip")
        check_choice("overlap", self.overlap, get_args(Overlap))
        _check(self)

    def fires_after(self, after: int) -> Iterator[int]:
        """Its times later than *after*, in order; milliseconds UTC."""
        ends_at: Any = NO_TIME if self.ends_at is None else self.ends_at
        for at in fires_after(self.cron, self.zone, after):
            if at > ends_at:
                return
            yield at

    def next_after(self, after: int) -> int | None:
        """The first of its times later than *after*; None when there is none."""
        return next(self.fires_after(after), None)

    def job_at(self, at: int) -> NewJob:
        """The job of the fire at that moment."""
        local = datetime.fromtimestamp(at / 1000, zone_of(self.zone))
        precision = "milliseconds" if at % 1000 else "seconds"
        told = {
            "name": self.name,
            "fire_at": local.isoformat(timespec=precision),
            "data_date": local.date().isoformat(),
        }
        key = self.job.key
        for name in ("fire_at", "data_date") if key is not None else ():
            key = str(key).replace(f"{{{name}}}", told[name])
        return replace(self.job, key=key, payload={**self.job.payload, TOLD: told})

    def row(self) -> tuple[Any, ...]:
        """Its values as the table keeps them, in the order of ``statements.COLUMNS``, as far as ``ends_at``."""
        job = {name: getattr(self.job, name) for name in JOB_OF_SCHEDULE}
        job["payload"] = dict(self.job.payload)
        return (self.name, self.cron, self.zone, encode(job), self.overlap, self.catch_up, self.window, self.ends_at)


@dataclass(frozen=True, slots=True)
class Fire:
    """What became of one time of a schedule.

    Attributes:
        fire_at: the time that was due, milliseconds UTC.
        fired_at: when this was decided.
        outcome: ``queued``: its job was queued; ``skipped``: another one was still live; ``missed``: nobody was there
            in time, and it is not to be caught up.
        state: the state of its job, where that is still in the table.
    """

    schedule: str
    fire_at: int
    fired_at: int
    outcome: Outcome
    job_id: int | None = None
    state: str | None = None

    @property
    def is_live(self) -> bool:
        """Whether its job still waits or runs."""
        return self.state in {"queued", "running"}


def fire_from_row(row: Sequence[Any]) -> Fire:
    """The fire of one row of ``statements.FIRES``; what another program wrote is stepped over."""
    return Fire(*_FIRE.read(row)[0])


def schedule_from_row(row: Sequence[Any]) -> Schedule:
    """The schedule of one row of ``statements.COLUMNS``.

    Raises:
        OddRowError: another program wrote it, or this machine lacks its time zone.
    """
    values, odd = _SCHEDULE.read(row)
    name, cron, zone, job, overlap, catch_up, window, ends_at, paused, next_at, created_at = values
    why, step = f"{'; '.join(odd)}.", ""
    try:
        if not odd:
            template = NewJob(**decode(job))
            return Schedule(
                name, cron, template, zone, overlap, catch_up, window, ends_at, bool(paused), next_at, created_at
            )
    except ClxError as error:
        why, step = error.fact, error.next_step
    except (TypeError, ValueError, LookupError) as error:
        why = f"{error}."
    raise OddRowError(
        f'The schedule "{shortened(str(name))}" cannot be used: {why}',
        step or f"Add it again: clx schedules add {shortened(str(name))} --replace",
    )


def _check(schedule: Schedule) -> None:
    if not isinstance(schedule.name, str) or not _NAME.fullmatch(schedule.name):
        raise QueueError(
            f"A schedule cannot be called {shortened(repr(schedule.name))}.",
            "Give up to 100 letters, digits and ._-:/@+, the first one no hyphen.",
        )
    check_cron(schedule.cron, schedule.zone)
    _check_job(schedule.job)
    _check_late(schedule)
    ends_at = schedule.ends_at
    if ends_at is not None and (not isinstance(ends_at, int) or ends_at < 0):
        raise QueueError(
            f"A schedule cannot end at {shortened(repr(ends_at))}.", "Give milliseconds UTC, or a datetime with zone."
        )


def _check_job(job: object) -> None:
    if not isinstance(job, NewJob):
        raise QueueError("A schedule queues a NewJob.", 'Write Schedule("name", "0 6 * * *", NewJob("type", {…})).')
    usual = NewJob("usual")
    for each in fields(NewJob):
        if each.name not in JOB_OF_SCHEDULE and getattr(job, each.name) != getattr(usual, each.name):
            raise QueueError(
                f"The job of a schedule cannot have {each.name}: it is queued again and again.",
                f"It may have {', '.join(JOB_OF_SCHEDULE)}.",
            )
    if not isinstance(job.payload, Mapping) or TOLD in job.payload:
        raise QueueError(
            f'The payload of a schedule\'s job has no "{TOLD}" of its own.', "There its fire is told; call yours else."
        )
    for name in ("type", "pool", "key", "limit"):
        if "\0" in str(getattr(job, name)):
            raise QueueError(
                f"The {name} {shortened(repr(getattr(job, name)))} of a job is not possible.",
                "It is a text without NUL.",
            )
    encode(job.payload)


def _check_late(schedule: Schedule) -> None:
    window = schedule.window
    if not isinstance(window, int) or not 0 <= window <= LONGEST:
        raise QueueError(
            f"Nothing can be caught up for {shortened(repr(window))}.", "Give milliseconds, or timedelta(days=7)."
        )
    wanted = {"none": ("skip",), "last": get_args(Overlap), "all": ("queue",)}[schedule.catch_up]
    if schedule.overlap not in wanted:
        why = "who waits is late" if schedule.catch_up == "none" else "of several only one would be left"
        raise QueueError(
            f"Catch-up {schedule.catch_up} and overlap {schedule.overlap} do not go together: {why}.",
            f"Choose overlap {wanted[0]}, or catch-up last.",
        )
