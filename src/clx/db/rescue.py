"""How jobs are taken from workers that are silent or gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clx.db import statements as sql
from clx.db import transitions
from clx.db.database import Database
from clx.db.leases import HELD_UP, SLACK, Lease
from clx.db.odd_rows import Reader
from clx.db.transaction import Transaction
from clx.db.writer import Writer
from clx.errors import DatabaseBusyError, DatabaseFullError

_LEASE = Reader.of("jobs", ("id", "run", "lease_until", "lease", "worker_id"))


class Rescuer:
    """Takes the jobs of one database from those who do not hold them any more."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database = database
        self._writer = writer

    def rescue(self) -> list[int]:
        """As :meth:`clx.db.jobs.Queue.rescue`."""
        overdue = self._find_over()
        if not overdue:
            return []
        is_certain, leases = self._database.clock.is_certain, self._database.leases

        def body(tx: Transaction) -> list[int]:
            lost = [
                lease
                for lease in overdue
                # who would have renewed may have waited for the lock as this one did
                if (is_certain or leases.is_still_over(lease))
                and tx.execute(sql.UNRENEWED, (lease.job_id, lease.until)).fetchone()
            ]
            beside_others = {lease: bool(tx.execute(sql.HOLDS_OTHERS, (lease.worker,)).fetchone()[0]) for lease in lost}
            return [
                lease.job_id
                for lease, innocent in beside_others.items()
                if transitions.rescue(tx, lease.job_id, lease.run, transitions.SILENT, None, innocent=innocent)
            ]

        return self._writer.write("rescue", body)

    def _find_over(self) -> list[Lease]:
        """The leases that are over, by a look without the write lock."""
        read, clock = self._database.read, self._database.clock
        now = clock.now()
        overdue = self._leases(read(sql.OVERDUE, {"now": now}))
        if clock.is_certain:
            return overdue
        implausible = self._leases(read(sql.IMPLAUSIBLE, {"now": now, "slack": SLACK}))
        return self._database.leases.over(overdue, implausible, now, clock.steady())

    def _leases(self, rows: Sequence[Sequence[Any]]) -> list[Lease]:
        """The leases of *rows*; a job whose lease cannot be told is failed, for nothing would ever end it."""
        found = [(*_LEASE.read_quickly(row), row) for row in rows]
        if any(odd for _, odd, _ in found):
            self._writer.put_odd_aside()
        return [Lease(*row) for _, odd, row in found if not odd]

    def takes_writes(self) -> bool:
        """As :meth:`clx.db.jobs.Queue.takes_writes`."""
        try:
            return self._database.require_writable() <= HELD_UP
        except (DatabaseBusyError, DatabaseFullError):
            return False

    def rescue_worker(
        self,
        worker_id: int,
        cause: Mapping[str, Any],
        stderr: str | None,
        is_lost: Callable[[Transaction], bool],
        end: Callable[[Transaction], None],
    ) -> list[int]:
        """As :meth:`clx.db.jobs.Queue.rescue_worker`."""

        def body(tx: Transaction) -> list[int]:
            if not is_lost(tx):
                return []
            held = tx.execute(sql.HELD_BY, (worker_id,)).fetchall()
            several = len(held) > 1
            rescued = [id_ for id_, run in held if transitions.rescue(tx, id_, run, cause, stderr, innocent=several)]
            end(tx)
            return rescued

        return self._writer.write("rescue_worker", body)
