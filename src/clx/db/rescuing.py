"""The transactions of a queue, and how jobs are taken from workers that are silent or gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from clx.db import statements as sql
from clx.db import transitions
from clx.db.clock import now_ms
from clx.db.database import Database
from clx.db.leases import HELD_UP, SLACK, Lease, LeaseWatch
from clx.db.lookup import Lookup
from clx.errors import DatabaseBusyError, DatabaseFullError

T = TypeVar("T")

_ACKNOWLEDGED = frozenset({"enqueue", "enqueue_batch", "settle", "finish", "fail"})
"""What its caller relies on once it has returned."""


class Rescuing(Lookup):
    """What :class:`clx.db.jobs.Queue` does to the jobs of others.

    Args:
        database: an open :class:`~clx.db.database.Database`.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._watch = LeaseWatch()

    def _write(self, name: str, body: Callable[[Any, set[str]], T]) -> T:
        """One transaction, then the bells that *body* named."""
        bells: set[str] = set()

        def whole(connection: Any) -> T:
            bells.clear()
            return body(connection, bells)

        begun = time.monotonic()
        try:
            value = self.database.write(name, whole)
        except (DatabaseBusyError, DatabaseFullError):
            self.doubt_leases()
            raise
        if time.monotonic() - begun > HELD_UP:
            self.doubt_leases()
        if name in _ACKNOWLEDGED:
            self.database.require_in_place()
        self.database.doorbell.ring(*bells)
        return value

    def rescue(self, *, now: int | None = None, monotonic: int | None = None) -> list[int]:
        """Give every job whose lease is over to another worker, or fail it when its runs are used up.

        Args:
            now: the system's clock; given alone it is trusted, as tests want.
            monotonic: a clock that is never set, to notice steps of the other
                (:class:`~clx.db.leases.LeaseWatch`).

        Returns:
            The ids of the jobs taken from silent workers.
        """
        at = now_ms() if now is None else now
        steady = time.monotonic_ns() // 1_000_000 if monotonic is None else monotonic
        begun = time.monotonic()
        try:
            overdue = [Lease(*row) for row in self.database.read(sql.OVERDUE, {"now": at})]
            if now is None or monotonic is not None:
                implausible = [Lease(*row) for row in self.database.read(sql.IMPLAUSIBLE, {"now": at, "slack": SLACK})]
                overdue = self._watch.over(overdue, implausible, at, steady)
        except DatabaseBusyError:  # without a write-ahead log who writes keeps others from reading too
            self.doubt_leases()
            raise
        if not overdue:
            return []

        def body(connection: Any, bells: set[str]) -> list[int]:
            certain = overdue
            if time.monotonic() - begun > HELD_UP:  # as those were who would have renewed
                self.doubt_leases()
                certain = [lease for lease in overdue if self._watch.waited_out(lease)]
            return [
                lease.job_id
                for lease in certain
                if connection.execute(sql.UNRENEWED, (lease.job_id, lease.run, lease.until)).fetchone()
                and transitions.rescue(connection, lease.job_id, lease.run, {"kind": "silent"}, None, at, bells)
            ]

        return self._write("rescue", body)

    def doubt_leases(self) -> None:
        """After the table took nothing for a while: the next :meth:`rescue` leaves others the time to renew."""
        self._watch.distrust()

    def takes_writes(self) -> bool:
        """Whether the table takes writes at once; where it does not, nobody's silence says anything."""
        begun = time.monotonic()
        try:
            self.database.require_writable()
        except (DatabaseBusyError, DatabaseFullError):
            return False
        return time.monotonic() - begun <= HELD_UP

    def rescue_worker(
        self, worker_id: int, cause: Mapping[str, Any], *, stderr: str | None = None, now: int | None = None
    ) -> list[int]:
        """Give the running jobs of a worker known to be dead to another at once.

        Args:
            cause: how it died: ``{"kind": "signal", "signal": 9}``, ``{"kind": "exit", "code": 1}``, …
            stderr: its last lines.
        """
        at = now_ms() if now is None else now

        def body(connection: Any, bells: set[str]) -> list[int]:
            held = connection.execute(sql.HELD_BY, (worker_id,)).fetchall()
            return [id_ for id_, run in held if transitions.rescue(connection, id_, run, cause, stderr, at, bells)]

        return self._write("rescue_worker", body)
