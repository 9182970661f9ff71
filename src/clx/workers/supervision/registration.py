"""Waiting for workers to register."""

from __future__ import annotations

import time
from collections.abc import Callable

from clx.db.database import Database
from clx.db.doorbell import ENDED
from clx.db.wait import Bells
from clx.errors import WorkerStartupError
from clx.settings.schema import WorkersSettings
from clx.workers.processes import LOOK


def await_registration(
    database: Database,
    workers: WorkersSettings,
    look: Callable[[float], bool],
    *,
    longer: float = 0.0,
    advice: str = "",
) -> None:
    """Wait until all workers that are being started have registered.

    Args:
        workers: how long one has, and how often it is tried.
        look: whether they have; called with the seconds waited so far, and raises where it is pointless to wait on.
        longer: seconds that something else than a worker may take besides.
        advice: what to do beside reading the logs.

    Raises:
        WorkerStartupError: they have not in time.
    """
    limit, began = workers.startup_timeout * (workers.startup_retries + 1) + longer, time.monotonic()
    with Bells(database, [ENDED]) as bells:
        while not look(time.monotonic() - began):
            if time.monotonic() > began + limit:
                raise WorkerStartupError(
                    f"Not every worker registered within {limit:g} s.",
                    f"Their logs are in {database.state.path / 'logs'}.{advice}",
                )
            bells.wait(LOOK)
            bells.silence()
