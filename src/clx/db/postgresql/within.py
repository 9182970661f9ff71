"""Putting jobs in by a connection of the caller's: they are in the table exactly if its transaction is committed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from clx.commands import told_in
from clx.db.enqueuing import Enqueuing
from clx.db.postgresql.connect import SCHEMA, Connection, ServerClock, register
from clx.db.postgresql.database import PostgresDatabase
from clx.db.postgresql.dialect import PostgresTransaction
from clx.db.postgresql.driver import driver
from clx.db.transaction import Transaction
from clx.errors import QueueError

T = TypeVar("T")

_WHERE = "SELECT current_database(), pg_postmaster_start_time()"
_NOW = (
    "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint), current_setting('search_path'), "
    "pg_current_xact_id()"
)
"""The transaction has its number before a job has: :mod:`clx.db.postgresql.frontier`."""
_PATH = "SELECT set_config('search_path', ?, true)"
_SAVEPOINT = "clx_within"


class Within(Enqueuing):
    """The queue as far as jobs go in, within a transaction of the caller's.

    Whoever sleeps finds the jobs within a second after that is committed; :meth:`ring` wakes them at once.

    Args:
        database: the queue's.
        connection: of psycopg; or what has one: a connection, session or cursor of SQLAlchemy or Django.

    Raises:
        QueueError: it is nothing of the kind, of another database, or commits each statement by itself.
    """

    database: PostgresDatabase

    def __init__(self, database: PostgresDatabase, connection: Any) -> None:
        self.database = database
        self._raw = driver_connection(connection)
        self._bells: set[str] = set()
        self._write = self._run
        if self._raw.autocommit and self._raw.info.transaction_status == driver.pq.TransactionStatus.IDLE:
            raise QueueError(
                "The connection is in no transaction: each statement is committed by itself.",
                "Begin one first: with connection.transaction(): …",
            )
        mine = self._connection().execute(_WHERE).fetchone()
        if mine != database.read(_WHERE)[0]:
            raise QueueError(
                f"The connection leads to the database {mine[0]}, and the queue lies in {database.name}.",
                "Open the queue in the database of the connection, or enqueue without it.",
            )

    def _connection(self) -> Connection:
        """The caller's, for statements of the tables: whatever kind of rows and values it has been told to use."""
        return Connection(_Cursors(self._raw))

    def _run(self, name: str, body: Callable[[Transaction], T], /) -> T:  # noqa: ARG002
        connection = self._connection()
        connection.execute(f"SAVEPOINT {_SAVEPOINT}")
        try:
            now, path, _ = connection.execute(_NOW).fetchone()
            connection.execute(_PATH, (SCHEMA,))
            clock = self.database.clock
            tx = PostgresTransaction(
                connection, now if isinstance(clock, ServerClock) else clock.now(), self.database.frontiers
            )
            value = body(tx)
            connection.execute(_PATH, (path,))
        except BaseException as error:  # the caller's transaction is as it was
            connection.execute(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
            if isinstance(error, QueueError):
                error.next_step = told_in(error.next_step, self.database.path)
            raise
        connection.execute(f"RELEASE SAVEPOINT {_SAVEPOINT}")
        self._bells |= tx.bells
        return value

    def ring(self) -> None:
        """Wake who waits for these jobs: to be called when the transaction is committed."""
        bells, self._bells = self._bells, set()
        if bells:
            self.database.doorbell.ring(*bells)


class _Cursors:
    """What :class:`Connection` asks of a connection, by cursors of its own kind."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def cursor(self) -> Any:
        cursor = driver.RawCursor(self._raw, row_factory=driver.rows.tuple_row)
        register(cursor.adapters)
        return cursor

    def execute(self, query: str, values: Any = None) -> Any:
        return self.cursor().execute(query, values)


def driver_connection(found: Any) -> Any:
    """The driver's connection in *found*.

    Raises:
        QueueError: there is none.
    """
    seen: Any = found
    for _ in range(6):
        if isinstance(seen, driver.Connection):
            return seen
        if hasattr(seen, "ensure_connection"):  # Django's
            seen.ensure_connection()
        # a proxy of SQLAlchemy, a wrapper of Django, a session, a cursor
        for name in ("driver_connection", "connection"):
            inner = getattr(seen, name, None)
            if inner is not None:
                seen = inner() if callable(inner) and not isinstance(inner, driver.Connection) else inner
                break
        else:
            break
    raise QueueError(
        f"{type(found).__name__} has no connection of psycopg.",
        "Give one of psycopg 3, or a connection or session of SQLAlchemy or Django that uses it.",
    )
