"""What is known about a server and the tables in it, for ``clx doctor --db``."""

from __future__ import annotations

import time
from collections.abc import Iterator

from clx.db.check import overdue
from clx.db.database import Database
from clx.db.facts import Fact
from clx.db.postgresql.connect import SCHEMA
from clx.db.postgresql.database import PostgresDatabase
from clx.db.postgresql.driver import driver
from clx.db.postgresql.listen import CHANNEL
from clx.errors import DatabaseBusyError

_SKEW = 5_000
_FULL = 0.9
_OLD = 60.0
"""Seconds after which an open transaction makes claims slow: what was removed since then is read again and again."""
_MANY_DEAD = 20_000
_HEARD_IN = 2.0
_ACTIVITY = (
    "SELECT pid, coalesce(usename, '?'), coalesce(nullif(application_name, ''), '?'), coalesce(state, '?'), "
    "CAST(extract(epoch FROM clock_timestamp() - xact_start) AS float8) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL "
    "AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL OR state LIKE 'idle in transaction%') "
    "AND backend_type = 'client backend' ORDER BY xact_start LIMIT 1"
)
_DEAD = (
    "SELECT relname, n_live_tup, n_dead_tup, coalesce(to_char(greatest(last_autovacuum, last_vacuum), "
    "'YYYY-MM-DD HH24:MI:SS'), 'never') FROM pg_stat_user_tables "
    f"WHERE schemaname = '{SCHEMA}' AND relname <> 'alembic_version' ORDER BY n_dead_tup DESC, relname LIMIT 1"
)
_SETTINGS = (
    "SELECT name, setting FROM pg_settings WHERE name IN ('max_connections', 'autovacuum', 'fsync', 'full_page_writes')"
)


def examine_server(database: Database | None) -> list[Fact]:
    """What there is to know of the server of *database*."""
    return list(_facts(database)) if isinstance(database, PostgresDatabase) else []


def _facts(database: PostgresDatabase) -> Iterator[Fact]:
    settings: dict[str, str] = dict(database.read(_SETTINGS))
    version = database.read("SELECT version()")[0][0].split(" on ")[0]
    yield Fact("server", True, f"{version}, {database.name}")
    yield _connections(database, int(settings["max_connections"]))
    yield _durability(settings)
    size = database.read("SELECT pg_database_size(current_database())")[0][0]
    yield Fact("database", True, f"{size / 2**20:.1f} MiB, schema {database.revision()}")
    is_on = settings["autovacuum"] == "on"
    hint = "" if is_on else "ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf()"
    yield Fact("autovacuum", is_on, settings["autovacuum"], hint)
    yield _oldest(database)
    yield _dead(database)
    yield _clock(database)
    yield _waking(database)
    yield _leases(database)


def _leases(database: PostgresDatabase) -> Fact:
    try:
        late = overdue(database)
    except DatabaseBusyError:  # whoever looks why comes here, and is to see the rest
        return Fact("leases", False, "the jobs are locked: nobody can read them", "end the oldest transaction, or wait")
    return Fact("leases", True, f"{late} over, to be rescued by the next worker or build" if late else "none over")


def _connections(database: PostgresDatabase, most: int) -> Fact:
    used = database.read("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")[0][0]
    ok = used < _FULL * most
    hint = "" if ok else "raise max_connections (each worker has up to three), or end who needs none"
    return Fact("connections", ok, f"{used} of {most}", hint)


def _durability(settings: dict[str, str]) -> Fact:
    off = [name for name in ("fsync", "full_page_writes") if settings[name] != "on"]
    if off:
        return Fact("durability", False, f"{' and '.join(off)} off: a power failure may destroy it", "switch them on")
    return Fact("durability", True, "every commit survives a crash of the server; heartbeats alone need not")


def _oldest(database: PostgresDatabase) -> Fact:
    name = "oldest transaction"
    rows = database.read(_ACTIVITY)
    if not rows:
        return Fact(name, True, "none is open")
    pid, user, program, state, seconds = rows[0]
    told = f"{seconds:.0f} s: process {pid} of {user} ({program}), {state}"
    if seconds < _OLD:
        return Fact(name, True, told)
    why = "old versions of rows are kept for it, and claims get slower"
    return Fact(name, False, f"{told}: {why}", f"end it: SELECT pg_terminate_backend({pid})")


def _dead(database: PostgresDatabase) -> Fact:
    table, live, dead, last = database.read(_DEAD)[0]
    told = f"{dead} beside {live} in {table}, vacuumed last: {last}"
    ok = dead < max(_MANY_DEAD, live)
    return Fact("dead rows", ok, told, "" if ok else "clx db prune --vacuum")


def _clock(database: PostgresDatabase) -> Fact:
    before = time.time()
    server = database.read("SELECT CAST(extract(epoch FROM clock_timestamp()) AS float8)")[0][0]
    ahead = (before + time.time()) / 2 - server
    where = "ahead of" if ahead > 0 else "behind"
    told = f"this machine's is {abs(ahead):.1f} s {where} the server's, which decides"
    ok = abs(ahead) * 1000 <= _SKEW
    return Fact("clock", ok, told, "" if ok else "set both by NTP")


def _waking(database: PostgresDatabase) -> Fact:
    """Whether what one connection says reaches another: a pooler of transactions loses it."""
    listener = database.connect()
    try:
        listener.execute(f"LISTEN {CHANNEL}")
        began = time.monotonic()
        database.read("SELECT pg_notify(?, 'doctor')", (CHANNEL,))
        heard = any(told.payload == "doctor" for told in listener.notifies(timeout=_HEARD_IN, stop_after=1))
        seconds = time.monotonic() - began
    except driver.Error as error:
        raise database.translated(error) from error
    finally:
        listener.close()
    if heard:
        return Fact("waking", True, f"whoever waits is woken at once ({1000 * seconds:.1f} ms)")
    hint = "name the server itself, not a pooler in transaction mode (PgBouncer)"
    return Fact("waking", False, "nobody hears what is said: what waits is noticed up to a second late", hint)
