"""Where workers keep files while they live."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from clx.db.database import Database
from clx.db.workers import WorkerTable

_PATIENCE = 2.0  # seconds in which the helpers of a killed worker notice that it is gone


def work_directory(database: Database, worker_id: int) -> Path:
    """Where the worker that asks keeps the directories of its jobs: never where a container could write into them."""
    return database.state.path / "work" / str(worker_id)


def work_roots(database: Database) -> list[Path]:
    """Where workers have such directories: those of this machine, and those in containers as seen from here."""
    folders = dict.fromkeys((database.state.path / "work", database.state.shared / "work"))
    return [folder for folder in folders if not folder.is_symlink()]  # a job in a container may have made a link


def remove_work(database: Database, worker_id: int) -> None:
    """Remove what a worker left that is gone."""
    for folder in work_roots(database):
        shutil.rmtree(folder / str(worker_id), ignore_errors=True)


def remove_work_of_services(database: Database) -> None:
    """Remove what service workers that have ended left.

    Helpers of one that was killed (a browser, a kernel) may live on for a moment and write after their directory was
    removed, when its row has ended and nobody looks again.
    """
    ended = [
        row for row in WorkerTable(database).list(live=False) if row.service is not None and row.ended_at is not None
    ]
    roots = work_roots(database)
    left = [folder for row in ended for root in roots if (folder := root / str(row.id)).exists()]
    deadline = time.monotonic() + _PATIENCE
    while left and time.monotonic() < deadline:
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.05)
        left = [folder for folder in left if folder.exists()]
