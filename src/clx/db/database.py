"""Opening the file: one connection per thread, transactions, retries, the schema.

Every writing transaction starts with BEGIN IMMEDIATE: a deferred one that reads first fails at once
with BUSY_SNAPSHOT whatever the timeout. The COMMIT is the acknowledgement.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from clx.db.crashpoints import crash_point
from clx.db.doorbell import Doorbell
from clx.db.driver import BUSY, CORRUPT, driver, error_name, translate
from clx.errors import DatabaseBusyError, DatabaseCorruptError, DatabaseError

T = TypeVar("T")
Row = tuple[Any, ...]
Params = Mapping[str, Any] | Sequence[Any]

REVISION = "0002"
"""The schema this code works with; ``schema.py`` and the newest migration name the same."""

_SCHEMA = Path(__file__).with_name("schema.sql")
_BUSY_ATTEMPTS = 4
_BUSY_TIMEOUT = {"wal": 10.0, "delete": 60.0, "keep": 10.0}
"""Seconds; in DELETE mode waiting is not fair: up to 19 s were measured with four writers."""


class _Held:
    """A thread's connection, closed when the thread ends or the database is closed."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def close(self) -> None:
        self.connection.close()

    def __del__(self) -> None:
        self.connection.close()


def state_directory(database: Path) -> Path:
    """The directory that holds everything beside the database: artifacts, logs, job directories.

    It is ``.clx`` in the database's directory, or that directory itself when it is called ``.clx``.
    """
    folder = database.parent
    return folder if folder.name == ".clx" else folder / ".clx"


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


class Database:
    """One job table file.

    Args:
        path: the SQLite file.
        journal_mode: ``wal`` or ``delete`` (REQ-4.1); ``keep`` leaves the file as it is.
        busy_timeout: seconds to wait for somebody else's lock before an attempt counts as failed;
            None: 10, or 60 in DELETE mode, where waiting is not fair.
        readonly: never create, migrate or write.

    Not usable across a fork: every process opens its own.
    """

    def __init__(
        self,
        path: Path,
        *,
        journal_mode: Literal["wal", "delete", "keep"] = "wal",
        busy_timeout: float | None = None,
        readonly: bool = False,
    ) -> None:
        self.path = path.absolute()
        self.readonly = readonly
        self.state_dir = state_directory(self.path)
        self._journal_mode = journal_mode
        self._busy_timeout = _BUSY_TIMEOUT[journal_mode] if busy_timeout is None else busy_timeout
        self._local = threading.local()
        self._connections: weakref.WeakSet[_Held] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._file: tuple[int, int] | None = None
        self.doorbell: Doorbell = Doorbell(self.state_dir / "bells")

    @classmethod
    def open(cls, path: Path | str, **options: Any) -> Self:
        """Open *path*, creating or migrating it where needed.

        Raises:
            DatabaseError: it cannot be opened, is locked for too long, damaged, or of a newer CLX.
        """
        database = cls(Path(path), **options)
        if database.path.exists() and not database.path.is_file():
            raise DatabaseCorruptError(f"{database.path} is not a regular file.", "Name another file with --db-path.")
        if not database.readonly:
            database._refuse_other_files()
            prepare_state_directory(database.path)
        try:
            database._ensure_schema()
        except BaseException:
            database.close()
            raise
        database._file = _file_number(database.path)
        return database

    def is_in_place(self) -> bool:
        """Whether the file that was opened is still the one of that name; what is written to another is lost."""
        from clx.db.filesystem import deleted_handles

        return self._file is None or (_file_number(self.path) == self._file and not deleted_handles(self.path))

    # -- connections ------------------------------------------------------------------------------

    def connection(self) -> Any:
        """This thread's connection."""
        if os.getpid() != self._pid:
            raise DatabaseError("The database was opened before a fork.", "Open it in each process for itself.")
        held: _Held | None = getattr(self._local, "held", None)
        if held is None:
            held = _Held(self._connect())
            self._local.held = held
            with self._lock:
                self._connections.add(held)
        return held.connection

    def _connect(self) -> Any:
        # once opened it is never made anew: a thread that comes late must not bring a removed file back
        mode = "ro" if self.readonly else "rwc" if self._file is None else "rw"
        uri = f"{self.path.as_uri()}?mode={mode}"
        connection = None
        try:
            connection = driver.connect(
                uri, uri=True, timeout=self._busy_timeout, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA foreign_keys = ON")
            if not self.readonly:
                self._set_journal(connection)
            return connection
        except driver.Error as error:
            if connection is not None:
                connection.close()
            raise translate(error, self.path) from error

    def _set_journal(self, connection: Any) -> None:
        found = connection.execute("PRAGMA journal_mode").fetchone()[0]
        if self._journal_mode not in ("keep", found):
            found = self._switch_journal(connection, found)
        # without a write-ahead log only FULL survives a power failure
        connection.execute(f"PRAGMA synchronous = {'NORMAL' if found == 'wal' else 'FULL'}")

    def _switch_journal(self, connection: Any, found: str) -> str:
        """Change the file's journal mode, which needs everybody else out; returns the mode then in force."""
        if self._journal_mode == "wal":
            from clx.db.filesystem import refuse_network

            refuse_network(self.path)
        try:
            return str(connection.execute(f"PRAGMA journal_mode = {self._journal_mode}").fetchone()[0])
        except driver.Error as error:
            if error_name(error) not in BUSY:
                raise
            if self._journal_mode == "wal":  # others use it without a log: slower, but right for everybody
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
        """Close every connection of this object."""
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
        try:
            return self.connection().execute(sql, params).fetchall()  # type: ignore[no-any-return]
        except driver.Error as error:
            raise translate(error, self.path) from error

    def write(self, name: str, body: Callable[[Any], T]) -> T:
        """Run *body* in one writing transaction and return its value once it is committed.

        *body* gets the connection and may run again when the database was busy, so it must have no
        other effects. *name* names the crash points around the COMMIT.

        Raises:
            DatabaseError: as :func:`clx.db.driver.translate` names it.
        """
        try:
            return self._transaction(name, body)
        except driver.Error as error:
            if error_name(error) not in BUSY:
                raise translate(error, self.path) from error
            return self._retry(name, body)

    def _transaction(self, name: str, body: Callable[[Any], T]) -> T:
        connection = self.connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
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

    @contextmanager
    def snapshot(self) -> Iterator[Any]:
        """Several reads that see one state of the file."""
        connection = self.connection()
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
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
        if not self.path.is_file():
            return
        connection = None
        try:
            connection = driver.connect(f"{self.path.as_uri()}?mode=ro", uri=True, timeout=0)
            tables, ours = connection.execute(
                "SELECT count(*), sum(name = 'alembic_version') FROM sqlite_master"
            ).fetchone()
        except driver.Error as error:
            if error_name(error) in CORRUPT:
                raise translate(error, self.path) from error
            return  # in use, or not readable this way: opening it in earnest will tell
        finally:
            if connection is not None:
                connection.close()
        if tables and not ours:
            raise _of_something_else(self.path)

    def revision(self) -> str | None:
        """The schema revision of the file; None for a file without tables."""
        found = self.read("SELECT name FROM sqlite_master WHERE name IN ('alembic_version', 'jobs')")
        if not found:
            return None
        if ("alembic_version",) not in found:
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


def _of_something_else(path: Path) -> DatabaseCorruptError:
    return DatabaseCorruptError(f"{path} is a database of something else.", "Name another file with --db-path.")


def _file_number(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
