"""Opening the file: one connection per thread, transactions, retries, the schema.

Every writing transaction starts with BEGIN IMMEDIATE: a deferred one that reads first fails at once
with BUSY_SNAPSHOT whatever the timeout. The COMMIT is the acknowledgement.
"""

from __future__ import annotations

import math
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from clx.db.clock import Clock
from clx.db.crashpoints import crash_point
from clx.db.database import Params, Row
from clx.db.doorbell import Doorbell
from clx.db.leases import NOTICED, LeaseWatch
from clx.db.sqlite.checkpoint import Checkpointer
from clx.db.sqlite.connect import SLICE, Connector
from clx.db.sqlite.creating import create
from clx.db.sqlite.dialect import DIALECT, SqliteTransaction
from clx.db.sqlite.driver import BUSY, UNBOUND, driver, error_name, not_taken, read_any_text, translate
from clx.db.sqlite.filesystem import lost_log, placed
from clx.db.sqlite.foreign import OWN_TABLES, TABLES, of_something_else, refuse_other_files
from clx.db.sqlite.guard import File, file_number
from clx.db.sqlite.haste import Hasty
from clx.db.sqlite.intact import Folder, Place
from clx.db.sqlite.thread_connection import Held, is_inherited
from clx.db.state import StateDirectory
from clx.db.transaction import Transaction
from clx.errors import DatabaseBusyError, DatabaseError, DatabaseFullError, UsageError
from clx.regular import cure

T = TypeVar("T")

REVISION = "0014"
"""The schema this code works with; ``schema.py`` and the newest migration name the same."""

_WRITES_WAIT = 5
"""So many times as long as a read does a write wait for the lock: what it carries may be lost with it."""


class SqliteDatabase(Hasty):
    """One job table in a file of SQLite.

    Args:
        path: the SQLite file.
        journal_mode: ``wal`` or ``delete`` (REQ-4.1); ``keep`` leaves the file as it is; None does too, and makes a
            new one ``wal``.
        busy_timeout: seconds a read waits for somebody else's lock, a write five times as long;
            None: 10, or 60 in DELETE mode, where waiting is not fair.
        readonly: never create, migrate or write.
        clock: what tells the time; None: the system's.

    Not usable across a fork: every process opens its own.
    """

    sql = DIALECT

    def __init__(
        self,
        path: Path,
        *,
        journal_mode: Literal["wal", "delete", "keep"] | None = None,
        busy_timeout: float | None = None,
        readonly: bool = False,
        clock: Clock | None = None,
    ) -> None:
        if "\0" in str(path):
            raise UsageError("The path of a database holds a NUL character.", "Name another file.")
        self.path = placed(path)
        self.readonly = readonly
        self.clock = clock or Clock()
        self.state = StateDirectory.of(self.path)
        self._connector = Connector(self.path, journal_mode, busy_timeout, readonly)
        self._local = threading.local()
        self._connections: weakref.WeakSet[Held] = weakref.WeakSet()
        self._lock = threading.RLock()  # a signal handler may come in the middle of it
        self._pid = os.getpid()
        self._closed = False
        self.leases = LeaseWatch()  # told of every wait for the table: whom it kept waiting, it kept from renewing
        self.waits_since = 0.0  # since when somebody waits for a lock, on the monotonic clock; 0 when none does
        self._file: File | None = None
        self._place: Place | None = None  # of the file alone: for threads without a connection
        self._folder: Folder | None = None
        self._checkpointer = Checkpointer(f"{self.path}-wal", self._connect_for_gate)
        self.doorbell = Doorbell(self.state.shared / "bells", self.path)

    @classmethod
    def open(cls, path: Path | str, **options: Any) -> Self:
        """Open *path*, creating or migrating it where needed.

        Raises:
            DatabaseError: it cannot be opened, is locked for too long, damaged, or of a newer CLX.
        """
        database = cls(Path(path), **options)
        try:
            refuse_other_files(database.path, readonly=database.readonly)
            if not database.readonly:
                if database.state.path in database.path.parents:
                    database.state.make()
                database.path.parent.mkdir(parents=True, exist_ok=True)
            database._ensure_schema()
            if not database.readonly:  # last, so that a file which is no job table gets nothing beside it
                database.state.prepare()
        except OSError as error:
            database.close()
            raise DatabaseError(
                f"The database cannot be made: {error.filename}: {error.strerror}.",
                cure(error, "Make its directory writable, or name another file with --db-path."),
            ) from error
        except BaseException:
            database.close()
            raise
        database._file = file_number(database.path)
        database._place = Place(database.path, database._file, logs=False)
        return database

    def is_in_place(self) -> bool:
        """Whether the files that were opened are still those of their names; what is written to others is lost."""
        return self._is_kept() and not lost_log(self.path)

    def require_in_place(self) -> None:
        """See that what has just been committed is in the files of those names: the cheap half of :meth:`is_in_place`.

        Raises:
            DatabaseError: one was removed or replaced.
        """
        if not self._is_kept():
            raise self._removed()

    def _removed(self) -> DatabaseError:
        return DatabaseError(
            f"{self.path} or its write-ahead log was removed or replaced while it was used; what is written to it now "
            "is lost.",
            "Start this program again: it makes or finds the file of that name.",
        )

    def _is_kept(self) -> bool:
        held: Held | None = getattr(self._local, "held", None)
        if self._place is None or self._folder is None:  # in memory, or not opened yet: nothing to be kept
            return True
        if held is not None and held.place is not None and held.place.is_kept(self._folder):
            return True
        # whoever closes it last removes its log, whatever another thread has just committed: it has been copied back
        return (held is None or self._closed) and self._place.is_kept(self._folder)

    # -- connections ------------------------------------------------------------------------------

    def connection(self) -> Any:
        """This thread's connection."""
        return self._hold().connection

    def _hold(self) -> Held:
        if os.getpid() != self._pid:
            raise DatabaseError("The database was opened before a fork.", "Open it in each process for itself.")
        held: Held | None = getattr(self._local, "held", None)
        if held is None or held.closed:
            if self._closed:
                raise _closed(self.path)
            held = self._new_connection()
            self._local.held = held
            with self._lock:
                self._connections.add(held)
        if held.patience is not None and not self.is_in_haste:
            self._take_time(held)
        return held

    def _new_connection(self) -> Held:
        number = file_number(self.path)
        if is_inherited(number):
            raise DatabaseError(
                f"{self.path} was open in the process that this one was forked from; no locks hold after that.",
                "Fork before the database is opened, or start processes by spawn.",
            )
        if self._file is not None and number != self._file:
            raise self._removed()
        try:
            connection = self._patiently(
                self._connector.patience, lambda: self._connector.connect(first=self._file is None)
            )
        except driver.Error as error:
            raise self._translated(error, reading=self.readonly) from error
        held = Held(connection, self._file or file_number(self.path))
        with self._lock:
            if self._folder is None:
                self._folder = Folder(self.path.parent)
        held.watch(file_number(f"{self.path}-shm"))
        if not self.readonly:
            held.mark(logs=self._connector.logs)
        held.place = Place(self.path, held.file, logs=self._connector.logs)
        return held

    def _connect_for_gate(self) -> Held:
        return Held(self._connector.connect_for_gate(), file_number(self.path))

    def _open(self, held: Held) -> Any:
        """The connection, seen under its lock to be open and to stay so."""
        if held.closed or self._closed:
            raise _closed(self.path)
        return held.connection

    @property
    def patience(self) -> float:
        """Seconds a read waits for somebody else's lock; a write waits five times as long."""
        return self._connector.patience

    def journal_mode(self) -> str:
        """The journal mode in force: ``wal`` or ``delete``."""
        return str(self.read("PRAGMA journal_mode")[0][0])

    def close(self) -> None:
        """Close every connection of this object, which is of no more use."""
        self._closed = True
        with self._lock:
            connections = list(self._connections)
        self._local = threading.local()
        for held in connections:
            held.close()
        self._checkpointer.close()
        if self._folder is not None:
            self._folder.close()
        self.doorbell.close()

    # -- statements -------------------------------------------------------------------------------

    @contextmanager
    def waiting_until(self, is_over: Callable[[], bool]) -> Iterator[None]:
        """Within it this thread waits for the locks of others only until *is_over*, asked now and again."""
        self._local.is_over = is_over
        try:
            yield
        finally:
            self._local.is_over = None

    def _patiently(self, seconds: float, attempt: Callable[[], T]) -> T:
        """Try for *seconds*; SQLite waits only a slice of it at a time, so that signals are heard in between."""
        begun, has_waited = time.monotonic(), False
        try:
            while True:
                try:
                    return attempt()
                except driver.OperationalError as error:
                    if error_name(error) in BUSY:
                        has_waited = True
                        self._require_patience(error, begun, seconds)
                    elif not self._reads_any_text(error):
                        raise
                time.sleep(random.uniform(0, 0.005))  # noqa: S311  (who waits must not do so in step)
        finally:
            if has_waited:
                self.waits_since = 0.0

    def _require_patience(self, error: Any, begun: float, seconds: float) -> None:
        """Note that this thread waits for a lock, and raise *error* when it has done so for long enough."""
        waited = time.monotonic() - begun
        self.leases.distrust(waited)
        is_over = getattr(self._local, "is_over", None)
        if waited >= seconds or self.is_in_haste or (is_over is not None and is_over()):
            raise error
        self.waits_since = self.waits_since or begun

    def _reads_any_text(self, error: Any) -> bool:
        held: Held | None = getattr(self._local, "held", None)
        return held is not None and read_any_text(error, held.connection)

    def read(self, sql: str, params: Params = ()) -> list[Row]:
        """All rows of one query."""
        return self.look(lambda connection: connection.execute(sql, params).fetchall())

    @property
    def closed(self) -> bool:
        """Whether it is of no more use."""
        return self._closed

    def look(self, body: Callable[[Any], T]) -> T:
        """What *body*, which only reads, finds by this thread's connection."""
        try:
            return self.ask(body)
        except UNBOUND as error:
            raise not_taken(error) from error
        except driver.Error as error:
            raise self._translated(error, reading=True) from error

    def ask(self, body: Callable[[Any], T]) -> T:
        """As :meth:`look`; errors are the driver's."""
        held = self._hold()

        def attempt() -> T:
            with held.lock:
                return body(self._open(held))

        return self._patiently(self._connector.patience, attempt)

    def write(self, name: str, body: Callable[[Transaction], T]) -> T:
        """Run *body* in one writing transaction, and ring the bells it named once that is committed.

        *body* may run again when the database was busy, so it must have no other effects. It begins when the lock is
        ours, and so does the time of its transaction. *name* names the crash points around the COMMIT.

        Returns:
            The value of *body*.

        Raises:
            DatabaseError: as :func:`clx.db.sqlite.driver.translate` names it; or this thread is in the middle of a
                transaction, and a signal handler, say, wants another.
        """
        return self._commit(name, body, _WRITES_WAIT * self._connector.patience)

    def write_at_once(self, name: str, body: Callable[[Transaction], T]) -> tuple[T] | None:
        """Where nobody else writes just now; without a log every transaction waits for the disk."""
        if self.readonly or not self.is_at_hand:
            return None
        connection = self.connection()
        connection.execute("PRAGMA busy_timeout = 0")
        try:
            return (self._transaction(name, body, time.monotonic()),)
        except (driver.Error, *UNBOUND):  # nothing was done; who waits for it hears what is wrong
            return None
        finally:
            connection.execute(f"PRAGMA busy_timeout = {int(1000 * min(self.patience, SLICE))}")

    @property
    def is_at_hand(self) -> bool:
        """Whether it has a log, by which nobody who reads waits for others."""
        return self._connector.logs

    def require_writable(self) -> float:
        """See that a transaction can begin now: one wait of ``busy_timeout``, where :meth:`write` has several.

        Returns:
            How many seconds it had to wait.

        Raises:
            DatabaseBusyError: another process keeps it locked.
        """
        begun = time.monotonic()
        self._commit("look", lambda _: None, self._connector.patience)
        return time.monotonic() - begun

    def _commit(self, name: str, body: Callable[[Transaction], T], seconds: float) -> T:
        if self.readonly:
            raise DatabaseError(f"{self.path} was opened readonly.", "Open it without readonly=True to write to it.")
        begun = time.monotonic()
        try:
            return self._patiently(seconds, partial(self._transaction, name, body, begun))
        except UNBOUND as error:
            raise not_taken(error) from error
        except driver.Error as error:
            raise self._translated(error) from error
        finally:
            waited = time.monotonic() - begun  # with its own work, for which all others had to wait
            if waited > NOTICED:
                self.leases.distrust(waited)

    def _translated(self, error: Any, *, reading: bool = False) -> DatabaseError:
        """Our error for a driver's; where the table takes nothing at the moment, nobody's silence says anything."""
        if self.is_in_haste and error_name(error) in BUSY:  # to see who keeps it locked takes longer than to wait
            return DatabaseBusyError(f"The database is locked just now: {self.path}.", "Call again, and wait.")
        found = translate(error, self.path, reading=reading)
        if isinstance(found, DatabaseBusyError | DatabaseFullError) and not self.is_in_haste:
            self.leases.distrust(math.inf)
        return found

    def _transaction(self, name: str, body: Callable[[Transaction], T], begun: float) -> T:
        held = self._hold()
        with held.lock:
            connection = self._open(held)
            if connection.in_transaction or self._checkpointer.thread:
                self._refuse_within(connection)
            try:  # with BEGIN inside: an interruption may arrive when it has been executed
                connection.execute("BEGIN IMMEDIATE")
                waited = time.monotonic() - begun
                if waited > NOTICED:  # before the body judges anybody by his lease
                    self.leases.distrust(waited)
                transaction = SqliteTransaction(connection, self.clock.now())
                value = body(transaction)
                self.require_leisure(transaction.steps)
                transaction.conclude()
                self._require_locks(held)
                crash_point(name, "before_commit")
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            if not self.is_in_haste:
                self._checkpointer.committed(held)
        crash_point(name, "after_commit")
        if transaction.bells:
            self.doorbell.ring(*transaction.bells)
        return value

    def _require_locks(self, held: Held) -> None:
        """See that nothing in this program has dropped the locks of the transaction that *held* is in."""
        if not held.has_its_locks():
            raise DatabaseError(
                f"Something in this program has closed {self.path} behind SQLite's back, which drops all its locks; "
                "nothing was stored.",
                "Start this program again, and let it look into that file by queue.sql, or from another process.",
            )

    def _refuse_within(self, connection: Any) -> None:
        """A signal handler, a finalizer or a log handler came in the middle: undoing its work would undo ours too."""
        if connection.in_transaction or self._checkpointer.thread == threading.get_ident():
            raise DatabaseError(
                f"This thread is in the middle of a transaction of {self.path}.",
                "Let a signal handler or finalizer leave word, and use the queue afterwards.",
            )

    @contextmanager
    def snapshot(self) -> Iterator[Any]:
        """Several reads that see one state of the file."""
        held = self._hold()
        with held.lock:
            connection = self._open(held)
            self._refuse_within(connection)
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")  # it only read

    def checkpoint(self) -> bool | None:
        """Copy the write-ahead log back into the database, as far as readers let it.

        Returns:
            Whether that was everything; None where somebody writes just now, or there is no log.
        """
        return self._checkpointer.run(self.connection()) if self._connector.logs else None

    def faults(self) -> list[str]:
        """What SQLite finds wrong."""
        problems = [f"SQLite: {row[0]}" for row in self.read("PRAGMA integrity_check(20)") if row[0] != "ok"]
        return problems + [
            f"row {row[1]} of {row[0]} names a row of {row[2]} that is not there"
            for row in self.read("PRAGMA foreign_key_check")
        ]

    def select(self, query: str, parameters: Any) -> list[dict[str, Any]]:
        """The rows of a query that somebody else wrote."""
        from clx.db.sqlite.looking import select

        return select(self, query, parameters)

    def backup(self, target: Path) -> int:
        """Copy it by SQLite's own means."""
        from clx.db.sqlite.backup import backup

        return backup(self, target)

    def vacuum(self) -> int:
        """Write the file anew without the space of removed rows."""
        self.checkpoint()
        before = self.path.stat().st_size
        self.read("VACUUM")
        self.checkpoint()
        return before - self.path.stat().st_size

    # -- schema -----------------------------------------------------------------------------------

    def revision(self) -> str | None:
        """The schema revision of the file; None for a file without tables."""
        tables, ours = self.read(TABLES)[0]
        if not tables:
            return None
        if ours < OWN_TABLES:
            raise of_something_else(self.path)
        rows = self.read("SELECT version_num FROM alembic_version")
        return str(rows[0][0]) if rows else None

    def _ensure_schema(self) -> None:
        found = self.revision()
        if found == REVISION:
            return
        if self.readonly:
            raise DatabaseError(
                f"{self.path} holds no job table of this version of CLX.",
                "Run `clx build` once to make or upgrade it.",
            )
        if found is None:
            create(self)
        else:
            from clx.db.migrate import upgrade

            upgrade(self.path, found)


def _closed(path: Path) -> DatabaseError:
    return DatabaseError(f"{path} has been closed by this program.", "Open it again.")
