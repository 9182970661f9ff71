"""The transactions of a queue: past rows that other programs wrote, and many jobs in slices."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from clx.commands import told_in
from clx.db import finishing
from clx.db.database import Database
from clx.db.odd_rows import odd_live_jobs
from clx.db.transaction import Transaction
from clx.errors import DatabaseBusyError, NotStorableError, OddRowError, QueueError

log = logging.getLogger("clx.queue")

T = TypeVar("T")
K = TypeVar("K", int, str)

SLICE = 500
"""Jobs that one transaction of a bulk call changes: some 20 ms, for which others wait."""
_IN_THE_WAY = (OddRowError, QueueError, TypeError, ValueError, ArithmeticError)
"""What a transaction ends in where a value is not what its column should hold."""
_ACKNOWLEDGED = frozenset(
    {
        "enqueue",
        "enqueue_batch",
        "deposit",
        "withdraw",
        "update_works",
        "exchange_works",
        "enter_results",
        "enter_calls",
        "remember_value",
        "settle",
        "finish",
        "fail",
        "cancel",
        "retry",
        "pause",
        "resume",
        "set_limit",
    }
)
"""What its caller relies on once it has returned."""


class Writer:
    """Writes to the jobs of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, name: str, body: Callable[[Transaction], T]) -> T:
        """One transaction; again once the jobs whose odd rows it failed at have been failed.

        Raises:
            QueueError: as *body*; what to type next names the database.
            DatabaseError: as :meth:`~clx.db.database.Database.write`; or the file was removed or replaced.
        """
        try:
            value = self._write(name, body)
        except QueueError as error:
            error.next_step = told_in(error.next_step, self._database.path)
            raise
        if name in _ACKNOWLEDGED:
            self._database.require_in_place()
        return value

    def write_at_once(self, name: str, body: Callable[[Transaction], T]) -> tuple[T] | None:
        """As :meth:`write`, for who must not wait: None, and nothing was done, where it takes more than moments."""
        try:
            value = self._database.write_at_once(name, body)
        except _IN_THE_WAY:  # who takes the time to wait hears of it, or does away with it
            return None
        if value is not None and name in _ACKNOWLEDGED:
            self._database.require_in_place()
        return value

    def _write(self, name: str, body: Callable[[Transaction], T]) -> T:
        try:
            return self._database.write(name, body)
        except _IN_THE_WAY as error:
            asked_wrongly = isinstance(error, QueueError) and not isinstance(error, NotStorableError)
            if self._database.is_in_haste and not asked_wrongly:
                raise DatabaseBusyError("A row of the job table is odd.", "Call again, and wait.") from error
            if asked_wrongly or not self.put_odd_aside():
                raise
            return self._database.write(name, body)

    def put_odd_aside(self) -> list[int]:
        """Fail every live job whose row is odd, with the reason; returns their ids."""

        def body(tx: Transaction) -> list[int]:
            odd = odd_live_jobs(tx)
            finishing.put_aside(tx, odd)
            return list(odd)

        found = self._database.write("put_aside", body)
        if found:
            log.warning("jobs %s were failed: another program wrote their rows", ", ".join(map(str, found)))
        return found

    def write_in_slices(
        self, name: str, ids: Sequence[K], body: Callable[[Sequence[K], Transaction], list[T]]
    ) -> list[T]:
        """Many jobs, some hundred in a transaction, with a pause after each: everybody else's calls go on meanwhile."""
        done: list[T] = []
        for first in range(0, len(ids), SLICE):
            begun = time.monotonic()
            part = ids[first : first + SLICE]
            done += self.write(name, partial(body, part))
            if first + SLICE < len(ids):
                time.sleep(min(0.05, (time.monotonic() - begun) / 2))
        return done
