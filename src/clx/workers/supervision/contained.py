"""Workers in containers as their engine sees them: no process of theirs can be seen from here.

Asked in one call and only where there are such workers; an engine that does not answer at once changes nothing,
and the lease decides as for every other worker that cannot be seen.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from clx.db.clock import now_ms
from clx.db.sqlite.database import Database
from clx.db.workers import WorkerRow, WorkerTable
from clx.settings.schema import JobsSettings
from clx.workers import executors
from clx.workers.supervision.crew import strike_off_worker

BEATS_MISSED = 3
"""Heartbeats that are missed before a worker counts as silent."""
REMOVED = "removed"
"""The state of a container that the engine has had and does not have any more."""
_SEEN = "seen"
_ENDED = frozenset({"exited", "dead", "removing"})


def container_states(database: Database, rows: Sequence[WorkerRow]) -> Mapping[str, str] | None:
    """The engine's containers by id, each with its state; None where nobody needs it or the engine does not answer.

    One that this engine has had, as was noted when it was seen, and does not have any more is :data:`REMOVED`.
    """
    wanted = {row.container_id for row in rows if row.mode == "docker" and row.ended_at is None and row.container_id}
    found = executors.container_states() if wanted else None
    if found is None:
        return None
    engine, states = found
    path = database.state_dir / "containers" / _SEEN
    seen = _read(path)
    here = {id_ for id_ in wanted if id_ in states}
    if any(seen.get(id_) != engine for id_ in here):
        _write(path, {id_: name for id_, name in seen.items() if id_ in wanted} | dict.fromkeys(here, engine))
    return {**states, **{id_: REMOVED for id_ in wanted - here if seen.get(id_) == engine}}


def _read(path: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError):
        return {}


def _write(path: Path, seen: Mapping[str, str]) -> None:
    """Note them, whole or not at all; without the note the lease decides."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        temporary.write_bytes(msgspec.json.encode(seen))
        temporary.replace(path)


def fate(
    row: WorkerRow, containers: Mapping[str, str] | None, settings: JobsSettings, now: int
) -> tuple[str, str] | None:
    """``dead`` or ``hung`` and the reason, as the engine sees it; None where it has nothing to say.

    A container that the engine does not know, and has not been seen to have, may be another engine's: it counts as
    gone only once it is silent.
    """
    if containers is None or row.mode != "docker" or row.container_id is None:
        return None
    state, name = containers.get(row.container_id), row.container_id[:12]
    if state in _ENDED:
        return "dead", f"its container {name} has ended"
    if state == REMOVED:
        return "dead", f"its container {name} was removed"
    if state == "paused":
        return "hung", f"its container is paused; type: docker unpause {name}"
    if state is None and now - row.heartbeat_at > BEATS_MISSED * settings.heartbeat * 1000:
        return "dead", f"its container {name} is gone"
    return None


def strike_off_ended(database: Database, settings: JobsSettings) -> list[int]:
    """Strike off workers that no build answers for and whose container has ended; returns their ids."""
    rows = [row for row in WorkerTable(database).list() if row.batch_id is None]
    containers = container_states(database, rows)
    found = []
    for row in rows:
        status, reason = fate(row, containers, settings, now_ms()) or ("", "")
        if status == "dead":
            strike_off_worker(database, row.id, {"kind": "gone"}, reason)
            found.append(row.id)
    return found
