"""Pipelines that are made at times: each time of the schedule makes them in the transaction that fires it.

The job that a schedule queues for each of its times has ended in the same transaction: it is the record of that time,
and nobody has to be there to do it.
"""

from __future__ import annotations

from typing import Any

from clx.db.models import NewJob, encode
from clx.db.pipelines import statements as sql
from clx.db.pipelines.models import SPAWN, ConfigDefinition
from clx.db.pipelines.spawning import spawn
from clx.db.schedules import statements as schedules
from clx.db.schedules.models import Schedule
from clx.db.transaction import Transaction
from clx.errors import QueueError

FOR_EVER = -1


def name_of(config_id: str) -> str:
    """The name of the schedule of a config."""
    return f"pipelines:{config_id}"


def check_times(config: ConfigDefinition) -> None:
    """See that a config with a schedule can have it.

    Raises:
        QueueError: its times cannot be read, or never come.
    """
    if config.cron:
        _schedule("check", config.cron)


def _schedule(config_id: str, cron: str) -> Schedule:
    return Schedule(name_of(config_id), cron, NewJob(SPAWN, {"config": config_id}))


def enter_schedule(tx: Transaction, config_id: str, cron: str) -> None:
    """Have the pipelines of a config made at its times.

    Raises:
        QueueError: there are none.
    """
    schedule = _schedule(config_id, cron)
    first = schedule.next_after(tx.now)
    if first is None:
        raise QueueError(f"{cron} never comes.", "Give a cronspec that has a next time.")
    tx.execute(schedules.ADD, (*schedule.row(), 0, first, tx.now)).fetchall()


def spawn_by_schedule(tx: Transaction, job_id: int, payload: Any) -> None:
    """Make the pipelines of a time, whose job that is, unless the config has had all its lives."""
    config_id = str(payload.get("config"))
    row = tx.execute(sql.SCHEDULED, (config_id,)).fetchone()
    is_over = row is None or _is_over(row[1], row[2])
    made = [] if row is None or is_over else spawn(tx, config_id, row[0])
    if made:
        tx.execute(sql.SPAWNED, (config_id,))
    told = encode({"pipelines": made[:1000], "number": len(made)})
    tx.execute(sql.SPAWN_ENDED, {"id": job_id, "now": tx.now, "result": told})


def has_expired(tx: Transaction, schedule: Schedule, at: int) -> bool:
    """Whether the pipelines of a schedule were made for the last time; it ends then at that time."""
    if schedule.job.type != SPAWN:
        return False
    row = tx.execute(sql.SCHEDULED, (str(schedule.job.payload.get("config")),)).fetchone()
    if row is not None and not _is_over(row[1], row[2]):
        return False
    tx.execute(sql.END_SCHEDULE, {"name": schedule.name, "at": at})
    return True


def _is_over(lives: Any, spawned: Any) -> bool:
    return lives != FOR_EVER and not (isinstance(lives, int) and isinstance(spawned, int) and spawned < lives)


def remove_schedule(tx: Transaction, config_id: str) -> None:
    """Have nothing made at times any more."""
    tx.execute(schedules.REMOVE_FIRES, (name_of(config_id),))
    tx.execute(schedules.REMOVE, (name_of(config_id),))


def times_of(tx: Any, config_id: str) -> dict[str, Any]:
    """When a config's schedule fires next (milliseconds UTC), and whether it is paused."""
    rows = tx(schedules.GET, (name_of(config_id),))
    return {"paused": bool(rows[0][8]), "next_at": rows[0][9]} if rows else {"paused": False, "next_at": None}
