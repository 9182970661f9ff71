"""Workers in containers as their engine sees them: no process of theirs can be seen from here.

Asked in one call and only where there are such workers; an engine that does not answer at once changes nothing,
and the lease decides as for every other worker that cannot be seen.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from clx.db.clock import now_ms
from clx.db.sqlite.database import Database
from clx.db.workers import WorkerRow, WorkerTable
from clx.regular import replace_text
from clx.settings.schema import JobsSettings
from clx.workers import executors
from clx.workers.supervision.liveness import REMOVED, by_engine, mark_dead

_SEEN = "seen"


def container_states(database: Database, rows: Sequence[WorkerRow]) -> Mapping[str, str] | None:
    """The engine's containers by id, each with its state; None where nobody needs it or the engine does not answer.

    One that this engine has had, as was noted when it was seen, and does not have any more counts as ``removed``.
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
    with contextlib.suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        replace_text(path, msgspec.json.encode(seen).decode())


def mark_ended(database: Database, jobs: JobsSettings) -> list[int]:
    """Mark dead the workers that no build answers for and whose container has ended; returns their ids."""
    rows = [row for row in WorkerTable(database).list() if row.batch_id is None]
    containers = container_states(database, rows)
    judged = [(row, by_engine(row, now_ms(), jobs, containers)) for row in rows]
    return mark_dead(database, [(row, verdict) for row, verdict in judged if verdict is not None])
