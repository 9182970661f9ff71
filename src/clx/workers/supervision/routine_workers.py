"""Workers for tasks and hosts for workflows that belong to the process that starts them, and end with it.

Usage::

    group = routines_workers(database, settings, note, ["shop.tasks"], 2)
    while …:
        group.tend()
        group.reconcile()  # and wait on group.descriptors(), until group.next_start() at most
    group.stop(grace=5.0)

What cannot be started is in ``group.given_up``: the fact and the next step for each kind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from clx.db.database import Database
from clx.settings.schema import Settings
from clx.workers.executors.spec import WorkerSpec
from clx.workers.pools import artifacts_pool
from clx.workers.supervision.restart_policy import RestartingGroup


def routines_workers(
    database: Database,
    settings: Settings,
    note: Callable[[str], None],
    modules: Sequence[str],
    count: int,
    *,
    hosts: int = 1,
    path: Sequence[str] | None = None,
) -> RestartingGroup:
    """A group that is to have *count* workers for the tasks, and *hosts* for the workflows, of *modules*.

    Args:
        note: called with one line for each thing worth telling the user.
        path: where modules are looked for first; None: what the settings say, else the current directory.

    Raises:
        OSError: the directory of artifacts cannot be marked.
    """
    found = tuple(path or settings.python.path or (str(Path.cwd()),))
    python = replace(settings.python, modules=tuple(modules), path=found)
    own = replace(settings, python=python, artifacts=replace(settings.artifacts, token=None))
    group = RestartingGroup(database, own, note)
    pool = artifacts_pool(database.path, own)
    wanted = {"python": count, "workflow": hosts}
    group.want(
        [
            WorkerSpec(type_, number, pool, "clx routines", "direct", None, own)
            for type_, number in wanted.items()
            if number
        ]
    )
    return group
