"""Containers of a database that nobody keeps: what ``clx workers cleanup`` and ``clx stop-services`` remove."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from clx.db.sqlite.database import Database
from clx.db.workers import WorkerTable
from clx.settings.schema import Settings
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
)
from clx.workers.processes import is_gone


def remove_orphans(database: Database, settings: Settings, *, dry_run: bool = False) -> list[str]:
    """Remove the containers of ended builds and of services whose worker has ended.

    Args:
        dry_run: only look.

    Returns:
        Their names.

    Raises:
        EngineError: the engine does not answer.
    """
    with closing(connect()) as client, engine_errors("look for containers that nobody keeps"):
        found = [each for each in _of(client, database.path) if _is_orphan(each, database)]
        if dry_run:
            return [each.name for each in found]
        remove_all(found)
        drop_network(client, settings.docker.network)
    mark_removed(database.path, [each.id for each in found])
    return [each.name for each in found]


def remove_services(
    database: Path, settings: Settings, *, dry_run: bool = False, timeout: float = ANSWER_LIMIT
) -> list[str]:
    """Remove the containers of services whose job table is gone, known by their label; returns their names.

    Args:
        dry_run: only look.
        timeout: seconds the engine has for each answer.

    Raises:
        EngineError: the engine does not answer.
    """
    with closing(connect(timeout)) as client, engine_errors("look for containers of services"):
        found = [each for each in _of(client, database) if SERVICE_LABEL in each.labels]
        if not dry_run:
            remove_all(found)
            drop_network(client, settings.docker.network)
    return [each.name for each in found]


def container_states(timeout: float) -> tuple[str, dict[str, str]]:
    """Which engine it is, and the state of every container, by id: ``running``, ``paused``, ``exited``, …

    Raises:
        EngineError: the engine does not answer within *timeout* seconds.
    """
    with closing(connect(timeout)) as client, engine_errors("list the containers"):
        states = {each["Id"]: each["State"] for each in client.api.containers(all=True)}
        return str(client.info()["ID"]), states


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
