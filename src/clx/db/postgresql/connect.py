"""Making a connection: how it is told apart, how long it waits, and what time it is where the database is."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clx.db.clock import Clock
from clx.db.postgresql.address import Address
from clx.db.postgresql.driver import driver
from clx.db.postgresql.parameters import bound
from clx.errors import DatabaseError

OLDEST = 130000
"""The oldest server that tells whether a transaction was committed whose end was not heard."""
LOCK_SLICE = 2.0
"""Seconds that the server waits for a lock at a time: in between this thread may be told to stop."""
_STATEMENT = 300
_IDLE = 60
_REACHED_IN = 10
"""Seconds: a statement, a transaction that nobody goes on with, a connection being made."""
_ALIVE = {"keepalives_idle": 20, "keepalives_interval": 5, "keepalives_count": 4, "tcp_user_timeout": 30_000}
"""A server that was cut off is noticed within half a minute."""
_TAKEN = (driver.pq.ExecStatus.COMMAND_OK, driver.pq.ExecStatus.TUPLES_OK)
_NOTICED = (
    "SET tcp_keepalives_idle = '5s'; SET tcp_keepalives_interval = '3s'; SET tcp_keepalives_count = 3; "
    "SET tcp_user_timeout = '15s'; "
)
"""The server notices within a quarter of a minute that a client was cut off, and lets go what its transaction locks."""
SCHEMA = "clx"
_SESSION = (
    f"SET search_path = {SCHEMA}; SET statement_timeout = '{_STATEMENT}s'; SET lock_timeout = '{LOCK_SLICE}s'; "
    f"SET idle_in_transaction_session_timeout = '{_IDLE}s'; SET default_transaction_isolation = 'read committed'; "
    f"SET jit = off; {_NOTICED}"
    # what was acknowledged survives a crash of the server, whatever the database's own setting
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'; "
    "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)"
)


class ServerClock(Clock):
    """The clock of the server, for all of its clients: their own may be wrong by any time."""

    def __init__(self) -> None:
        self._ahead: int | None = None

    def heard(self, moment: int) -> None:
        """The server has just said that it is *moment*, milliseconds UTC."""
        self._ahead = moment - self.steady()

    def now(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        return super().now() if self._ahead is None else self.steady() + self._ahead

    def distance(self) -> int:
        """By how many milliseconds the clock of this machine is ahead of the server's."""
        return super().now() - self.now()


class Connection:
    """The driver's connection, for statements with ``?`` and ``:name``."""

    __slots__ = ("_trace", "raw")

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self._trace: Callable[[str], object] | None = None

    def set_trace_callback(self, trace: Callable[[str], object] | None) -> None:
        """Have *trace* called with every statement, as a connection of SQLite does."""
        self._trace = trace

    def execute(
        self, statement: str, params: Mapping[str, Any] | Sequence[Any] = (), *, kept: bool | None = None
    ) -> Any:
        """Run one statement; returns a cursor. Unless *kept* is false, its plan is kept when it comes often."""
        query, values = bound(statement, params)
        if self._trace is not None:
            self._trace(query)
        return self.raw.execute(query, values) if kept is None else self.raw.execute(query, values, prepare=kept)

    def together(self, statements: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Any]:
        """Run statements within a transaction in one round trip; returns their cursors."""
        with self.raw.pipeline():
            return [self.execute(*each) for each in statements]

    def control(self, statements: str) -> list[str]:
        """Run statements that begin or end a transaction; returns the last one's row, or what it says it has done.

        By the driver's inner functions: its cursors take as long as the server for these.
        """
        if self._trace is not None:
            self._trace(statements)
        raw = self.raw
        with raw.lock:
            raw.pgconn.send_query(statements.encode())
            results = raw.wait(driver.generators.execute(raw.pgconn))
        for result in results:
            if result.status not in _TAKEN:
                raise driver.errors.error_from_result(result, encoding="utf-8")
        last = results[-1]
        row = [last.get_value(0, place) for place in range(last.nfields)] if last.ntuples else [last.command_status]
        return [value.decode() for value in row]

    def executemany(self, statement: str, rows: Sequence[Sequence[Any]]) -> Any:
        """Run one statement for each of *rows*, in one round trip."""
        query, _ = bound(statement, ())
        cursor = self.raw.cursor()
        if rows:
            cursor.executemany(query, rows)
        return cursor


def connect(address: Address, clock: Clock, *, seconds: float) -> Any:
    """A new connection; the driver's errors are left as they are.

    Args:
        clock: told the server's time, if it is the server's.
        seconds: how long it may take.

    Raises:
        DatabaseError: the server is too old, or the database keeps no Unicode.
    """
    options: dict[str, Any] = dict(_ALIVE)
    said = driver.conninfo.conninfo_to_dict(address.url)
    if "connect_timeout" not in said and "PGCONNECT_TIMEOUT" not in os.environ:
        options["connect_timeout"] = max(2, int(min(seconds, _REACHED_IN)))
    raw = driver.connect(
        address.url,
        autocommit=True,
        cursor_factory=driver.RawCursor,
        client_encoding="utf8",
        fallback_application_name=_name(),
        **{name: value for name, value in options.items() if name not in said},
    )
    try:
        _require_usable(raw, address)
        register(raw.adapters)
        raw.prepared_max = 500
        [moment] = Connection(raw).control(_SESSION)
        if isinstance(clock, ServerClock):
            clock.heard(int(moment))
    except BaseException:
        raw.close()
        raise
    return raw


def register(adapters: Any) -> None:
    """Have numbers go to the server, and come from there, as the tables have them."""
    adapters.register_dumper(int, _Integer)
    adapters.register_dumper(bool, _Integer)
    adapters.register_loader("numeric", _Number)


def _require_usable(raw: Any, address: Address) -> None:
    version = raw.info.server_version
    if version < OLDEST:
        raise DatabaseError(
            f"{address} is PostgreSQL {version // 10000}; CLX needs 13 or newer.", "Use a newer server."
        )
    encoding = raw.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise DatabaseError(
            f"{address} keeps text as {encoding}; CLX needs UTF8.",
            "Make another: createdb --encoding UTF8 --template template0 DATABASE",
        )


def _name() -> str:
    """By which a server's own views show this process."""
    program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] not in {"", "-c", "-m"} else "python"
    return f"clx {program} {os.getpid()}@{platform.node()}"[:63]


class _Integer(driver.adapt.Dumper):
    """Whole numbers and truth values as text of no kind: the server sees which is meant, and keeps one plan."""

    oid = 0

    def dump(self, obj: int) -> bytes:
        """Its digits."""
        return b"%d" % obj


class _Number(driver.adapt.Loader):
    """Sums and means: as whole numbers where they are, as SQLite tells them."""

    def load(self, data: Any) -> int | float:
        """The number."""
        text = bytes(data)
        return float(text) if b"." in text or b"N" in text else int(text)


def pause(attempt: int) -> None:
    """Wait before the next attempt at what somebody else was in the way of: longer each time, and not in step."""
    import random

    time.sleep(random.uniform(0.2, 1.0) * min(1.0, 0.005 * 2 ** min(attempt, 8)))  # noqa: S311
