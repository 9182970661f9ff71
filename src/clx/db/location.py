"""From what a user writes to an open database: a path or a URL."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from clx.db.database import Database
from clx.errors import UsageError

MEMORY = "memory:"
"""The queue that lives and ends with the object that opened it."""


def open_database(path_or_url: str | Path, **options: Any) -> Database:
    """Open the database that *path_or_url* names: a path, ``sqlite:///PATH?journal_mode=…`` or ``memory:``.

    Raises:
        UsageError: the URL has another scheme, or an option that no database takes.
        DatabaseError: as :meth:`clx.db.database.Database.open` says.
    """
    text = str(path_or_url)
    if text == MEMORY:
        from clx.db.memory import MemoryDatabase

        return MemoryDatabase.open(Path(MEMORY))
    if "://" not in text:
        return Database.open(Path(text), **options)
    parts = urlsplit(text)
    given = dict(parse_qsl(parts.query))
    if parts.scheme != "sqlite" or parts.netloc:
        raise UsageError(f"{text} is not a database CLX can open.", "Write a path, or sqlite:///PATH.")
    if set(given) - {"journal_mode"} or given.get("journal_mode", "wal") not in {"wal", "delete"}:
        raise UsageError(f"{text}: only journal_mode=wal or journal_mode=delete can be set.", "Correct the URL.")
    return Database.open(Path(unquote(parts.path)[1:]), **{**given, **options})
