"""What is known about a file of SQLite and the ground it stands on, for ``clx doctor --db``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from clx.db.check import overdue
from clx.db.clock import now_ms
from clx.db.database import Database
from clx.db.facts import Fact
from clx.db.sqlite.database import SqliteDatabase
from clx.db.sqlite.driver import GUARDS_RESETS, driver
from clx.db.sqlite.filesystem import NETWORK, holders, kind
from clx.errors import DatabaseError

_LITTLE = 200 << 20
_LONG_LOG = 64 << 20
_SKEW = 5_000
_DURABLE = {
    "wal": "a killed process loses nothing; a power failure may lose the last moments, never what was before",
    "delete": "every commit survives a power failure, as far as the disk keeps its word",
}


def examine_file(path: Path, database: Database | None) -> list[Fact]:
    """What there is to know; *database* is None where there is no file at *path* yet."""
    facts = [_library(), *_ground(path)]
    if isinstance(database, SqliteDatabase):
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


def _file(database: SqliteDatabase) -> Iterator[Fact]:
    mode = database.journal_mode()
    yield Fact("journal mode", True, mode)
    yield Fact("durability", True, _DURABLE.get(mode, mode))
    yield _log(database.path)
    yield Fact("database", True, f"{database.path.stat().st_size / 2**20:.1f} MiB, schema {database.revision()}")
    yield _clock(database)
    yield _bells(database)
    late = overdue(database)
    yield Fact("leases", True, f"{late} over, to be rescued by the next worker or build" if late else "none over")


def _log(database: Path) -> Fact:
    """Whether somebody keeps the write-ahead log from being used again; one that is merely large keeps nobody."""
    log = database.with_name(f"{database.name}-wal")
    size = log.stat().st_size if log.exists() else 0
    told = f"{size / 2**20:.1f} MiB"
    if size <= _LONG_LOG:
        return Fact("write-ahead log", True, told)
    try:
        with SqliteDatabase.open(database, journal_mode="keep") as writer:
            is_all_copied = writer.checkpoint()
    except DatabaseError:
        unknown = "only who may write can see whether a reader keeps it from shrinking"
        return Fact("write-ahead log", True, f"{told}; {unknown}")
    if is_all_copied is None:  # somebody else is at it
        return Fact("write-ahead log", True, f"{told}, in use at this moment")
    if not is_all_copied:
        hint = f"end what reads: the database is open in {holders(database)}"
        return Fact("write-ahead log", False, f"{told}: a reader keeps it from shrinking", hint)
    return Fact("write-ahead log", True, f"{told}, all of it in the database: it is written over from its start")


def _bells(database: SqliteDatabase) -> Fact:
    """Whether this user wakes those who wait at once, and is woken by them."""
    shut = database.doorbell.closed_to_us() if os.access(database.path, os.W_OK) else ""
    if not shut:
        return Fact("waking", True, "whoever waits is woken at once")
    late = f"{shut} is closed to this user: what waits is noticed up to a second late"
    return Fact(
        "waking",
        False,
        late,
        f"let whose it is (or root) give it the mode of {database.path.parent} or of the database",
    )


def _clock(database: SqliteDatabase) -> Fact:
    """Whether somebody wrote times that lie ahead: their clock or ours is wrong."""
    newest = database.read("SELECT max(heartbeat_at) FROM workers WHERE typeof(heartbeat_at) = 'integer'")[0][0] or 0
    ahead = newest - now_ms()
    if ahead <= _SKEW:
        return Fact("clock", True, "no worker's clock is ahead of this one")
    return Fact("clock", False, f"a worker's clock is {ahead / 1000:.0f} s ahead of this one", "set both by NTP")
