"""A worker that somebody else's tool started (``docker compose up``) waits until its pool is known.

A container cannot know the id of its own image, and that id is part of its pool: who has the engine at hand assigns it
(:mod:`clx.workers.executors.docker.assign_pools`). Until then the worker beats and takes no jobs.
"""

from __future__ import annotations

import time

from clx.db.wait import Bells
from clx.db.workers import WorkerTable

UNRESOLVED = "docker:unresolved"
"""The pool of a container worker whose image is not known yet."""
_LOOK_EVERY = 0.5


def await_pool(table: WorkerTable, worker_id: int, heartbeat: float, bells: Bells) -> str | None:
    """Wait until the worker's row names its pool, and return that; None when the worker is to end instead.

    Args:
        heartbeat: seconds between two signs of life.
        bells: ring when there may be work of the worker's type.
    """
    next_beat = 0.0
    while True:
        row = table.get(worker_id)
        if row is None or row.state not in {"idle", "starting"}:
            return None
        if row.pool != UNRESOLVED:
            return row.pool
        if time.monotonic() >= next_beat:
            next_beat = time.monotonic() + heartbeat
            table.beat(worker_id)
        bells.wait(_LOOK_EVERY)
        bells.silence()
