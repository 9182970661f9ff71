"""The calls of a database: entered with what answers them, remembered, looked at; and its routines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clx.db.calls import statements as sql
from clx.db.calls.entering import Entering, check_calls, fence, usable
from clx.db.calls.models import Call, Entered, Recorded, RoutineRow
from clx.db.calls.registry import Registry
from clx.db.consequences import drop_unwanted
from clx.db.database import Database
from clx.db.doorbell import ENDED
from clx.db.models import encode
from clx.db.odd_rows import Reader
from clx.db.results import note_use
from clx.db.transaction import Transaction
from clx.db.validation import check_id, check_moments
from clx.db.writer import Writer
from clx.errors import QueueError

_RECORDED = Reader(
    *(f"calls.{name}" for name in ("name", "occurrence", "type", "job_id")),
    "workers.reason",  # the state of the called job; NULL where there is none
    *(f"calls.{name}" for name in ("value", "created_at")),
)
Run = tuple[int, int]
"""A run of a workflow: the id of its job, and the number of the run."""


class Calls:
    """The calls of one database; :attr:`Queue.calls <clx.db.jobs.Queue.calls>` has them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._writer = Writer(database)
        self._write = self._writer.write
        self._registry = Registry(database)

    def find(self, calls: Sequence[Call]) -> dict[str, Any]:
        """Kept results that answer some calls, by the keys of their jobs; only reads.

        Whoever goes on without :meth:`enter` hands these calls to the next one as *hits*.
        """
        asked = {(call.job.key, call.job.type): call.ttl for call in calls if call.cache and call.job.key is not None}
        if not asked:
            return {}
        now = self.database.clock.now()
        rows = self.database.read(self.database.sql.kept_results, {"keys": encode([key for key, _ in asked])})
        found, used = {}, []
        for row in rows:
            known = (row[0], row[1])
            if known in asked and (result := usable(row, asked[known], now)) is not None:
                found[row[0]] = result[0]
                used.append((row[0], row[1], row[4]))
        note_use(self.database, used, now)
        return found

    def enter(self, parent: Run | None, calls: Sequence[Call], hits: Sequence[Call] = ()) -> list[Entered]:
        """Answer calls, each by the first of these that there is, and record that under their caller:

        the job, or kept result, that is recorded for it; a kept result; a live job of its pool, type and key; a new
        job. A live one that was asked to end is not joined: the new job waits behind it.

        Args:
            parent: the run that calls; None for a program, for which nothing is recorded but that it wants each job.
            hits: calls that :meth:`find` has answered, to be recorded with these.

        Returns:
            For each of *calls* what answers it.

        Raises:
            LostRunError: the run is no longer its worker's; nothing was changed.
            QueueError: a job has needs, or is unique for a time; its limit is not set; or JSON cannot say its payload.
        """
        if not (calls or (hits and parent)):
            return []
        self._check(calls, hits)
        return self._write("enter_calls", lambda tx: Entering(tx, parent, calls, hits).done())

    def enter_at_once(
        self, parent: Run | None, calls: Sequence[Call], hits: Sequence[Call] = ()
    ) -> list[Entered] | None:
        """As :meth:`enter`, for who must not wait: None, and nothing was done, where that takes more than moments."""
        self._check(calls, hits)
        found = self._writer.write_at_once("enter_calls", lambda tx: Entering(tx, parent, calls, hits).done())
        return None if found is None else found[0]

    def _check(self, calls: Sequence[Call], hits: Sequence[Call]) -> None:
        check_calls([*calls, *hits])
        check_moments([call.job for call in calls], self.database.clock)

    def leave(self, job_id: int, mark: str) -> None:
        """A program wants a job no more; where nobody else does, it is cancelled, or asked to end if it runs.

        A job that has ended nobody wants any more, and nobody has to leave.

        Args:
            mark: as :meth:`enter` has given it.
        """
        check_id(job_id)

        def body(tx: Transaction) -> None:
            tx.execute(tx.sql.job_to_change, (job_id,)).fetchall()  # whoever wants it too has said so, or waits
            if tx.execute(sql.LEAVE, (job_id, mark)).rowcount:
                tx.bells.add(ENDED)
                drop_unwanted(tx, job_id)

        self._write("leave_call", body)

    def remember(self, parent: Run, name: str, occurrence: int, text: str) -> str:
        """Keep a value under a run, unless there is one of that name; returns the one that is kept.

        Args:
            text: the value as JSON.

        Raises:
            LostRunError: the run is no longer its worker's.
            QueueError: a call of that name is recorded there.
        """

        def body(tx: Transaction) -> str:
            fence(tx, parent)
            row = tx.execute(sql.VALUE, (parent[0], name, occurrence)).fetchone()
            if row is None:
                tx.execute(sql.RECORD, (parent[0], name, occurrence, None, None, text, tx.now))
            elif row[0] is None:
                raise QueueError(f"What is recorded as {name!r} is a call.", "Call the value something else.")
            return text if row is None else str(row[0])

        return self._write("remember_value", body)

    def of(self, parent_id: int) -> list[Recorded]:
        """What is recorded under a job, oldest first."""
        check_id(parent_id)
        found = (Recorded(*_RECORDED.read(row)[0]) for row in self.database.read(sql.OF, (parent_id,)))
        return sorted(found, key=lambda each: (each.created_at, each.job_id or 0, each.name, each.occurrence))

    def parents_of(self, job_id: int) -> list[int]:
        """The ids of the jobs that have called one, ended ones too; and 0 where a program waits for it."""
        check_id(job_id)
        return sorted(row[0] for row in self.database.read(sql.PARENTS, {"id": job_id}))

    def forget(self, type: str, key: str | None = None) -> int:  # noqa: A002
        """Remove kept results of a type, or the one of a key; returns how many there were."""
        named = {"type": type, "key": key}
        return self._write("forget_results", lambda tx: int(tx.execute(sql.FORGET, named).rowcount))

    def register(self, routines: Sequence[RoutineRow]) -> None:
        """As :meth:`clx.db.calls.registry.Registry.register`."""
        self._registry.register(routines)

    def disarm(self, id_: str) -> bool:
        """As :meth:`clx.db.calls.registry.Registry.disarm`."""
        return self._registry.disarm(id_)

    def routines(self) -> list[RoutineRow]:
        """Every routine that a worker has, or had within the last months, by id."""
        return self._registry.list()
