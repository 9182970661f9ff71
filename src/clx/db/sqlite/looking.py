"""A look into the table with a SELECT of one's own, which can change nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from clx.db.sqlite.driver import BUSY, driver, error_name, translate
from clx.errors import QueueError

if TYPE_CHECKING:
    from clx.db.sqlite.database import SqliteDatabase

_READS = re.compile(r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*(?:SELECT|WITH|VALUES|EXPLAIN)\b", re.IGNORECASE | re.DOTALL)


def select(database: SqliteDatabase, query: str, parameters: Any) -> list[dict[str, Any]]:
    """The rows of *query*, each a mapping of column to value.

    Raises:
        QueueError: it is no SELECT, or SQLite does not understand it.
        DatabaseError: the database cannot be read.
    """
    if not isinstance(query, str) or not _READS.match(query):
        raise QueueError("Only SELECT may look into the table.", "Jobs are changed by the methods of a Queue.")

    def look(connection: Any) -> list[dict[str, Any]]:
        connection.execute("PRAGMA query_only = ON")
        try:
            cursor = connection.execute(query, parameters)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        finally:
            connection.execute("PRAGMA query_only = OFF")

    try:
        return database.ask(look)
    except (driver.OperationalError, driver.ProgrammingError, driver.Warning) as error:
        if error_name(error) in BUSY:
            raise translate(error, database.path, reading=True) from error
        raise QueueError(f"SQLite does not take this query: {error}.", "Correct it.") from error
    except driver.DatabaseError as error:
        raise translate(error, database.path, reading=True) from error
