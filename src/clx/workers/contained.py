"""Workers in containers as their engine sees them: no process of theirs can be seen from here.

Asked in one call and only where there are such workers; an engine that does not answer at once changes nothing,
and the lease decides as for every other worker that cannot be seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clx.db.clock import now_ms
from clx.db.database import Database
from clx.db.workers import WorkerRow, WorkerTable
from clx.settings.schema import JobsSettings
from clx.workers import executors
from clx.workers.crew import strike_off_worker

BEATS_MISSED = 3
"""Heartbeats that are missed before a worker counts as silent."""
_ENDED = frozenset({"exited", "dead", "removing"})


def container_states(rows: Sequence[WorkerRow]) -> Mapping[str, str] | None:
    """The engine's containers by id, each with its state; None where nobody needs it or the engine does not answer."""
    if not any(row.mode == "docker" and row.ended_at is None for row in rows):
        return None
    return executors.container_states()


def fate(
    row: WorkerRow, containers: Mapping[str, str] | None, settings: JobsSettings, now: int
) -> tuple[str, str] | None:
    """``dead`` or ``hung`` and the reason, as the engine sees it; None where it has nothing to say.

    A container that the engine does not know may be another machine's: it counts as gone only once it is silent.
    """
    if containers is None or row.mode != "docker" or row.container_id is None:
        return None
    state, name = containers.get(row.container_id), row.container_id[:12]
    if state in _ENDED:
        return "dead", f"its container {name} has ended"
    if state == "paused":
        return "hung", f"its container is paused; type: docker unpause {name}"
    if state is None and now - row.heartbeat_at > BEATS_MISSED * settings.heartbeat * 1000:
        return "dead", f"its container {name} is gone"
    return None


def strike_off_ended(database: Database, settings: JobsSettings) -> list[int]:
    """Strike off workers that no build answers for and whose container has ended; returns their ids."""
    rows = [row for row in WorkerTable(database).list() if row.batch_id is None]
    containers = container_states(rows)
    found = []
    for row in rows:
        status, reason = fate(row, containers, settings, now_ms()) or ("", "")
        if status == "dead":
            strike_off_worker(database, row.id, {"kind": "gone"}, reason)
            found.append(row.id)
    return found
