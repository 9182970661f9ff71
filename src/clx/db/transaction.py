"""What every transition of a job is told of the transaction that it is a part of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeVar

from clx.db.dialect import Dialect

T = TypeVar("T")


class Write(Protocol):
    """Runs a body in a transaction, which has a name."""

    def __call__(self, name: str, body: Callable[[Transaction], T], /) -> T:
        """What the body returns."""


class Transaction(ABC):
    """One writing transaction: its connection, its time, and whom to wake once it is committed.

    Attributes:
        sql: the statements of its database.
        execute, executemany: those of its connection.
        now: its time in milliseconds UTC. Taken when the lock was ours: before, it would be old by as long as the
            table was locked.
        bells: names to ring (:mod:`clx.db.doorbell`); nobody is woken for what is not committed.
        steps: steps of pipelines of which a work has ended; what follows is seen to before the commit.
    """

    __slots__ = ("bells", "execute", "executemany", "now", "steps")
    sql: ClassVar[Dialect]

    def __init__(self, connection: Any, now: int) -> None:
        self.execute = connection.execute
        self.executemany = connection.executemany
        self.now = now
        self.bells: set[str] = set()
        self.steps: set[int] = set()

    def conclude(self) -> None:
        """See to what follows from all that was done; the last thing before the commit."""
        if self.steps:
            from clx.db.pipelines.advancing import works_ended

            works_ended(self)

    def ahead(self, statements: Sequence[tuple[str, Mapping[str, Any]]]) -> None:  # noqa: B027
        """Have *statements* run at once where each would cost a way to a server; :attr:`execute` then finds them done.

        Whoever calls this must have each executed once, with the same parameters.
        """

    def marks(self, pool: str, type_: str) -> str:  # noqa: ARG002
        """From where a claim needs to look, as a parameter of its statements; nothing where it looks at all."""
        return ""

    @abstractmethod
    def insert(self, statement: str, values: Sequence[Any]) -> int:
        """Enter one row into a table that numbers its rows; returns its number."""

    @abstractmethod
    def enter_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Enter some rows into a table that does not number them."""

    @abstractmethod
    def insert_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> list[int]:
        """Enter some rows into a table that numbers its rows; returns their numbers, in their order."""
