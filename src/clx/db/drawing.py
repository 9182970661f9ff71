"""What all tables are drawn with."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Integer, MetaData, text
from sqlalchemy import Text as AnyText

metadata = MetaData()
Number = BigInteger().with_variant(Integer, "sqlite")
"""A whole number of 64 bits: times are milliseconds."""
Text = AnyText().with_variant(AnyText(collation="C"), "postgresql")
"""Text that is compared byte by byte, whatever the language of the server."""


def where(condition: str) -> dict[str, Any]:
    """What makes an index hold only rows for which *condition* is true."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


def one_of(column: str, *values: str) -> str:
    """A rule that *column* has one of *values*.

    Not ``IN``: for more than two values SQLite builds a temporary table anew each time that it looks, which costs a
    twentieth of what it takes to enter a job.
    """
    return " OR ".join(f"{column} = '{value}'" for value in values)
