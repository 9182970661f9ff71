"""The job table in a database of a server: one connection per thread, transactions, retries.

READ COMMITTED, and every row that a decision rests on is locked (:mod:`clx.db.postgresql.dialect`). A connection is
autocommit and in a transaction only within :meth:`PostgresDatabase.write`: none is ever left idle in one.
"""

from __future__ import annotations

import math
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from clx.db.clock import Clock
from clx.db.crashpoints import crash_point
from clx.db.database import Database, Params, Row
from clx.db.leases import NOTICED, LeaseWatch
from clx.db.postgresql import address as addresses
from clx.db.postgresql.connect import SCHEMA, ServerClock, connect, pause
from clx.db.postgresql.dialect import DIALECT, PostgresTransaction
from clx.db.postgresql.doubt import was_committed
from clx.db.postgresql.driver import (
    collides,
    driver,
    has_given_way,
    is_forgotten,
    is_lost,
    is_starting,
    is_unbound,
    not_taken,
    translate,
)
from clx.db.postgresql.frontier import Frontiers
from clx.db.postgresql.listen import NOTIFY, PostgresDoorbell
from clx.db.postgresql.tables import ensure_tables, revision_of
from clx.db.postgresql.thread_connection import Held
from clx.db.state import StateDirectory
from clx.db.transaction import Transaction
from clx.errors import (
    ClxError,
    DatabaseBusyError,
    DatabaseCorruptError,
    DatabaseError,
    DatabaseFullError,
    UsageError,
)

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds that a read waits for a server that cannot be reached; a write waits five times as long."""
_WRITES_WAIT = 5
_BEGIN = "BEGIN {}; SELECT pg_current_xact_id(), CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)"
BY_INDEX = "; SET LOCAL enable_seqscan = off"
"""Plans are kept: one that was made while the table was short must do when it is long."""
_BEGINS = {
    False: _BEGIN.format(BY_INDEX),
    True: _BEGIN.format(f"{BY_INDEX}; SET LOCAL synchronous_commit = off"),
}
_NOT_AWAITED = frozenset({"heartbeat", "beat", "renew_batch"})
"""Transactions that nobody relies on to outlive a crash of the server: it does not write them through one by one."""


class PostgresDatabase(Database):
    """One job table in the schema ``clx`` of a database of a server.

    Args:
        address: which one.
        busy_timeout: seconds a read waits for the server, a write five times as long; None: :data:`PATIENCE`.
        readonly: never make, migrate or write.
        clock: what tells the time; None: the server's.
    """

    sql = DIALECT

    def __init__(
        self,
        address: addresses.Address,
        *,
        busy_timeout: float | None = None,
        readonly: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.address = address
        self.path = address.place
        self.readonly = readonly
        self.clock = clock or ServerClock()
        self.patience = PATIENCE if busy_timeout is None else busy_timeout
        self.state = StateDirectory.of(self.path)
        self.leases = LeaseWatch()
        self.waits_since = 0.0
        self._server_clock = self.clock if isinstance(self.clock, ServerClock) else ServerClock()
        self._local = threading.local()
        self._connections: weakref.WeakSet[Held] = weakref.WeakSet()
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._closed = False
        self._reached = False
        self.frontiers = Frontiers(self._row)
        self.doorbell = PostgresDoorbell(self.connect, self._notify)

    @classmethod
    def open(cls, path: Path | str, **options: Any) -> Self:
        """Open the database of a URL, or of the file that stands for it; make or migrate its tables where needed.

        Raises:
            DatabaseError: it cannot be reached, refuses, or is of a newer CLX.
        """
        text = str(path)
        address = addresses.parse(text) if "://" in text else addresses.of_place(Path(path))
        mode = options.pop("journal_mode", None)  # settings have one for whichever database
        if mode is not None and "://" in text:
            raise UsageError(f"{address} has no journal mode.", "Leave journal_mode out.")
        database = cls(address, **options)
        try:
            ensure_tables(database)
            address.stand_in()
        except BaseException:
            database.close()
            raise
        return database

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return str(self.address)

    # -- connections ------------------------------------------------------------------------------

    def connect(self, seconds: float | None = None) -> Any:
        """A new connection of the driver, whose errors are left as they are."""
        return connect(self.address, self._server_clock, seconds=self.patience if seconds is None else seconds)

    def connection(self) -> Any:
        """This thread's connection."""
        return self._hold().connection

    def _hold(self) -> Held:
        if os.getpid() != self._pid:
            raise DatabaseError("The database was opened before a fork.", "Open it in each process for itself.")
        if self._closed:
            raise self._is_closed()
        held: Held | None = getattr(self._local, "held", None)
        if held is None or held.closed:
            held = Held(self.connect())
            self._reached = True
            self.frontiers.forget()
            self._local.held = held
            with self._lock:
                self._connections.add(held)
        return held

    def let_go(self) -> None:
        """Close this thread's connection; the next use makes another."""
        held: Held | None = getattr(self._local, "held", None)
        if held is not None:
            self._local.held = None
            held.close()

    def _is_closed(self) -> DatabaseError:
        return DatabaseError(f"{self.address} has been closed by this program.", "Open it again.")

    @property
    def closed(self) -> bool:
        """Whether it is of no more use."""
        return self._closed

    def close(self) -> None:
        """Close every connection of this object, which is of no more use."""
        self.doorbell.close()
        self._closed = True
        with self._lock:
            connections = list(self._connections)
        self._local = threading.local()
        for held in connections:
            held.close()

    # -- statements -------------------------------------------------------------------------------

    @contextmanager
    def waiting_until(self, is_over: Callable[[], bool]) -> Iterator[None]:
        """Within it this thread waits for the server and for locks only until *is_over*, asked now and again."""
        self._local.is_over = is_over
        try:
            yield
        finally:
            self._local.is_over = None

    def patiently(self, seconds: float, attempt: Callable[[], T]) -> T:
        """Try for *seconds*: a server that is started anew, and transactions in each other's way, are waited for."""
        begun, attempts = time.monotonic(), 0
        try:
            while True:
                try:
                    return attempt()
                except driver.Error as error:
                    if not (has_given_way(error) or is_lost(error)) or collides(error, attempts):
                        raise
                    self._require_patience(error, begun, seconds)
                attempts += 1
                pause(attempts)
        finally:
            if attempts:
                self.waits_since = 0.0

    def _require_patience(self, error: Any, begun: float, seconds: float) -> None:
        waited = time.monotonic() - begun
        if is_lost(error):  # others may not have reached it either
            self.leases.distrust(waited)
        is_over = getattr(self._local, "is_over", None)
        # at first, a wrong name is told at once
        in_vain = not self._reached and not is_starting(error)
        if waited >= seconds or in_vain or self._closed or (is_over is not None and is_over()):
            raise error
        self.waits_since = self.waits_since or begun

    def translated(self, error: Any) -> ClxError:
        """Our error for a driver's; where the table takes nothing at the moment, nobody's silence says anything."""
        if is_unbound(error):
            return not_taken(error)
        if self._closed and is_lost(error):
            return self._is_closed()
        found = translate(error, str(self.address))
        if isinstance(found, DatabaseBusyError | DatabaseFullError):
            self.leases.distrust(math.inf)
        return found

    def read(self, sql: str, params: Params = ()) -> list[Row]:
        """All rows of one query."""
        return self.look(lambda connection: _rows(connection.execute(sql, params)))

    def _row(self, sql: str, params: Params) -> Any:
        """The row of a query whose plan is made for the table as it is now."""
        return self.look(lambda connection: connection.execute(sql, params, kept=False).fetchone())

    def is_any_claimable(self, pool: str, types: Sequence[str]) -> bool:
        """One after the other: each is looked for from its own marks on."""
        return any(self.is_claimable(pool, type_) for type_ in types)

    def is_claimable(self, pool: str, type_: str) -> bool:
        """Whether a job can be claimed, delayed ones that are due aside."""
        named = {"pool": pool, "type": type_, "marks": self.frontiers.marks(pool, type_, to_claim=False)}
        return self._row(self.sql.claimable, named) is not None

    def find_marks(self, pool: str, types: Sequence[str], *, idle: bool = False) -> None:
        """One of them at a time."""
        self.frontiers.look(pool, types, idle=idle)

    def look(self, body: Callable[[Any], T]) -> T:
        """What *body*, which only reads, finds by this thread's connection."""
        try:
            return self.ask(body)
        except (driver.Error, OverflowError, UnicodeEncodeError) as error:
            raise self.translated(error) from error

    def ask(self, body: Callable[[Any], T]) -> T:
        """As :meth:`look`; errors are the driver's."""

        def attempt() -> T:
            held = self._hold()
            with held.used(self.address) as connection:
                try:
                    return body(connection)
                except BaseException:
                    held.undo()
                    raise

        return self.patiently(self.patience, attempt)

    def write(self, name: str, body: Callable[[Transaction], T]) -> T:
        """Run *body* in one writing transaction, and ring the bells it named once that is committed.

        *body* may run again when another transaction was in its way, or the connection was lost before it was
        committed, so it must have no other effects. *name* names the crash points around the COMMIT.

        Returns:
            The value of *body*.

        Raises:
            DatabaseError: it was not committed, or nobody can tell; or this thread is in the middle of a transaction.
        """
        return self._commit(name, body, _WRITES_WAIT * self.patience)

    def require_writable(self) -> float:
        """See that a transaction can begin now, after one wait where :meth:`write` has several.

        Returns:
            How many seconds it had to wait.

        Raises:
            DatabaseBusyError: it cannot be reached.
        """
        begun = time.monotonic()
        self._commit("look", lambda _: None, self.patience)
        return time.monotonic() - begun

    def _commit(self, name: str, body: Callable[[Transaction], T], seconds: float) -> T:
        if self.readonly:
            raise DatabaseError(f"{self.address} was opened readonly.", "Open it without readonly=True to write to it.")
        begun = time.monotonic()
        try:
            value, bells = self.patiently(seconds, lambda: self._transaction(name, body, begun, begun + seconds))
        except (driver.Error, OverflowError, UnicodeEncodeError) as error:
            raise self.translated(error) from error
        finally:
            waited = time.monotonic() - begun
            if waited > NOTICED:
                self.leases.distrust(waited)
        if bells:
            self.doorbell.ring(*bells)
        return value

    def _transaction(
        self, name: str, body: Callable[[Transaction], T], begun: float, ends: float
    ) -> tuple[T, set[str]]:
        held = self._hold()
        with held.used(self.address) as connection:
            try:
                xid, now = self._begin(held, name)
                waited = time.monotonic() - begun
                if waited > NOTICED:  # before the body judges anybody by his lease
                    self.leases.distrust(waited)
                transaction = PostgresTransaction(connection, now, self.frontiers)
                value = body(transaction)
                transaction.conclude()
                transaction.require_heard()
                crash_point(name, "before_commit")
                self._end(held, xid, ends)
            except BaseException as error:
                held.undo()
                if is_forgotten(error):
                    held.close()
                raise
        crash_point(name, "after_commit")
        return value, transaction.bells

    def _begin(self, held: Held, name: str) -> tuple[str, int]:
        """Begin a transaction; returns its number, and its time."""
        xid, told = held.connection.control(_BEGINS[name in _NOT_AWAITED])
        self._server_clock.heard(moment := int(told))
        return xid, moment if self.clock is self._server_clock else self.clock.now()

    def _end(self, held: Held, xid: str, ends: float) -> None:
        """Commit. Where the connection is lost meanwhile, the server is asked whether it has."""
        try:
            [said] = held.connection.control("COMMIT")
        except driver.Error as error:
            if not is_lost(error) or not was_committed(self, held.backend, xid, ends, error):
                raise
        else:
            if said != "COMMIT":
                raise DatabaseError(f"The database undid a transaction: {self.address}.", "Type the command again.")

    @contextmanager
    def snapshot(self) -> Iterator[Any]:
        """Several reads that see one state of the table."""
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        self.ask(lambda _: None)  # a connection that was lost is made anew
        held = self._hold()
        with held.used(self.address) as connection:
            try:
                connection.execute(begin)
                yield connection
            except driver.Error as error:
                raise self.translated(error) from error
            finally:
                held.undo()

    def _notify(self, payloads: list[str]) -> None:
        """Send hints to other processes by this thread's connection, where it is free."""
        held: Held | None = getattr(self._local, "held", None)
        if held is not None and not held.closed:
            with held.used(self.address) as connection:
                for payload in payloads:
                    connection.execute(NOTIFY, (payload,))

    # -- the rest -----------------------------------------------------------------------------------

    def is_in_place(self) -> bool:
        """A database of a server has no file that could be taken away from under it."""
        return True

    def require_in_place(self) -> None:
        """Nothing: see :meth:`is_in_place`."""

    def revision(self) -> str | None:
        """The schema of its tables; None where there are none."""
        return self.look(revision_of)

    def size(self) -> int:
        """Bytes that all of its database takes on the server."""
        return int(self.read("SELECT pg_database_size(current_database())")[0][0])

    def faults(self) -> list[str]:
        """A server looks after its files by itself; its tables anybody may have removed."""
        from clx.db.odd_rows import tables

        there = self.read("SELECT tablename FROM pg_tables WHERE schemaname = ?", (SCHEMA,))
        if missing := sorted(tables().keys() - {name for (name,) in there}):
            raise DatabaseCorruptError(
                f"Tables are missing in {self.address}: {', '.join(missing)}.", "Restore a copy of them: pg_restore"
            )
        return []

    def select(self, query: str, parameters: Any) -> list[dict[str, Any]]:
        """The rows of a query that somebody else wrote."""
        from clx.db.postgresql.looking import select

        return select(self, query, parameters)

    def within(self, connection: Any) -> Any:
        """What puts jobs in within a transaction of the caller's."""
        from clx.db.postgresql.within import Within

        return Within(self, connection)

    def backup(self, target: Path) -> int:
        """Copy it by ``pg_dump``."""
        from clx.db.postgresql.backup import backup

        return backup(self.address, target)

    def vacuum(self) -> int:
        """Remove old versions of rows; returns by how many bytes the database is smaller."""
        size = "SELECT pg_database_size(current_database())"
        before = self.read(size)[0][0]
        self.read("VACUUM (ANALYZE)")
        return int(before - self.read(size)[0][0])


def _rows(cursor: Any) -> list[Row]:
    return [] if cursor.description is None else cursor.fetchall()
