"""What every transition of a job is told of the transaction that it is a part of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from clx.db.clock import now_ms

T = TypeVar("T")


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


def transact(
    write: Callable[[str, Callable[[Any], T]], T],
    name: str,
    body: Callable[[Transaction], T],
    now: int | None,
) -> tuple[T, set[str]]:
    """Run *body* in one transaction of *write* (:meth:`~clx.db.sqlite.database.Database.write`).

    Args:
        now: its time; None: the clock's when the lock is ours.

    Returns:
        The value of *body*, and the names to ring: those of the attempt that was committed.
    """
    made: list[Transaction] = []

    def whole(connection: Any) -> T:
        made[:] = [Transaction(connection, now_ms() if now is None else now)]
        return body(made[0])

    value = write(name, whole)
    return value, made[0].bells
