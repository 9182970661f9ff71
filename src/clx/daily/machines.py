"""Machines with workers, and the room that is left on them for a day."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from clx.db.workers import WorkerRow, WorkerTable

if TYPE_CHECKING:
    from clx.db.database import Database

LITTLE = 1 << 30
"""Bytes that a day should find free."""


class Machine(NamedTuple):
    """A machine with workers that live.

    Attributes:
        workers: how many.
        heard_at: when one of them was heard of last, milliseconds UTC.
        free: bytes free where its workers keep what they make, the least that one of them told; None: none tells.
    """

    host: str
    workers: int
    heard_at: int
    free: int | None

    @property
    def is_short(self) -> bool:
        """Whether so little is free that a day may not fit."""
        return self.free is not None and self.free < LITTLE


def machines_of(database: Database) -> list[Machine]:
    """The machines of a job table by name."""
    by_host: dict[str, list[WorkerRow]] = {}
    for row in WorkerTable(database).list():
        by_host.setdefault(row.host, []).append(row)
    return [
        Machine(
            host,
            len(rows),
            max(row.heartbeat_at for row in rows),
            min((row.free_disk for row in rows if row.free_disk is not None), default=None),
        )
        for host, rows in sorted(by_host.items())
    ]
