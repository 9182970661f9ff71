"""Making a connection to the file: its journal mode, its durability, and how long it waits for others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clx.db.sqlite import checkpoint
from clx.db.sqlite.driver import BUSY, driver, error_name
from clx.db.sqlite.filesystem import holders, refuse_network
from clx.errors import DatabaseBusyError, UsageError

JOURNAL_MODES = ("wal", "delete", "keep", None)
SLICE = 0.05
"""Seconds that SQLite waits for a lock at a time. It asks at ever longer intervals, up to 0.1 s, so that whoever waits
longest gets it last; and meanwhile this thread hears no signal and cannot be told to stop."""


def busy_seconds(journal_mode: str | None) -> float:
    """Seconds to wait for somebody else's lock; in DELETE mode it is not passed on fairly: 19 s were measured."""
    return 60.0 if journal_mode == "delete" else 10.0


class Connector:
    """Makes the connections of one database object.

    Args:
        path: the SQLite file.
        journal_mode: as :class:`~clx.db.database.Database` takes it.
        busy_timeout: seconds a read waits for somebody else's lock; None: as long as the journal mode wants.
        readonly: never write.

    Attributes:
        patience: seconds a read waits, once a connection has been made.
        logs: whether the file has a write-ahead log.
    """

    def __init__(self, path: Path, journal_mode: str | None, busy_timeout: float | None, readonly: bool) -> None:
        if journal_mode not in JOURNAL_MODES:
            raise UsageError(f'"{journal_mode}" is no journal mode.', "Possible here: wal, delete, keep.")
        self._path = path
        self._journal_mode = journal_mode
        self._readonly = readonly
        self._chosen = busy_timeout
        self.patience = busy_seconds(journal_mode) if busy_timeout is None else busy_timeout
        self.logs = False

    def connect(self, *, first: bool) -> Any:
        """A new connection; the driver's errors are left as they are.

        Args:
            first: make the file where there is none; later a removed one must not be brought back.
        """
        connection = self._open("ro" if self._readonly else "rwc" if first else "rw", min(self.patience, SLICE))
        try:
            if not self._readonly:
                self._set_journal(connection, first)
        except BaseException:
            connection.close()
            raise
        return connection

    def connect_for_gate(self) -> Any:
        """A connection that waits for nobody and only ever holds the write lock."""
        connection = self._open("rw", 0)
        checkpoint.prepare(connection)
        return connection

    def _open(self, mode: str, timeout: float) -> Any:
        uri = f"{self._path.as_uri()}?mode={mode}"
        connection = driver.connect(uri, uri=True, timeout=timeout, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_journal(self, connection: Any, first: bool) -> None:
        found = connection.execute("PRAGMA journal_mode").fetchone()[0]
        is_new = first and connection.execute("PRAGMA page_count").fetchone()[0] == 0
        wanted = self._journal_mode or ("wal" if is_new else "keep")
        if wanted not in ("keep", found):
            found = self._switch_journal(connection, found, wanted)
        self.logs = found == "wal"
        if self.logs:
            if first:
                self._refuse_network()
            checkpoint.prepare(connection)
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from now on its log is there
        # without a write-ahead log only FULL survives a power failure
        connection.execute(f"PRAGMA synchronous = {'NORMAL' if self.logs else 'FULL'}")
        if self._chosen is None:
            self.patience = busy_seconds(found)

    def _refuse_network(self) -> None:
        refuse_network(self._path)

    def _switch_journal(self, connection: Any, found: str, wanted: str) -> str:
        """Change the file's journal mode, which needs everybody else out; returns the mode then in force."""
        if wanted == "wal":
            self._refuse_network()
        try:
            connection.execute(f"PRAGMA busy_timeout = {int(1000 * self.patience)}")
            return str(connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()[0])
        except driver.Error as error:
            if error_name(error) not in BUSY:
                raise
            if wanted == "wal":  # others use it without a log: slower, but right for everybody
                return found
            raise DatabaseBusyError(
                f"{self._path} is in WAL mode, used by {self._holders(connection)}, and cannot be changed to DELETE.",
                'Stop them (clx stop-services, clx workers list), or keep WAL: database.journal_mode = "wal".',
            ) from error
        finally:
            connection.execute(f"PRAGMA busy_timeout = {int(1000 * min(self.patience, SLICE))}")

    def _holders(self, connection: Any) -> str:
        try:
            rows = connection.execute(
                "SELECT 'worker #' || id || ' (' || type || ', ' || mode || ', pid ' || pid || ')' FROM workers "
                "WHERE ended_at IS NULL UNION ALL SELECT 'the build of pid ' || pid FROM batches WHERE state = 'live'"
            ).fetchall()
        except driver.Error:
            rows = []
        return ", ".join(row[0] for row in rows) or holders(self._path)
