"""Queues in files of SQLite."""

from __future__ import annotations

from clx.db.jobs import Queue
from clx.db.sqlite.database import SqliteDatabase


def file_of(queue: Queue) -> SqliteDatabase:
    """The database of a queue, which is a file."""
    assert isinstance(queue.database, SqliteDatabase)
    return queue.database
