"""The transactions of a queue, and how jobs are taken from workers that are silent or gone."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from clx.db import statements as sql
from clx.db import transitions
from clx.db.clock import now_ms
from clx.db.leases import HELD_UP, SLACK, Lease
from clx.db.lookup import Lookup
from clx.db.odd import Reader, odd_live_jobs
from clx.db.sqlite.driver import UNBOUND
from clx.db.transaction import Transaction, transact
from clx.errors import DatabaseBusyError, DatabaseFullError, OddRowError, QueueError

log = logging.getLogger("clx.queue")

T = TypeVar("T")

_LEASE = Reader.of("jobs", ("id", "run", "lease_until", "lease", "worker_id"))
SLICE = 500
"""Jobs that one transaction of a bulk call changes: some 20 ms, for which others wait."""
_IN_THE_WAY = (OddRowError, QueueError, TypeError, ValueError, ArithmeticError)
"""What a transaction ends in where a value is not what its column should hold."""
_ACKNOWLEDGED = frozenset({"enqueue", "enqueue_batch", "settle", "finish", "fail", "cancel", "retry"})
"""What its caller relies on once it has returned."""


class Rescuing(Lookup):
    """What :class:`clx.db.jobs.Queue` does to the jobs of others.

    Args:
        database: an open :class:`~clx.db.sqlite.database.Database`.
    """

    def _write(self, name: str, body: Callable[[Transaction], T], now: int | None = None) -> T:
        """One transaction, then the bells that *body* named."""
        value, bells = transact(self._write_past_odd_rows, name, body, now)
        if name in _ACKNOWLEDGED:
            self.database.require_in_place()
        self.database.doorbell.ring(*bells)
        return value

    def _write_past_odd_rows(self, name: str, body: Callable[[Any], T]) -> T:
        """One transaction; again once the jobs whose odd rows it failed at have been failed."""
        try:
            return self.database.write(name, body)
        except _IN_THE_WAY as error:
            asked_wrongly = isinstance(error, QueueError) and not isinstance(error.__cause__, UNBOUND)
            if asked_wrongly or not self._put_odd_aside():
                raise
            return self.database.write(name, body)

    def _put_odd_aside(self) -> list[int]:
        """Fail every live job whose row is odd, with the reason; returns their ids."""

        def body(tx: Transaction) -> list[int]:
            odd = odd_live_jobs(tx)
            transitions.put_aside(tx, odd)
            return list(odd)

        found, bells = transact(self.database.write, "put_aside", body, None)
        if found:
            log.warning("jobs %s were failed: another program wrote their rows", ", ".join(map(str, found)))
        self.database.doorbell.ring(*bells)
        return found

    def _write_in_slices(
        self,
        name: str,
        ids: Sequence[int],
        body: Callable[[Sequence[int], Transaction], list[int]],
        now: int | None,
    ) -> list[int]:
        """Many jobs, some hundred in a transaction, with a pause after each: everybody else's calls go on meanwhile."""
        done: list[int] = []
        for first in range(0, len(ids), SLICE):
            begun = time.monotonic()
            part = ids[first : first + SLICE]
            done += self._write(name, partial(body, part), now)
            if first + SLICE < len(ids):
                time.sleep(min(0.05, (time.monotonic() - begun) / 2))
        return done

    def rescue(self, *, now: int | None = None, monotonic: int | None = None) -> list[int]:
        """Give every job whose lease is over to another worker, or fail it when its runs are used up.

        Args:
            now: the system's clock; given alone it is trusted, as tests want.
            monotonic: a clock that is never set, to notice steps of the other
                (:class:`~clx.db.leases.LeaseWatch`).

        Returns:
            The ids of the jobs taken from silent workers.
        """
        is_certain = now is not None and monotonic is None
        overdue = self._find_over(now, monotonic, is_certain=is_certain)
        if not overdue:
            return []

        def body(tx: Transaction) -> list[int]:
            lost = [
                lease
                for lease in overdue
                # who would have renewed may have waited for the lock as this one did
                if (is_certain or self.database.leases.is_still_over(lease))
                and tx.execute(sql.UNRENEWED, (lease.job_id, lease.until)).fetchone()
            ]
            beside_others = {lease: bool(tx.execute(sql.HOLDS_OTHERS, (lease.worker,)).fetchone()[0]) for lease in lost}
            return [
                lease.job_id
                for lease, innocent in beside_others.items()
                if transitions.rescue(tx, lease.job_id, lease.run, transitions.SILENT, None, innocent=innocent)
            ]

        return self._write("rescue", body, now)

    def _find_over(self, now: int | None, monotonic: int | None, *, is_certain: bool) -> list[Lease]:
        """The leases that are over, by a look without the write lock."""
        read = self.database.read
        at = now_ms() if now is None else now
        overdue = self._leases(read(sql.OVERDUE, {"now": at}))
        if is_certain:
            return overdue
        implausible = self._leases(read(sql.IMPLAUSIBLE, {"now": at, "slack": SLACK}))
        return self.database.leases.over(overdue, implausible, at, _steady_ms() if monotonic is None else monotonic)

    def _leases(self, rows: Sequence[Sequence[Any]]) -> list[Lease]:
        """The leases of *rows*; a job whose lease cannot be told is failed, for nothing would ever end it."""
        found = [(*_LEASE.read_quickly(row), row) for row in rows]
        if any(odd for _, odd, _ in found):
            self._put_odd_aside()
        return [Lease(*row) for _, odd, row in found if not odd]

    def distrust_leases(self, waited: float = math.inf) -> None:
        """After this program was away for a while: leave others, who may have been too, the time to renew.

        What it waits for the table is noted by :meth:`~clx.db.sqlite.database.Database.write` itself.

        Args:
            waited: for how many seconds; leases of which that is a small part are believed all the same.
        """
        self.database.leases.distrust(waited)

    def takes_writes(self) -> bool:
        """Whether the table takes writes at once; where it does not, nobody's silence says anything."""
        try:
            return self.database.require_writable() <= HELD_UP
        except (DatabaseBusyError, DatabaseFullError):
            return False

    def rescue_worker(
        self,
        worker_id: int,
        cause: Mapping[str, Any],
        *,
        stderr: str | None = None,
        now: int | None = None,
        is_lost: Callable[[Transaction], bool] = lambda _: True,
        end: Callable[[Transaction], None] = lambda _: None,
    ) -> list[int]:
        """Give the running jobs of a worker known to be dead to another at once.

        Where it held several, none of them counts a run: nobody knows which one it died of.

        Args:
            cause: how it died: ``{"kind": "signal", "signal": 9}``, ``{"kind": "exit", "code": 1}``, …
            stderr: its last lines.
            is_lost: asked in the transaction: whether it is dead indeed.
            end: what else is to be written down about it.

        Returns:
            The ids of its jobs; none where it is not lost.
        """

        def body(tx: Transaction) -> list[int]:
            if not is_lost(tx):
                return []
            rescued = _rescue_all(tx, worker_id, cause, stderr)
            end(tx)
            return rescued

        return self._write("rescue_worker", body, now)


def _rescue_all(tx: Transaction, worker_id: int, cause: Mapping[str, Any], stderr: str | None) -> list[int]:
    held = tx.execute(sql.HELD_BY, (worker_id,)).fetchall()
    several = len(held) > 1
    return [id_ for id_, run in held if transitions.rescue(tx, id_, run, cause, stderr, innocent=several)]


def _steady_ms() -> int:
    return time.monotonic_ns() // 1_000_000
