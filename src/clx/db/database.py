"""Opening the file: one connection per thread, transactions, retries, the schema.

Every writing transaction starts with BEGIN IMMEDIATE: a deferred one that reads first fails at once
with BUSY_SNAPSHOT whatever the timeout. The COMMIT is the acknowledgement.
"""

from __future__ import annotations

import os
import stat
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from clx.db.apart import located, require_regular, shared_directory, state_directory
from clx.db.crashpoints import crash_point
from clx.db.doorbell import Doorbell
from clx.db.driver import BUSY, CORRUPT, UNBOUND, driver, error_name, not_taken, translate
from clx.db.held import Held, is_inherited
from clx.errors import DatabaseBusyError, DatabaseCorruptError, DatabaseError, UsageError

T = TypeVar("T")
Row = tuple[Any, ...]
Params = Mapping[str, Any] | Sequence[Any]

REVISION = "0002"
"""The schema this code works with; ``schema.py`` and the newest migration name the same."""

_SCHEMA = Path(__file__).with_name("schema.sql")
_BUSY_ATTEMPTS = 4
_JOURNAL_MODES = ("wal", "delete", "keep", None)


def prepare_state_directory(database: Path) -> Path:
    """Make the state directory with a ``.gitignore`` that spares ``config.toml``.

    Raises:
        DatabaseError: it cannot be made.
    """
    state = state_directory(database)
    try:
        state.mkdir(parents=True, exist_ok=True)
        ignore = state / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n!.gitignore\n!config.toml\n", encoding="utf-8")
    except OSError as error:
        raise DatabaseError(
            f"The directory of the database cannot be made: {error.filename}: {error.strerror}.",
            "Make it writable, or name another file with --db-path.",
        ) from error
    return state


def _busy_timeout(journal_mode: str | None) -> float:
    """Seconds to wait for somebody else's lock; in DELETE mode it is not passed on fairly: 19 s were measured."""
    return 60.0 if journal_mode == "delete" else 10.0


class Database:
    """One job table file.

    Args:
        path: the SQLite file.
        journal_mode: ``wal`` or ``delete`` (REQ-4.1); ``keep`` leaves the file as it is; None does too, and makes a
            new one ``wal``.
        busy_timeout: seconds to wait for somebody else's lock before an attempt counts as failed;
            None: 10, or 60 in DELETE mode, where waiting is not fair.
        readonly: never create, migrate or write.

    Not usable across a fork: every process opens its own.
    """

    def __init__(
        self,
        path: Path,
        *,
        journal_mode: Literal["wal", "delete", "keep"] | None = None,
        busy_timeout: float | None = None,
        readonly: bool = False,
    ) -> None:
        self.path = located(path.absolute())
        self.readonly = readonly
        self.state_dir = state_directory(self.path)
        self.shared_dir = shared_directory(self.path)
        if journal_mode not in _JOURNAL_MODES:
            raise UsageError(f'"{journal_mode}" is no journal mode.', "Possible here: wal, delete, keep.")
        if "\0" in str(path):
            raise UsageError("The path of a database holds a NUL character.", "Name another file.")
        self._journal_mode = journal_mode
        self._busy_timeout = busy_timeout
        self._local = threading.local()
        self._connections: weakref.WeakSet[Held] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._closed = False
        self.waits_since = 0.0  # since when a write waits for the lock, on the monotonic clock; 0 when none does
        self._file: tuple[int, int] | None = None
        self.doorbell: Doorbell = Doorbell(self.shared_dir / "bells")

    @classmethod
    def open(cls, path: Path | str, **options: Any) -> Self:
        """Open *path*, creating or migrating it where needed.

        Raises:
            DatabaseError: it cannot be opened, is locked for too long, damaged, or of a newer CLX.
        """
        database = cls(Path(path), **options)
        try:
            database._refuse_other_files()
            if not database.readonly:
                database.path.parent.mkdir(parents=True, exist_ok=True)
            database._ensure_schema()
            if not database.readonly:  # last, so that a file which is no job table gets nothing beside it
                prepare_state_directory(database.path)
        except OSError as error:
            database.close()
            raise DatabaseError(
                f"The database cannot be made: {error.filename}: {error.strerror}.",
                "Make its directory writable, or name another file with --db-path.",
            ) from error
        except BaseException:
            database.close()
            raise
        database._file = _file_number(database.path)
        return database

    def is_in_place(self) -> bool:
        """Whether the file that was opened is still the one of that name; what is written to another is lost."""
        from clx.db.filesystem import lost_log

        return self._file is None or (_file_number(self.path) == self._file and not lost_log(self.path))

    def require_in_place(self) -> None:
        """See that what has just been committed is in the file of that name: the cheap half of :meth:`is_in_place`.

        Raises:
            DatabaseError: it was removed or replaced.
        """
        if self._file is not None and _file_number(self.path) != self._file:
            raise DatabaseError(
                f"{self.path} was removed or replaced while it was used; what is written to it now is lost.",
                "Start this program again: it makes or finds the file of that name.",
            )

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
        return held

    def _new_connection(self) -> Held:
        if is_inherited(_file_number(self.path)):
            raise DatabaseError(
                f"{self.path} was open in the process that this one was forked from; no locks hold after that.",
                "Fork before the database is opened, or start processes by spawn.",
            )
        connection = self._connect()
        return Held(connection, _file_number(self.path))

    def _open(self, held: Held) -> Any:
        """The connection, seen under its lock to be open and to stay so."""
        if held.closed or self._closed:
            raise _closed(self.path)
        return held.connection

    def _connect(self) -> Any:
        # once opened it is never made anew: a thread that comes late must not bring a removed file back
        mode = "ro" if self.readonly else "rwc" if self._file is None else "rw"
        uri = f"{self.path.as_uri()}?mode={mode}"
        timeout = _busy_timeout(self._journal_mode) if self._busy_timeout is None else self._busy_timeout
        connection = None
        try:
            connection = driver.connect(uri, uri=True, timeout=timeout, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA foreign_keys = ON")
            if not self.readonly:
                self._set_journal(connection)
            return connection
        except driver.Error as error:
            if connection is not None:
                connection.close()
            raise translate(error, self.path, reading=self.readonly) from error

    def _set_journal(self, connection: Any) -> None:
        found = connection.execute("PRAGMA journal_mode").fetchone()[0]
        wanted = self._journal_mode or ("wal" if self._is_new(connection) else "keep")
        if wanted not in ("keep", found):
            found = self._switch_journal(connection, found, wanted)
        if found == "wal" and self._file is None:
            self._refuse_network()
        # without a write-ahead log only FULL survives a power failure
        connection.execute(f"PRAGMA synchronous = {'NORMAL' if found == 'wal' else 'FULL'}")
        if self._busy_timeout is None:
            connection.execute(f"PRAGMA busy_timeout = {int(1000 * _busy_timeout(found))}")

    def _is_new(self, connection: Any) -> bool:
        return self._file is None and connection.execute("PRAGMA page_count").fetchone()[0] == 0

    def _refuse_network(self) -> None:
        from clx.db.filesystem import refuse_network

        refuse_network(self.path)

    def _switch_journal(self, connection: Any, found: str, wanted: str) -> str:
        """Change the file's journal mode, which needs everybody else out; returns the mode then in force."""
        if wanted == "wal":
            self._refuse_network()
        try:
            return str(connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()[0])
        except driver.Error as error:
            if error_name(error) not in BUSY:
                raise
            if wanted == "wal":  # others use it without a log: slower, but right for everybody
                return found
            raise DatabaseBusyError(
                f"{self.path} is in WAL mode, used by {self._holders(connection)}, and cannot be changed to DELETE.",
                'Stop them (clx stop-services, clx workers list), or keep WAL: database.journal_mode = "wal".',
            ) from error

    def _holders(self, connection: Any) -> str:
        from clx.db.filesystem import holders

        try:
            rows = connection.execute(
                "SELECT 'worker #' || id || ' (' || type || ', ' || mode || ', pid ' || pid || ')' FROM workers "
                "WHERE ended_at IS NULL UNION ALL SELECT 'the build of pid ' || pid FROM batches WHERE state = 'live'"
            ).fetchall()
        except driver.Error:
            rows = []
        return ", ".join(row[0] for row in rows) or holders(self.path)

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
        self.doorbell.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # -- statements -------------------------------------------------------------------------------

    def read(self, sql: str, params: Params = ()) -> list[Row]:
        """All rows of one query."""
        held = self._hold()
        try:
            with held.lock:
                return self._open(held).execute(sql, params).fetchall()  # type: ignore[no-any-return]
        except UNBOUND as error:
            raise not_taken(error) from error
        except driver.Error as error:
            raise translate(error, self.path, reading=True) from error

    @property
    def closed(self) -> bool:
        """Whether it is of no more use."""
        return self._closed

    def write(self, name: str, body: Callable[[Any], T]) -> T:
        """Run *body* in one writing transaction and return its value once it is committed.

        *body* gets the connection and may run again when the database was busy, so it must have no
        other effects. *name* names the crash points around the COMMIT.

        Raises:
            DatabaseError: as :func:`clx.db.driver.translate` names it.
        """
        try:
            return self._transaction(name, body)
        except UNBOUND as error:
            raise not_taken(error) from error
        except driver.Error as error:
            if error_name(error) not in BUSY:
                raise translate(error, self.path) from error
            return self._retry(name, body)

    def require_writable(self) -> None:
        """See that a transaction can begin now: one wait of ``busy_timeout``, where :meth:`write` has several.

        Raises:
            DatabaseBusyError: another process keeps it locked.
        """
        try:
            self._transaction("look", lambda _: None)
        except driver.Error as error:
            raise translate(error, self.path) from error
        finally:
            self.waits_since = 0.0

    def _transaction(self, name: str, body: Callable[[Any], T]) -> T:
        held = self._hold()
        with held.lock:
            connection = self._open(held)
            try:  # with BEGIN inside: an interruption may arrive when it has been executed
                self.waits_since = self.waits_since or time.monotonic()
                connection.execute("BEGIN IMMEDIATE")
                self.waits_since = 0.0
                value = body(connection)
                crash_point(f"{name}.before_commit")
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        crash_point(f"{name}.after_commit")
        return value

    def _retry(self, name: str, body: Callable[[Any], T]) -> T:
        from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

        retrying = Retrying(
            retry=retry_if_exception(lambda error: error_name(error) in BUSY),
            stop=stop_after_attempt(_BUSY_ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.1, max=2.0),
            reraise=True,
        )
        try:
            value: T = retrying(self._transaction, name, body)
            return value
        except driver.Error as error:
            raise translate(error, self.path) from error
        finally:
            self.waits_since = 0.0

    @contextmanager
    def snapshot(self) -> Iterator[Any]:
        """Several reads that see one state of the file."""
        held = self._hold()
        with held.lock:
            connection = self._open(held)
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")  # it only read

    def data_version(self) -> int | None:
        """A number that changes when another connection commits; None when the file was locked."""
        try:
            return int(self.connection().execute("PRAGMA data_version").fetchone()[0])
        except driver.Error as error:
            if error_name(error) in BUSY:
                return None
            raise translate(error, self.path) from error

    # -- schema -----------------------------------------------------------------------------------

    def _refuse_other_files(self) -> None:
        """See that a file that is there is a job table, or empty, before anything is written to it or beside it.

        Raises:
            DatabaseCorruptError: it is neither.
        """
        require_regular(self.path)
        try:
            mode = self.path.stat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISREG(mode):
            raise DatabaseCorruptError(f"{self.path} is not a regular file.", "Name another file with --db-path.")
        if self.readonly:
            return
        connection = None
        try:
            connection = driver.connect(f"{self.path.as_uri()}?mode=ro", uri=True, timeout=0)
            tables, ours = connection.execute(_TABLES).fetchone()
        except driver.Error as error:
            if error_name(error) in CORRUPT:
                raise translate(error, self.path) from error
            return  # in use, or not readable this way: opening it in earnest will tell
        finally:
            if connection is not None:
                connection.close()
        if tables and ours < _OWN_TABLES:
            raise _of_something_else(self.path)

    def revision(self) -> str | None:
        """The schema revision of the file; None for a file without tables."""
        tables, ours = self.read(_TABLES)[0]
        if not tables:
            return None
        if ours < _OWN_TABLES:
            raise _of_something_else(self.path)
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
            self._create()
        else:
            from clx.db.migrate import upgrade

            upgrade(self.path, found)

    def _create(self) -> None:
        statements = [part for part in _SCHEMA.read_text(encoding="utf-8").split(";\n") if part.strip()]

        def body(connection: Any) -> None:
            exists = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
            if exists:
                return
            if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                raise _of_something_else(self.path)
            for statement in statements:
                connection.execute(statement)

        self.write("create", body)


_TABLES = (
    "SELECT count(*), coalesce(sum(name IN ('alembic_version', 'jobs', 'runs', 'workers', 'batches')), 0) "
    "FROM sqlite_master WHERE type = 'table'"
)
_OWN_TABLES = 5
"""So many of those tables has a job table, of whichever version."""


def _closed(path: Path) -> DatabaseError:
    return DatabaseError(f"{path} has been closed by this program.", "Open it again.")


def _of_something_else(path: Path) -> DatabaseCorruptError:
    return DatabaseCorruptError(f"{path} is a database of something else.", "Name another file with --db-path.")


def _file_number(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116  (once a transaction: half the time)
    except OSError:
        return None
    return found.st_dev, found.st_ino
