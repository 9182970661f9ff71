"""Pools of workers that somebody else's tool started: looked up by their image, and entered into their rows."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from clx.db.database import Database
from clx.db.workers import WorkerRow, WorkerTable
from clx.jobtypes.registry import pool_name
from clx.workers.executors.docker.engine import look_up
from clx.workers.process.await_pool import UNRESOLVED

log = logging.getLogger("clx.docker")


def assign_pools(table: WorkerTable, client: Any) -> list[WorkerRow]:
    """Enter the pools of workers that wait for theirs; returns those that have one now."""
    found = []
    for row in table.list():
        if row.pool != UNRESOLVED or row.container_id is None:
            continue
        inspect = partial(client.api.inspect_container, row.container_id)
        seen = look_up(inspect, "look up a worker's container")  # none where it is another engine's
        if seen is not None and (source := _beyond(seen, table.database)):
            log.warning(
                "worker #%s is not used: its container mounts all of %s, so that its jobs could write your settings. "
                "Mount %s instead, as this version's docker-compose.yaml does.",
                *(row.id, source, table.database.state.shared),
            )
            continue
        image = str(seen["Image"]) if seen is not None else ""
        if image and table.assign(row.id, UNRESOLVED, pool_name("docker", {"clx": row.version, "image": image})):
            found.append(row)
    return found


def _beyond(seen: Mapping[str, Any], database: Database) -> str:
    """The directory that a container mounts though what this machine believes lies in it; empty when there is none."""
    state = Path(os.path.realpath(database.state.path))
    sources = [str(each.get("Source") or "") for each in seen.get("Mounts") or ()]
    return next((each for each in sources if each and state.is_relative_to(os.path.realpath(each))), "")
