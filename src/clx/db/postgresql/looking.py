"""A look into the table with a SELECT of one's own, which can change nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from clx.db.postgresql.driver import driver, has_given_way, is_lost
from clx.errors import QueueError

if TYPE_CHECKING:
    from clx.db.postgresql.database import PostgresDatabase

_READS = re.compile(
    r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*(?:SELECT|WITH|VALUES|EXPLAIN|TABLE)\b", re.IGNORECASE | re.DOTALL
)


def select(database: PostgresDatabase, query: str, parameters: Any) -> list[dict[str, Any]]:
    """The rows of *query*, each a mapping of column to value.

    Raises:
        QueueError: it is no SELECT, or the server does not understand it.
        DatabaseError: the database cannot be read.
    """
    if not isinstance(query, str) or not _READS.match(query):
        raise QueueError("Only SELECT may look into the table.", "Jobs are changed by the methods of a Queue.")

    def look(connection: Any) -> list[dict[str, Any]]:
        connection.execute("BEGIN READ ONLY")
        try:
            cursor = connection.execute(query, parameters)
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in (cursor.fetchall() if names else ())]
        finally:
            connection.execute("ROLLBACK")

    try:
        return database.ask(look)
    except driver.Error as error:
        if is_lost(error) or has_given_way(error) or error.sqlstate == "57014":  # no fault of the query
            raise database.translated(error) from error
        raise QueueError(
            f"PostgreSQL does not take this query: {error.diag.message_primary or error}.", "Correct it."
        ) from error
