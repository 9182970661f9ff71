"""Containers of a database as their engine has them: their states, and those that nobody keeps.

No process of theirs can be seen from here. An engine that does not answer changes nothing: the lease decides about its
workers as about all that cannot be seen, and what is left in it is looked for again.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from clx.db.database import Database
from clx.db.identity import is_gone
from clx.db.workers import WorkerRow, WorkerTable
from clx.errors import StartupError
from clx.regular import replace_text
from clx.settings.schema import JobsSettings, Settings
from clx.workers.executors.docker.engine import ANSWER_LIMIT, connect, engine_errors
from clx.workers.executors.docker.network import drop_network
from clx.workers.executors.docker.reaper import (
    DATABASE_LABEL,
    OWNER_LABEL,
    SERVICE_LABEL,
    STARTER_LABEL,
    database_label,
    mark_removed,
    remove_all,
    sweep_abandoned,
)
from clx.workers.liveness import REMOVED, by_engine, is_within_reach, mark_dead

T = TypeVar("T")

log = logging.getLogger("clx.workers")

_QUICK = 2.0  # seconds for an answer of an engine that may have nothing to do with what is asked


def _asked(ask: Callable[[], T], otherwise: T, told: str, level: int = logging.DEBUG) -> T:
    """What the engine answers; *otherwise*, and *told*, where there is none, or no SDK to ask it with."""
    try:
        return ask()
    except StartupError as error:
        log.log(level, "%s: %s", told, error.fact)
        return otherwise


# -- removing -------------------------------------------------------------------------------------


def remove_abandoned(database: Path) -> list[str]:
    """Remove containers of builds on *database* whose process and reaper are both gone; returns their names."""
    left = "containers of an ended build may be left"
    return _asked(lambda: sweep_abandoned(database), [], left, logging.WARNING)


def remove_orphans(database: Database, settings: Settings, *, dry_run: bool = False) -> list[str]:
    """Remove the containers of *database* that nobody keeps: of ended builds, of services whose worker has ended.

    Costs one look into a directory where there never was a container; returns their names.
    """
    if not (database.state.path / "containers").is_dir():
        return []

    def remove() -> list[str]:
        with closing(connect()) as client, engine_errors("look for containers that nobody keeps"):
            found = [each for each in _of(client, database.path) if _is_orphan(each, database)]
            if dry_run:
                return [each.name for each in found]
            remove_all(found)
            drop_network(client, settings.docker.network)
        mark_removed(database.path, [each.id for each in found])
        return [each.name for each in found]

    return _asked(remove, [], "containers may be left", logging.WARNING)


def remove_of_missing(path: Path, settings: Settings, *, dry_run: bool = False) -> list[str]:
    """Remove the containers of services that once served the database *path*, which is not there any more.

    Nothing where there is no engine: most machines have none, and nothing says that there were containers.
    """
    remove = partial(remove_services, path, settings, dry_run=dry_run, timeout=_QUICK)
    return _asked(remove, [], "containers were not looked for")


def remove_services(
    database: Path, settings: Settings, *, dry_run: bool = False, timeout: float = ANSWER_LIMIT
) -> list[str]:
    """Remove the containers of services whose job table is gone, known by their label; returns their names."""
    with closing(connect(timeout)) as client, engine_errors("look for containers of services"):
        found = [each for each in _of(client, database) if SERVICE_LABEL in each.labels]
        if not dry_run:
            remove_all(found)
            drop_network(client, settings.docker.network)
    return [each.name for each in found]


def _of(client: Any, database: Path) -> list[Any]:
    wanted = f"{DATABASE_LABEL}={database_label(database)}"
    return list(client.containers.list(all=True, filters={"label": wanted}, ignore_removed=True))


def _is_orphan(container: Any, database: Database) -> bool:
    owner = container.labels.get(OWNER_LABEL)
    if owner is not None:
        return is_gone(owner)
    rows = [row for row in WorkerTable(database).list(live=False) if row.container_id == container.id]
    if rows:
        return container.status in {"exited", "dead"} or all(row.ended_at is not None for row in rows)
    if container.status == "created":  # of a supervisor that was killed before it started what it had made
        return is_gone(container.labels.get(STARTER_LABEL, ""))
    return bool(container.status not in {"running", "paused", "restarting"})


# -- states ---------------------------------------------------------------------------------------


def mark_ended(database: Database, jobs: JobsSettings) -> list[int]:
    """Mark dead the workers that no build answers for and whose container has ended; returns their ids."""
    rows = [row for row in WorkerTable(database).list() if row.batch_id is None]
    containers = container_states(database, rows)
    judged = [(row, by_engine(row, database.clock.now(), jobs, containers)) for row in rows]
    return mark_dead(database, [(row, verdict) for row, verdict in judged if verdict is not None])


def container_states(database: Database, rows: Sequence[WorkerRow]) -> Mapping[str, str] | None:
    """The engine's containers by id, each with its state; None where nobody needs it or the engine does not answer.

    One that this engine has had, as was noted when it was seen, and does not have any more counts as ``removed``.
    """
    wanted = {
        row.container_id
        for row in rows
        if row.mode == "docker" and row.ended_at is None and row.container_id and is_within_reach(row)
    }
    found = _asked(engine_states, None, "containers were not looked at") if wanted else None
    if found is None:
        return None
    engine, states = found
    path = database.state.path / "containers" / "seen"
    seen = _read(path)
    here = {id_ for id_ in wanted if id_ in states}
    if any(seen.get(id_) != engine for id_ in here):
        _write(path, {id_: name for id_, name in seen.items() if id_ in wanted} | dict.fromkeys(here, engine))
    return {**states, **{id_: REMOVED for id_ in wanted - here if seen.get(id_) == engine}}


def engine_states() -> tuple[str, dict[str, str]]:
    """Which engine it is, and the state of every container, by id: ``running``, ``paused``, ``exited``, …"""
    with closing(connect(_QUICK)) as client, engine_errors("list the containers"):
        states = {each["Id"]: each["State"] for each in client.api.containers(all=True)}
        return str(client.info()["ID"]), states


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
