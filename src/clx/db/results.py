"""The results of jobs that have a key, kept for whoever asks for the same again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from clx.db.database import Database
from clx.db.models import Unreadable, decode_or_show
from clx.errors import QueueError

USED = "UPDATE results SET used_at = ? WHERE key = ? AND type = ?"
_USE_NOTED_EVERY = 24 * 3600 * 1000
"""Milliseconds between two notes that a result was used, so that most builds write none."""


def find_results(
    database: Database,
    keys: Sequence[str],
    type: str | None = None,  # noqa: A002
) -> dict[str, Any]:
    """Kept results of those *keys* that have one; they count as used, which keeps them from being pruned.

    Args:
        type: only of jobs of this type; None: whichever, where only one type has a key.

    Raises:
        QueueError: jobs of several types left a result for one key.
    """
    at = database.clock.now()
    rows = database.read(database.sql.results, {"keys": msgspec.json.encode(list(keys)).decode(), "type": type})
    found = {}
    for key, type_, result, _ in rows:
        if key in found:
            raise QueueError(
                f"Jobs of several types left a result for the key {key!r}, {type_} among them.",
                f'Say whose it should be: results([…], type="{type_}").',
            )
        found[key] = decode_or_show(result)
    note_use(database, [(key, type_, used_at) for key, type_, _, used_at in rows], at)
    return {key: result for key, result in found.items() if not isinstance(result, Unreadable)}


def stale_uses(used: Sequence[tuple[str, str, Any]], now: int) -> list[tuple[int, str, str]]:
    """Of some results, each with when it was last said to be used, those of which that is to be said again."""
    # what is no number another program wrote
    return [
        (now, key, type_)
        for key, type_, used_at in sorted(used, key=lambda each: each[:2])
        if not isinstance(used_at, int) or now - used_at > _USE_NOTED_EVERY
    ]


def note_use(database: Database, used: Sequence[tuple[str, str, Any]], now: int) -> None:
    """Say of kept results, as :func:`stale_uses` takes them, that they were used, where that was not said today."""
    stale = stale_uses(used, now)
    if stale and not database.readonly:
        database.write("use_results", lambda connection: connection.executemany(USED, stale))


def all_results(database: Database) -> list[tuple[str, Any]]:
    """Every kept result with its key: what the artifact store must keep."""
    return [(key, decode_or_show(result)) for key, result in database.read("SELECT key, result FROM results")]


class Kept(NamedTuple):
    """A kept result, and when it was made: milliseconds UTC."""

    result: Any
    created_at: int


def kept_result(database: Database, type: str, key: str) -> Kept | None:  # noqa: A002
    """The result that is kept for a key of a type; looked at, it does not count as used."""
    sql = "SELECT result, created_at FROM results WHERE key = ? AND type = ?"
    for result, created_at in database.read(sql, (key, type)):
        told = decode_or_show(result)
        # what is no number another program wrote
        return None if isinstance(told, Unreadable) else Kept(told, created_at if isinstance(created_at, int) else 0)
    return None


def kept_counts(database: Database, prefix: str) -> dict[str, int]:
    """How many results are kept of each type that begins with *prefix*."""
    sql = "SELECT type, COUNT(*) FROM results WHERE substr(type, 1, ?) = ? GROUP BY type ORDER BY type"
    return dict(database.read(sql, (len(prefix), prefix)))
