"""Keeping a project small: rows, artifacts, logs and job directories of the past go, by one policy.

Nothing that a live row names is touched. What the tables named when pruning began is kept until the next
time, so that a build that has just looked a result up still finds its artifacts.
"""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clx.artifacts.store import ArtifactStore
from clx.db.database import Database
from clx.db.retention import Policy, Pruned, named_text, prune
from clx.db.workers import WorkerTable
from clx.errors import DatabaseError
from clx.workers.process.directories import work_roots

log = logging.getLogger("clx.upkeep")

_DAY = 24 * 3600.0
_FIRST_AFTER = 60.0
"""Seconds after their start in which services have other things to do."""
_LOOK_EVERY = 600.0
"""Seconds between two looks whether it is due."""
_DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What one pruning removed; sizes in bytes."""

    rows: Pruned
    artifacts: int
    artifact_bytes: int
    logs: int
    directories: int


def prune_project(database: Database, policy: Policy) -> PruneReport:
    """Remove what *policy* does not keep; safe beside builds and services."""
    named = named_digests(database)
    rows = prune(database, policy)
    store = ArtifactStore(database.state.shared / "artifacts")
    artifacts, size = store.prune(named)
    return PruneReport(rows, artifacts, size, _prune_logs(database, policy), _prune_directories(database))


def prune_if_due(database: Database) -> PruneReport | None:
    """Prune with the usual policy, at most once a day; None when it is not due, or has to wait for another day."""
    mark = database.state.path / "pruned"
    with contextlib.suppress(FileNotFoundError):
        if 0 <= time.time() - mark.stat().st_mtime < _DAY:
            return None
    try:
        mark.touch()
        return prune_project(database, Policy())
    except (DatabaseError, OSError) as error:  # the work that was done before is not the worse for it
        log.warning("pruning was put off: %s", error)
        return None


class DailyPruning:
    """Prunes a project while its services run, in a thread, so that no worker waits to be replaced meanwhile.

    Args:
        wanted: whether it does so at all.
    """

    def __init__(self, database: Database, *, wanted: bool) -> None:
        self._database = database
        self._wanted = wanted
        self._look_at = time.monotonic() + _FIRST_AFTER
        self._thread: threading.Thread | None = None

    def look(self) -> None:
        """Begin where it is due; asked as often as one likes."""
        if not self._wanted or time.monotonic() < self._look_at or (self._thread and self._thread.is_alive()):
            return
        self._look_at = time.monotonic() + _LOOK_EVERY
        self._thread = threading.Thread(target=prune_if_due, args=(self._database,), name="pruning", daemon=True)
        self._thread.start()

    def end(self, seconds: float) -> None:
        """Leave it at most *seconds* to end; what it has not done goes another day."""
        if self._thread is not None:
            self._thread.join(seconds)


def named_digests(database: Database) -> set[str]:
    """Every digest that a row names, wherever in its texts."""
    return {digest for text in named_text(database) for digest in _DIGEST.findall(text)}


def _prune_logs(database: Database, policy: Policy) -> int:
    """Logs of workers that ended long ago."""
    table = WorkerTable(database)
    used = {
        Path(str(detail["log"])).name
        for row in table.list()
        for _, detail in table.events(row.id, action="started")
        if detail.get("log")
    }
    removed = 0
    left = _older(database.state.path / "logs" / "jobs", "*.log", _DAY)  # of runs whose worker was killed
    for path in (*_older(database.state.path / "logs", "*.log", policy.workers * _DAY), *left):
        if path.name not in used:
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def _prune_directories(database: Database) -> int:
    """Job directories that killed workers left."""
    live = {str(row.id) for row in WorkerTable(database).list()}
    removed = 0
    for folder in work_roots(database):
        for path in _older(folder, "*", _DAY):
            if path.name not in live:
                shutil.rmtree(path, ignore_errors=True)
                removed += 1
    return removed


def _older(folder: Path, pattern: str, seconds: float) -> Iterator[Path]:
    limit = time.time() - seconds
    for path in sorted(folder.glob(pattern)) if folder.is_dir() and not folder.is_symlink() else ():
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < limit:
                yield path
