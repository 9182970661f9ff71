"""What a job table gives, whatever keeps it: rows to read, transactions to write in, bells to wake by, a clock."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from clx.commands import SERVED
from clx.db.clock import Clock
from clx.db.dialect import Dialect, in_parts, named
from clx.db.doorbell import Doorbell
from clx.db.leases import LeaseWatch
from clx.db.state import StateDirectory
from clx.db.transaction import Transaction
from clx.errors import QueueError

T = TypeVar("T")
Row = tuple[Any, ...]
Params = Mapping[str, Any] | Sequence[Any]


class Database(ABC):
    """One job table, open. Usable from several threads; not across a fork: every process opens its own.

    Attributes:
        path: its file, or the one that stands for it on this machine.
        readonly: it is never created, migrated or written.
        state: the directory beside it.
        clock: what tells the time.
        doorbell: wakes those who wait for something in it.
        leases: what this process has seen of leases; told of every wait for the table, for whom it kept waiting, it
            kept from renewing.
        waits_since: since when somebody here waits for a lock, on the monotonic clock; 0 when nobody does.
        sql: the statements that it understands.
    """

    path: Path
    readonly: bool
    state: StateDirectory
    clock: Clock
    doorbell: Doorbell
    leases: LeaseWatch
    waits_since: float
    sql: ClassVar[Dialect]

    @property
    def is_served(self) -> bool:
        """Whether it is a server's, so that processes of several machines may use it."""
        return self.path.name.endswith(SERVED)

    @property
    def name(self) -> str:
        """What it is called in messages; never with a password."""
        return str(self.path)

    @classmethod
    def open(cls, path: Path, **options: Any) -> Database:
        """Open what lies at *path*, creating or migrating it where needed.

        Args:
            path: a file of SQLite, or one that stands for a database of a server
                (:mod:`clx.db.postgresql.address`).
            options: as :class:`~clx.db.sqlite.database.SqliteDatabase` takes them.

        Raises:
            DatabaseError: it cannot be opened, is locked for too long, damaged, or of a newer CLX.
        """
        if path.name.endswith(SERVED):
            from clx.db.postgresql.database import PostgresDatabase

            return PostgresDatabase.open(path, **options)
        from clx.db.sqlite.database import SqliteDatabase

        return SqliteDatabase.open(path, **options)

    @abstractmethod
    def read(self, sql: str, params: Params = ()) -> list[Row]:
        """All rows of one query.

        Raises:
            DatabaseError: it cannot be read.
        """

    @abstractmethod
    def look(self, body: Callable[[Any], T]) -> T:
        """What *body*, which only reads, finds by this thread's connection.

        Raises:
            DatabaseError: the database cannot be read.
        """

    @abstractmethod
    def write(self, name: str, body: Callable[[Transaction], T]) -> T:
        """Run *body* in one writing transaction, and ring the bells it named once that is committed.

        *body* may run again when the database was busy, so it must have no other effects. It begins when the lock is
        ours, and so does the time of its transaction. *name* names the crash points around the COMMIT.

        Returns:
            The value of *body*.

        Raises:
            DatabaseError: it was not committed; or this thread is in the middle of a transaction, and a signal
                handler, say, wants another.
        """

    def is_any_claimable(self, pool: str, types: Sequence[str]) -> bool:
        """Whether a job of one of these types can be claimed, delayed ones that are due aside."""
        return any(
            self.read(self.sql.claimable_of(len(part)), {"pool": pool, **named("type", part)})
            for part in in_parts(types)
        )

    def find_marks(self, pool: str, types: Sequence[str], *, idle: bool = False) -> None:  # noqa: B027
        """See from where claims need to look, where it is time to (:meth:`Transaction.marks`).

        Args:
            idle: nothing is being claimed.
        """

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[Any]:
        """Several reads that see one state of the table, by a connection."""

    @abstractmethod
    def waiting_until(self, is_over: Callable[[], bool]) -> AbstractContextManager[None]:
        """Within it this thread waits for the locks of others only until *is_over*, asked now and again."""

    def write_at_once(self, name: str, body: Callable[[Transaction], T]) -> tuple[T] | None:  # noqa: ARG002
        """As :meth:`write`, for who must not wait: None, and nothing was done, where it may take more than moments."""
        return None

    def at_once(self) -> AbstractContextManager[None]:
        """Within it this thread waits for nobody, where :attr:`is_at_hand`.

        A write that would have to raises DatabaseBusyError, and has done nothing.
        """
        return nullcontext()

    @property
    def is_in_haste(self) -> bool:
        """Whether this thread is within :meth:`at_once`."""
        return False

    def see_to_log(self) -> None:  # noqa: B027
        """Do what writes :meth:`at_once` have left to a thread that may wait."""

    @property
    def is_at_hand(self) -> bool:
        """Whether a short look takes less time than to ask a thread for it."""
        return False

    @abstractmethod
    def require_writable(self) -> float:
        """See that a transaction can begin now, after one wait where :meth:`write` has several.

        Returns:
            How many seconds it had to wait.

        Raises:
            DatabaseBusyError: another process keeps it locked.
        """

    @abstractmethod
    def revision(self) -> str | None:
        """The schema of its tables; None where there are none."""

    @abstractmethod
    def is_in_place(self) -> bool:
        """Whether what was opened is still what its name leads to; what is written to another is lost."""

    @abstractmethod
    def require_in_place(self) -> None:
        """See that what has just been committed is where its name leads: the cheap half of :meth:`is_in_place`.

        Raises:
            DatabaseError: it was removed or replaced.
        """

    @abstractmethod
    def connection(self) -> Any:
        """This thread's connection, opened now where it has none."""

    def let_go(self) -> None:  # noqa: B027
        """Close this thread's connection to a server, where others may want its place; it is opened again when used."""

    @abstractmethod
    def faults(self) -> list[str]:
        """What the database itself finds wrong with its structure, in words."""

    @abstractmethod
    def select(self, query: str, parameters: Any) -> list[dict[str, Any]]:
        """The rows of a *query* that somebody else wrote, each a mapping of column to value; it changes nothing.

        Raises:
            QueueError: it is no SELECT, or the database does not understand it.
        """

    @abstractmethod
    def backup(self, target: Path) -> int:
        """Copy all of it to the file *target*, also while it is used; returns the size of that in bytes.

        Raises:
            UsageError: *target* exists, or cannot be written.
            DatabaseError: it cannot be read.
        """

    def within(self, connection: Any) -> Any:  # noqa: ARG002
        """What puts jobs in within a transaction of somebody else's *connection*.

        Raises:
            QueueError: there is no such thing here, or the connection is of another kind or database.
        """
        raise QueueError(
            "A queue in a file shares no transaction with anybody.",
            'Open the queue in your PostgreSQL database: Queue.open("postgresql://…").',
        )

    @abstractmethod
    def vacuum(self) -> int:
        """Give the space of removed rows back to the file system; returns how many bytes that were.

        Raises:
            DatabaseBusyError: somebody uses the database.
        """

    def size(self) -> int:
        """Bytes that it takes, as far as can be told."""
        return self.path.stat().st_size

    @property
    @abstractmethod
    def closed(self) -> bool:
        """Whether it is of no more use."""

    @abstractmethod
    def close(self) -> None:
        """Close every connection of this object, which is of no more use."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
