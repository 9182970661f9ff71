"""The driver of this process, and what the errors of a server mean."""

from __future__ import annotations

import re
import shlex
from typing import Any

from clx.errors import (
    DatabaseBusyError,
    DatabaseError,
    DatabaseFullError,
    NotStorableError,
    OddRowError,
)

try:
    import psycopg
except ImportError as error:
    raise DatabaseError(
        "PostgreSQL needs the package psycopg, which cannot be imported here.",
        'Type: pip install "clx-build[postgres]"',
    ) from error

driver = psycopg

_GIVEN_WAY = frozenset({"40001", "40P01", "55P03"})
"""Two transactions were in each other's way, and the server has undone this one."""
_KEPT_APART = frozenset({"jobs_live_key", "jobs_behind", "recent_keys_pkey", "runs_pkey"})
"""Rules that another transaction, which this one could not see, got hold of first: looked at anew it is found."""
_COLLISIONS = 5
_AWAY = frozenset({"57P01", "57P02", "57P03", "25P03", "53300"})
"""The server ends, begins, has given this connection up, or has too many."""
_POOLED = "A pooler in transaction mode (PgBouncer) lends its sessions: name the server itself, or use session mode."
_REFUSED = {
    "28P01": "Give the right password: in the URL, in PGPASSWORD, or in ~/.pgpass.",
    "28000": "See pg_hba.conf of the server: this user may not come this way.",
    "3D000": "Make it: createdb DATABASE; or name another.",
    "3F000": "Make the tables: clx db migrate",
    "42P01": "Make the tables: clx db migrate",
    "42501": (
        "Let its owner type: GRANT CREATE ON DATABASE …; or, where the tables are there: GRANT USAGE ON SCHEMA clx, "
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA clx, GRANT USAGE ON ALL SEQUENCES IN SCHEMA clx."
    ),
    "42P05": _POOLED,
    "26000": _POOLED,
    "25006": "It only reads: a standby, perhaps. Name the primary.",
}
_UNREACHED = {
    "password authentication failed": "28P01",
    "no password supplied": "28P01",
    "no pg_hba.conf entry": "28000",
    'database ".*" does not exist': "3D000",
}
"""Words of a server that lets nobody in, for at that time it tells no SQLSTATE → the one that it means."""
_SOON = ("starting up", "shutting down", "recovery", "too many", "connection slots")
_ASK = "See that it runs and is reached from here: pg_isready --dbname {}"


def has_given_way(error: BaseException) -> bool:
    """Whether the same transaction may succeed when it is begun again."""
    if isinstance(error, psycopg.errors.UniqueViolation):
        return error.diag.constraint_name in _KEPT_APART
    return isinstance(error, psycopg.Error) and (error.sqlstate in _GIVEN_WAY or is_forgotten(error))


def is_forgotten(error: BaseException) -> bool:
    """Whether a kept plan is not where the driver believes it: it was to be made behind a statement that failed."""
    return isinstance(error, psycopg.errors.InvalidSqlStatementName)


def collides(error: BaseException, attempts: int) -> bool:
    """Whether what is in the way is there to stay: another program wrote it, or a pooler lends sessions."""
    return (isinstance(error, psycopg.errors.UniqueViolation) or is_forgotten(error)) and attempts >= _COLLISIONS


def is_unbound(error: BaseException) -> bool:
    """Whether a value cannot be handed to the server, or is none that a column takes."""
    if isinstance(error, psycopg.ProgrammingError):
        return error.sqlstate is None  # the driver's own
    too_long = isinstance(error, psycopg.errors.ProgramLimitExceeded)  # for an index: a key, say
    return too_long or isinstance(error, OverflowError | UnicodeEncodeError | psycopg.DataError)


def is_starting(error: BaseException) -> bool:
    """Whether a server that could not be reached yet says that it can be soon. At that time it tells words alone."""
    return any(each in str(error) for each in _SOON)


def is_lost(error: BaseException) -> bool:
    """Whether it is the connection that failed, not a statement; another may do."""
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    state = error.sqlstate
    return state is None or state in _AWAY or state.startswith("08")


def not_taken(error: BaseException) -> NotStorableError:
    """Our error for a value that the server cannot store."""
    told = "a number is too large" if getattr(error, "sqlstate", "") == "22003" else _told(error)
    return NotStorableError(
        f"The table does not take such a value: {told}.", "Give whole numbers below 2^63 and plain text."
    )


def translate(error: Any, where: str) -> DatabaseError:
    """Our error for a driver's, told apart by its SQLSTATE.

    Args:
        where: its URL, with host, port, name and user and without a password.
    """
    state, told = getattr(error, "sqlstate", None), _told(error)
    if is_lost(error):
        refused = next((_REFUSED[code] for words, code in _UNREACHED.items() if re.search(words, told)), None)
        if refused is not None:  # it is there, and will say the same again
            return DatabaseError(f"The database refuses: {where}: {told}.", refused)
        step = _ASK.format(shlex.quote(where))
        return DatabaseBusyError(f"The database cannot be reached: {where}: {told}.", step)
    if state in _GIVEN_WAY or state == "57014":
        return DatabaseBusyError(
            f"The database stayed locked: {where}: {told}.",
            "See who holds it: clx doctor --db names the oldest transaction.",
        )
    if state == "53100":
        return DatabaseFullError(f"No space left for the database: {where}: {told}.", "Free some space on the server.")
    if state in _REFUSED:
        return DatabaseError(f"The database refuses: {where}: {told}.", _REFUSED[state])
    if isinstance(error, psycopg.IntegrityError):
        return OddRowError(
            f"A row of the database is not as CLX writes it, and cannot be changed ({told}): {where}.",
            "See which: clx db check",
        )
    return DatabaseError(f"The database failed ({state or type(error).__name__}: {told}): {where}.")


def _told(error: BaseException) -> str:
    """What the server or the driver says, in one line. libpq names host, port and user, and no password."""
    diag = getattr(error, "diag", None)
    text = (diag.message_primary if diag is not None else None) or str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not line.endswith("?")] or lines  # libpq's advice: ours is the next step
    return "; ".join(lines[:2]).rstrip(".") or type(error).__name__
