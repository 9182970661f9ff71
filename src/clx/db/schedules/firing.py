"""How a schedule fires: which of its times that have come are fired, skipped or missed, in one transaction.

Exactly once: the row of the schedule is held, the row of its fire does not exist yet, and the job is queued with both.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any, cast

from clx.db import inserting
from clx.db.cancelling import request_cancel
from clx.db.database import Database
from clx.db.doorbell import ENDED
from clx.db.pipelines.models import SPAWN
from clx.db.schedules import statements as sql
from clx.db.schedules.models import ON_TIME, Fire, Schedule, schedule_from_row
from clx.db.transaction import Transaction
from clx.db.writer import Writer
from clx.errors import JobExistsError, OddRowError, QueueError

log = logging.getLogger("clx.schedules")

SLICE = 500
"""Times that one transaction looks at: some 10 ms, for which others wait."""
_SLICES = 4
"""Transactions of one look for one schedule; whoever looks has more to do, and comes back within a second."""


def fire_all(database: Database, rows: Sequence[Sequence[Any]], told: set[str]) -> list[Fire]:
    """Fire the schedules of *rows*, which are due; what cannot be used is told once and left to others."""
    fired: list[Fire] = []
    for schedule in readable(rows, told):
        if not _is_held_back(database, schedule):
            fired += _fire_slices(database, schedule.name, told)
    return fired


def _fire_slices(database: Database, name: str, told: set[str]) -> list[Fire]:
    fired: list[Fire] = []
    for _ in range(_SLICES):
        found, is_left, refusal = _fire(database, name)
        fired += found
        if refusal is not None:
            _tell(f'The schedule "{name}" cannot queue its job: {refusal.fact}', told)
        if not is_left:
            break
    return fired


def readable(rows: Sequence[Sequence[Any]], told: set[str]) -> Iterator[Schedule]:
    """The schedules of *rows*; of one that cannot be used a warning says so, once for all that have the same *told*."""
    for row in rows:
        try:
            yield schedule_from_row(row)
        except OddRowError as error:
            _tell(error.fact, told)


def _tell(fact: str, told: set[str]) -> None:
    if fact not in told:
        told.add(fact)
        log.warning("%s", fact)


def _is_held_back(database: Database, schedule: Schedule) -> bool:
    """Whether it waits for its last job, and nothing is to be done about that: by a look, as every look finds it so."""
    if schedule.overlap == "skip":
        return False
    rows = database.read(sql.LAST, (schedule.name, database.clock.now()))
    return bool(rows) and _is_live(rows[0]) and (schedule.overlap == "queue" or bool(rows[0][2]))


def _is_live(last: Sequence[Any]) -> bool:
    return last[1] in {"queued", "running"}


def _fire(database: Database, name: str) -> tuple[list[Fire], bool, QueueError | None]:
    """One transaction; returns what it decided, whether more is due at once, and why its job does not go in."""

    def body(tx: Transaction) -> tuple[list[Fire], bool, QueueError | None]:
        rows = tx.execute(sql.HOLD_DUE, (name, tx.now)).fetchall()
        return _fire_held(tx, schedule_from_row(rows[0])) if rows else ([], False, None)

    return Writer(database).write("fire", body)


def _fire_held(tx: Transaction, schedule: Schedule) -> tuple[list[Fire], bool, QueueError | None]:
    if schedule.overlap != "skip" and not end_last(tx, schedule):
        return [], False, None
    due, following = _due(schedule, tx.now)
    is_left = following is not None and following <= tx.now
    decided: list[Fire] = []
    late: Any = ON_TIME if schedule.catch_up == "none" else schedule.window
    for index, at in enumerate(due):
        is_newest = index == len(due) - 1 and not is_left
        if tx.now - at > late or (schedule.catch_up == "last" and not is_newest):
            decided.append(_note_missed(tx, schedule, at))
            continue
        try:
            fire = _fire_once(tx, schedule, at)
        except QueueError as error:  # its limit was removed, say: it stays due, and is noted until it fires
            is_new = tx.execute(sql.OUTCOME, (schedule.name, at)).fetchone() is None
            return [*decided, _note_missed(tx, schedule, at)] if is_new else decided, False, error
        if fire is not None:
            decided.append(fire)
            if schedule.overlap == "queue" and fire.outcome == "queued":  # the next one waits for it
                following, is_left = due[index + 1] if index + 1 < len(due) else following, False
                break
    if schedule.job.type == SPAWN:
        from clx.db.pipelines.scheduling import has_expired

        following = None if has_expired(tx, schedule, tx.now) else following
    tx.execute(sql.MOVE, (following, schedule.name))
    return decided, is_left and following is not None, None


def _note_missed(tx: Transaction, schedule: Schedule, at: int) -> Fire:
    tx.execute(sql.MISSED, (schedule.name, at, tx.now, "missed", None))
    return Fire(schedule.name, at, tx.now, "missed")


def _due(schedule: Schedule, now: int) -> tuple[list[int], int | None]:
    """Its times from the next one on that have come, at most :data:`SLICE`, and the one after these.

    Of what is older than its window only the first is among them: nobody reads of each minute of a year.
    """
    first = schedule.next_at
    if first is None or first > now:
        return [], first
    due, window = [first], cast("int", schedule.window)
    for at in schedule.fires_after(max(first, now - window - 1)):
        if at > now or len(due) == SLICE:
            return due, at
        due.append(at)
    return due, None


def _fire_once(tx: Transaction, schedule: Schedule, at: int) -> Fire | None:
    """Queue the job of that fire, unless it has had it; None then."""
    if tx.execute(sql.OUTCOME, (schedule.name, at)).fetchone() not in {None, ("missed",)}:
        return None
    last = tx.execute(sql.LAST, (schedule.name, tx.now)).fetchone() if schedule.overlap == "skip" else None
    if last is not None and _is_live(last):
        return note(tx, schedule, at, None)
    return note(tx, schedule, at, queue_job(tx, schedule, at))


def queue_job(tx: Transaction, schedule: Schedule, at: int) -> int | None:
    """Queue the job of a fire; None where a live job has its key."""
    job = schedule.job_at(at)
    try:
        job_id = inserting.insert(tx, job, "raise", None)
    except JobExistsError:
        return None
    if job.type == SPAWN:
        from clx.db.pipelines.scheduling import spawn_by_schedule

        spawn_by_schedule(tx, job_id, job.payload)
    tx.bells.add(job.type)
    return job_id


def note(tx: Transaction, schedule: Schedule, at: int, job_id: int | None) -> Fire:
    """Write down that a time was fired, with its job; without one, that it was skipped."""
    fire = Fire(schedule.name, at, tx.now, "skipped" if job_id is None else "queued", job_id)
    tx.execute(sql.FIRED, (fire.schedule, fire.fire_at, fire.fired_at, fire.outcome, fire.job_id))
    return fire


def end_last(tx: Transaction, schedule: Schedule) -> bool:
    """Whether its last job has ended; where it is to be cancelled for the next one, it is asked to."""
    last = tx.execute(sql.LAST, (schedule.name, tx.now)).fetchone()
    if last is None or not _is_live(last):
        return True
    if schedule.overlap != "cancel" or last[2]:
        return False
    tx.bells.add(ENDED)
    return bool(request_cancel(tx, int(last[0])))


def mend(database: Database, now: int, told: set[str]) -> None:
    """Give schedules whose next time lies beyond the one that follows now that one: a clock was ahead."""
    for schedule in readable(database.read(sql.ALL), told):
        true = None if schedule.paused else schedule.next_after(now)
        if true is not None and (schedule.next_at is None or schedule.next_at > true):
            _mend_one(database, schedule, true)


def _mend_one(database: Database, schedule: Schedule, true: int) -> None:
    def body(tx: Transaction) -> None:
        rows = tx.execute(sql.HOLD, (schedule.name,)).fetchall()
        if rows and schedule_from_row(rows[0]).next_at == schedule.next_at:
            tx.execute(sql.MOVE, (true, schedule.name))

    Writer(database).write("mend_schedule", body)
    log.warning("the clock was set back: schedule %s would have waited too long", schedule.name)
