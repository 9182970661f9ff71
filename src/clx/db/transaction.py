"""What every transition of a job is told of the transaction that it is a part of."""

from __future__ import annotations

from typing import Any


class Transaction:
    """One writing transaction: its connection, its time, and whom to wake once it is committed.

    Attributes:
        execute, executemany: those of its connection.
        now: its time in milliseconds UTC. Taken when the lock was ours: before, it would be old by as long as the
            table was locked.
        bells: names to ring (:mod:`clx.db.doorbell`); nobody is woken for what is not committed.
    """

    __slots__ = ("bells", "execute", "executemany", "now")

    def __init__(self, connection: Any, now: int) -> None:
        self.execute = connection.execute
        self.executemany = connection.executemany
        self.now = now
        self.bells: set[str] = set()
