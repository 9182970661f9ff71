"""How queued jobs are given to a worker: in claim order over all its types, and only what it can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clx.db import limits
from clx.db import statements as sql
from clx.db.dialect import in_parts, named
from clx.db.expiring import expire_claimed
from clx.db.finishing import put_aside
from clx.db.models import Job, encode, job_from_row
from clx.db.transaction import Transaction
from clx.db.works.following import note_begun
from clx.errors import LostWorkerError

_ROUNDS = 50
"""Times that one claim looks for others in place of those that turned out not to be claimable."""


class Claim:
    """One claim of up to *n* queued jobs for *worker*, in claim order over all *types*.

    Args:
        lease: milliseconds; None: as many as each job may take.
        harmless: give at most one that was rescued before, or that has a single run, and that one first.
        promote: let delayed jobs that are due take part; else only where no other is left.

    Attributes:
        statements: what it asks first, where one statement looks for all; else none.
        works: rows of the Works among what was claimed last.
    """

    __slots__ = ("_harmless", "_n", "_params", "_promote", "_tx", "_types", "statements", "works")

    def __init__(
        self,
        tx: Transaction,
        worker: int,
        types: Sequence[str],
        pool: str,
        n: int,
        lease: int | None,
        *,
        harmless: bool,
        promote: bool = True,
    ) -> None:
        self._tx, self._types, self._n, self._harmless, self._promote = tx, types, n, harmless, promote
        self._params = {"worker": worker, "lease": lease, "now": tx.now, "pool": pool}
        self.works: list[Sequence[Any]] = []
        self.statements: list[tuple[str, Mapping[str, Any]]] = []
        if tx.sql.claim_company and len(types) == 1 and (harmless or n == 1):
            named = {**self._params, "type": types[0], "n": n, "promote": int(promote)}
            named["marks"] = tx.marks(pool, types[0])
            self.statements = [(tx.sql.may_claim, self._asker()), (tx.sql.claim_company, named)]

    def _asker(self) -> dict[str, Any]:
        return {"worker": self._params["worker"], "now": self._tx.now}

    def take(self) -> tuple[list[Job], bool]:
        """Give them to the worker.

        A job that nobody can read is failed with the reason instead, one whose time is over is cancelled, and one that
        its limit leaves no room for is held back.

        Returns:
            The jobs, and whether so many delayed ones were due that some were left for the next time.

        Raises:
            LostWorkerError: the worker was struck off.
        """
        taken, flooded = self._take()
        self.works = note_begun(self._tx, self._types, taken)
        return taken, flooded

    def prepare(self) -> None:
        """What goes before :meth:`take_one`: delayed jobs that are due take part.

        Raises:
            LostWorkerError: the worker was struck off.
        """
        if self._look()[0]:
            _promote(self._tx)

    def take_one(self, job_id: int) -> list[Job]:
        """Give a job that waits to the worker; nothing where somebody else has it, or it may not begin."""
        tx = self._tx
        rows = tx.execute(tx.sql.claim_these, {**self._params, "n": 1, "ids": encode([job_id])}).fetchall()
        taken = _admitted(tx, [job_from_row(row, quickly=True) for row in rows])
        self.works = note_begun(tx, self._types, taken)
        return taken

    def _look(self) -> tuple[bool, bool]:
        """Whether delayed jobs are due, and some are paused."""
        live, due, some_paused = self._tx.execute(self._tx.sql.may_claim, self._asker()).fetchone()
        if not live:
            raise LostWorkerError(
                f"Worker {self._params['worker']} was struck off and may not claim jobs.", "Register it again."
            )
        return due, some_paused

    def _take(self) -> tuple[list[Job], bool]:
        tx, params = self._tx, self._params
        due, some_paused = self._look()
        taken: list[Job] = []
        if self.statements:
            rows = tx.execute(*self.statements[1]).fetchall()
            found = sorted((job_from_row(row, quickly=True) for row in rows), key=_claim_order)
            taken = _admitted(tx, found)
            if taken and (len(taken) == len(found) or _must_be_alone(taken[0])):
                return taken, False
            if not (found or due or some_paused or self._types[0] in tx.bells):  # rung: a report has let one go
                return [], False
        types = self._types
        if some_paused:
            paused = {row[0] for row in tx.execute(sql.PAUSED_OF_POOL, (params["pool"],)).fetchall()}
            types = [type_ for type_ in types if type_ not in paused]
        flooded = bool(due) and self._promote and _promote(tx)
        _take_readable(tx, types, params, self._n, taken, harmless=self._harmless)
        if due and not self._promote and not taken:
            flooded = _promote(tx)
            _take_readable(tx, types, params, self._n, taken, harmless=self._harmless)
        return taken, flooded


def _promote(tx: Transaction) -> bool:
    """Let delayed jobs that are due be claimed; returns whether there may be more."""
    promoted = tx.execute(tx.sql.promote, (tx.now, sql.PROMOTED)).fetchall()
    tx.bells.update(row[0] for row in promoted)
    return len(promoted) == sql.PROMOTED


def _take_readable(
    tx: Transaction, types: Sequence[str], params: dict[str, Any], n: int, taken: list[Job], *, harmless: bool
) -> None:
    """Add to *taken* until it has *n*."""
    for _ in range(_ROUNDS):
        if len(taken) >= n or not types:
            break
        alone = harmless and not taken
        wanted = 1 if alone else n - len(taken)
        params["n"] = wanted
        found, is_all = _take(tx, types, params, harmless=harmless and not alone)
        if not found:
            break
        admitted = _admitted(tx, found)
        taken += admitted
        if alone and admitted and (is_all or _must_be_alone(admitted[0])):
            break
        if len(admitted) == len(found) and not alone:
            break  # there are no more
    else:
        tx.bells.update(types)  # what may be behind all those is looked for in another transaction


def _must_be_alone(job: Job) -> bool:
    """Whether it is not held beside others: it would take them with it, or keep a place that another could have."""
    return job.rescues > 0 or job.max_runs == 1 or job.limit is not None


def _admitted(tx: Transaction, found: list[Job]) -> list[Job]:
    """Those of *found*, just claimed, that may begin; what becomes of the others is done."""
    for job in found:
        if job.odd or job.expires_at is not None or job.limit is not None:
            break
    else:  # as nearly always
        return found
    if any(job.odd for job in found):
        put_aside(tx, {job.id: job.odd for job in found if job.odd})
        found = [job for job in found if not job.odd]
    if any(job.expires_at is not None for job in found):
        late = [job for job in found if job.expires_at is not None and job.expires_at <= tx.now]
        for job in late:
            expire_claimed(tx, job)
        found = [job for job in found if job not in late]
    if any(job.limit is not None for job in found):
        found = limits.admit(tx, found)
    return found


def _take(tx: Transaction, types: Sequence[str], params: dict[str, Any], *, harmless: bool) -> tuple[list[Job], bool]:
    """Give the first jobs of *types* to a worker; in claim order. And whether it is known that there are no others."""
    n = params["n"]
    if len(types) == 1:
        one = tx.sql.claim_harmless if harmless else tx.sql.claim_one if n == 1 else tx.sql.claim_many
        params["type"], params["marks"] = types[0], tx.marks(params["pool"], types[0])
        rows = tx.execute(one, params).fetchall()
        jobs = [job_from_row(row, quickly=True) for row in rows]
        return sorted(jobs, key=_claim_order) if n > 1 else jobs, False
    return _take_of_several(tx, types, params, harmless=harmless)


def _take_of_several(
    tx: Transaction, types: Sequence[str], params: dict[str, Any], *, harmless: bool
) -> tuple[list[Job], bool]:
    """The same over several types: a look without locks, then only those are taken that come first."""
    wanted, spare, is_all = params["n"], tx.sql.spare, False
    taken: list[Job] = []
    while len(taken) < wanted:
        most = wanted - len(taken)
        queued = _queued(tx, types, params, most + spare + 1, harmless=harmless)
        ids = [row[2] for row in sorted(queued, key=_numbers_first)[: most + spare]]
        if not ids:
            break
        rows = tx.execute(tx.sql.claim_these, {**params, "n": most, "ids": encode(ids)}).fetchall()
        by_id = {row[0]: job_from_row(row, quickly=True) for row in rows}
        taken += [by_id[id_] for id_ in ids if id_ in by_id]
        is_all = len(queued) == len(rows)
        if len(ids) < most + spare:
            break  # there are no more
        spare *= 4  # others are taking all these
    return taken, is_all


def _queued(tx: Transaction, types: Sequence[str], params: dict[str, Any], n: int, *, harmless: bool) -> list[Any]:
    """The first *n* of each type that wait, some types with each statement."""
    found: list[Any] = []
    for part in in_parts(types):
        marks = [tx.marks(params["pool"], each) for each in part]
        asked = {"pool": params["pool"], "n": n, **named("type", part), **named("marks", marks)}
        found += tx.execute(tx.sql.next_of(len(part), harmless=harmless), asked).fetchall()
    return found


def _claim_order(job: Job) -> tuple[int, int, int, int]:
    deadline = sql.NO_TIME if job.deadline is None else job.deadline
    return (int(job.rescues >= 2), -job.priority, deadline, job.id)


def _numbers_first(row: tuple[Any, ...]) -> list[tuple[bool, Any]]:
    """A sort key as SQLite orders: what is no number, which only other programs write, comes last."""
    return [(False, value) if isinstance(value, int | float) else (True, 0) for value in row]
