"""What ``HEALTHCHECK`` of the images runs: exit code 0 while this container's worker beats."""

from __future__ import annotations

import os
import sys

from clx.db.database import Database
from clx.db.workers import WorkerTable
from clx.errors import ClxError
from clx.platforms.container import own_container_id
from clx.workers.container_env import database_inside

_SILENT_MS = 60_000
"""Milliseconds: twice the default lease, for an engine may end what is unhealthy."""


def healthy() -> bool:
    """Whether a worker of this container is registered and has been heard of in the last minute."""
    path, container = database_inside(), own_container_id()
    if path is None or container is None:
        return False
    with Database.open(path, readonly=True) as database:
        return any(
            row.container_id == container and row.heartbeat_at >= database.clock.now() - _SILENT_MS
            for row in WorkerTable(database).list()
        )


if __name__ == "__main__":
    try:
        well = healthy()
    except ClxError as failure:
        print(failure, file=sys.stderr)  # noqa: T201
        well = False
    sys.exit(os.EX_OK if well else 1)
