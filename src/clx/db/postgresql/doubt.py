"""Whether a transaction was committed whose COMMIT was sent and not answered: the server knows it by its number."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from clx.commands import on_database
from clx.db.postgresql.connect import Connection
from clx.db.postgresql.driver import driver, is_lost
from clx.errors import CommitInDoubtError

if TYPE_CHECKING:
    from clx.db.postgresql.database import PostgresDatabase

_STATUS = "SELECT pg_xact_status(CAST(? AS xid8))"
_END_BACKEND = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE pid = ? AND backend_xid = CAST(CAST(? AS xid8) AS xid)"
)
"""Its old connection may stand there for a minute, with its locks, until the server notices that nobody is there."""


def was_committed(database: PostgresDatabase, backend: int, xid: str, ends: float, error: BaseException) -> bool:
    """Whether transaction *xid* was committed; asked anew until *ends*, on the monotonic clock.

    Raises:
        CommitInDoubtError: nobody can tell.
    """
    while True:
        try:
            raw = database.connect()
            try:
                connection = Connection(raw)
                connection.execute(_END_BACKEND, (backend, xid))
                status = connection.execute(_STATUS, (xid,)).fetchone()[0]
            finally:
                raw.close()
        except driver.Error as again:
            if not is_lost(again):
                raise _in_doubt(database, again) from again
            status = None
        else:
            if status is None:  # so long ago that it is forgotten
                raise _in_doubt(database, error) from error
        if status in {"committed", "aborted"}:
            return bool(status == "committed")
        if time.monotonic() >= ends or database.closed:
            raise _in_doubt(database, error) from error
        time.sleep(0.1)


def _in_doubt(database: PostgresDatabase, error: BaseException) -> CommitInDoubtError:
    return CommitInDoubtError(
        f"The connection to {database.address} was lost at a COMMIT, and the server does not tell whether it was done "
        f"({type(error).__name__}).",
        f"Look before you repeat it: {on_database('clx jobs list', database.path)}",
    )
