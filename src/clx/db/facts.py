"""What is known about a database and the ground it stands on, for ``clx doctor --db``."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clx.db.check import overdue
from clx.db.clock import now_ms
from clx.db.database import Database
from clx.db.driver import GUARDS_RESETS, driver
from clx.db.filesystem import NETWORK, kind

_LITTLE = 200 << 20
_LONG_LOG = 64 << 20
_SKEW = 5_000
_DURABLE = {
    "wal": "a killed process loses nothing; a power failure may lose the last moments, never what was before",
    "delete": "every commit survives a power failure, as far as the disk keeps its word",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing found out.

    Attributes:
        name: what was looked at.
        ok: whether it is as it should be.
        detail: what was found.
        hint: what to do when it is not.
    """

    name: str
    ok: bool
    detail: str
    hint: str = ""


def examine(path: Path, database: Database | None) -> list[Fact]:
    """What there is to know; *database* is None where there is no file at *path* yet."""
    facts = [_library(), *_ground(path)]
    if database is not None:
        facts += _file(database)
    return facts


def _library() -> Fact:
    guarded = " its WAL-reset race is kept out: CLX copies the log back while nobody writes" if GUARDS_RESETS else ""
    return Fact("SQLite", True, f"{driver.sqlite_version} ({driver.__name__}){guarded and f';{guarded}'}")


def _ground(path: Path) -> Iterator[Fact]:
    folder = next(parent for parent in path.parents if parent.is_dir())
    found = kind(folder)
    hint = "put the database on a local disk: --db-path, or database.path"
    why = ": locks and shared memory do not hold between machines" if found in NETWORK else ""
    yield Fact("file system", found not in NETWORK, f"{found or 'unknown'}{why}", hint if why else "")
    free = shutil.disk_usage(folder).free
    yield Fact("free space", free >= _LITTLE, f"{free >> 20} MiB", "" if free >= _LITTLE else "clx db prune --vacuum")


def _file(database: Database) -> Iterator[Fact]:
    mode = database.journal_mode()
    yield Fact("journal mode", True, mode)
    yield Fact("durability", True, _DURABLE.get(mode, mode))
    log = database.path.with_name(f"{database.path.name}-wal")
    size = log.stat().st_size if log.exists() else 0
    hint = "a reader keeps it from shrinking: see `clx workers list`" if size > _LONG_LOG else ""
    yield Fact("write-ahead log", size <= _LONG_LOG, f"{size / 2**20:.1f} MiB", hint)
    yield Fact("database", True, f"{database.path.stat().st_size / 2**20:.1f} MiB, schema {database.revision()}")
    yield _clock(database)
    late = overdue(database, now_ms())
    yield Fact("leases", True, f"{late} over, to be rescued by the next worker or build" if late else "none over")


def _clock(database: Database) -> Fact:
    """Whether somebody wrote times that lie ahead: their clock or ours is wrong."""
    newest = database.read("SELECT max(heartbeat_at) FROM workers")[0][0] or 0
    ahead = newest - now_ms()
    if ahead <= _SKEW:
        return Fact("clock", True, "no worker's clock is ahead of this one")
    return Fact("clock", False, f"a worker's clock is {ahead / 1000:.0f} s ahead of this one", "set both by NTP")
