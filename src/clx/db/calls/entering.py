"""How calls are entered: each is answered by what is recorded, kept or live, or else by a new job."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

from clx.db import finishing
from clx.db import statements as jobs
from clx.db.calls import statements as sql
from clx.db.calls.models import Call, Entered
from clx.db.entering import enter
from clx.db.inserting import require_limit
from clx.db.models import NewJob, Unreadable, decode_or_show, encode, row_to_insert
from clx.db.results import USED, stale_uses
from clx.db.transaction import Transaction
from clx.errors import LostRunError, QueueError

_CALLED = 0
"""The batch of jobs that are called: none, and yet they are not wanted for themselves."""


class _Row(NamedTuple):
    """What is recorded for a call: a job, if it is there still, or a kept result."""

    job_id: int | None
    is_there: bool


def fence(tx: Transaction, parent: tuple[int, int]) -> None:
    """See that a run is its worker's, and stays so until this transaction ends.

    Raises:
        LostRunError: it is not.
    """
    if finishing.running(tx, *parent) is None:
        raise LostRunError(f"Run {parent[1]} of job {parent[0]} is no longer this worker's; its calls were not taken.")


def check_calls(calls: Sequence[Call]) -> None:
    """Hold calls to jobs that can be called.

    Raises:
        QueueError: one needs others, or is unique for a time.
    """
    if any(call.job.needs or call.job.unique_for is not None for call in calls):
        raise QueueError("A job that is called has no needs, and is not unique for a time.", "Leave both out.")


def usable(row: Sequence[Any], ttl: int | None, now: int) -> tuple[Any] | None:
    """The kept result in *row* (``tx.sql.kept_results``), if it is one and not too old."""
    if ttl is not None and not (isinstance(row[3], int) and row[3] >= now - ttl):
        return None
    found = decode_or_show(row[2])
    return None if isinstance(found, Unreadable) else (found,)


class Entering:
    """Calls of one caller in one transaction, with a few statements for however many."""

    def __init__(
        self, tx: Transaction, parent: tuple[int, int] | None, calls: Sequence[Call], hits: Sequence[Call]
    ) -> None:
        self._tx, self._parent, self._calls, self._hits = tx, parent, calls, hits if parent else ()
        self._recorded: dict[tuple[str, int], _Row] = {}
        self._live: dict[tuple[str, str, str | None], tuple[int, bool]] = {}
        self._kept: dict[tuple[str, str], Sequence[Any]] = {}
        self._new: list[NewJob] = []
        self._ids: list[int] = []
        self._used: list[tuple[str, str, Any]] = []

    def done(self) -> list[Entered]:
        """Answer all of them.

        Raises:
            LostRunError: the run is not its worker's.
        """
        self._ask()
        # a number below 0 stands for a job that is not in the table yet: ~index in self._new
        found: dict[tuple[str, int] | int, Entered] = {}
        keyed: dict[tuple[str, str, str], int] = {}
        for index, call in enumerate(self._calls):
            at = (call.name, call.occurrence) if self._parent else index
            if at not in found:
                found[at] = self._answer(call, keyed)
        self._insert()
        found = {at: self._settled(each) for at, each in found.items()}
        self._note(found)
        return [
            found[(call.name, call.occurrence) if self._parent else index] for index, call in enumerate(self._calls)
        ]

    def _ask(self) -> None:
        """Ask the table for all there is; first the live ones, so that one which ends meanwhile has left its result."""
        tx, parent = self._tx, self._parent
        keys = {"keys": encode(sorted({call.job.key for call in self._calls if call.job.key is not None}))}
        statements: list[tuple[str, dict[str, Any]]] = []
        if parent:
            names = encode(sorted({call.name for call in (*self._calls, *self._hits)}))
            statements.append((tx.sql.running_run, {"id": parent[0], "run": parent[1]}))
            statements.append((tx.sql.recorded, {"parent": parent[0], "names": names}))
        if self._calls:
            statements += [(tx.sql.live_by_keys, keys), (tx.sql.kept_results, keys)]
        tx.ahead(statements)
        if parent:
            fence(tx, parent)
            for name, occurrence, job_id, there in tx.execute(*statements[1]).fetchall():
                self._recorded[name, occurrence] = _Row(job_id, there is not None)
        if self._calls:
            for job_id, pool, type_, key, is_ending in tx.execute(tx.sql.live_by_keys, keys).fetchall():
                self._live[pool, type_, key] = job_id, bool(is_ending)
            for row in tx.execute(tx.sql.kept_results, keys).fetchall():
                self._kept[row[0], row[1]] = row

    def _answer(self, call: Call, keyed: dict[tuple[str, str, str], int]) -> Entered:
        job = call.job
        recorded = self._recorded.get((call.name, call.occurrence))
        if recorded is not None and recorded.is_there:
            return Entered(recorded.job_id)
        was_kept = recorded is not None and recorded.job_id is None
        if job.key is None:
            return Entered(self._add(job))
        kept = self._kept.get((job.key, job.type))
        if kept is not None and (call.cache or was_kept):
            result = usable(kept, None if was_kept else call.ttl, self._tx.now)
            if result is not None:
                self._used.append((job.key, job.type, kept[4]))
                return Entered(None, result[0])
        known = (job.pool, job.type, job.key)
        if known not in keyed:
            keyed[known] = self._joined(known) or self._add(job)
        return Entered(keyed[known])

    def _joined(self, known: tuple[str, str, str]) -> int:
        """The live job of a key that a call may wait for; 0 where there is none."""
        job_id, is_ending = self._live.get(known, (0, False))
        if not is_ending:
            return job_id
        behind = self._tx.execute(self._tx.sql.behind_of, (job_id,)).fetchone()
        return 0 if behind is None else int(behind[0])

    def _add(self, job: NewJob) -> int:
        self._new.append(job)
        return ~(len(self._new) - 1)

    def _insert(self) -> None:
        """Enter the new jobs: plain ones with one statement."""
        tx, new = self._tx, self._new
        for limit in sorted({job.limit for job in new if job.limit is not None}):
            require_limit(tx, limit)
        plain = [index for index, job in enumerate(new) if self._is_plain(job)]
        rows = [row_to_insert(new[index], 0, _CALLED, tx.now) for index in plain]
        ids = dict(zip(plain, tx.insert_many(jobs.INSERT, rows), strict=True)) if rows else {}
        for index, job in enumerate(new):
            if index not in ids:
                ids[index] = enter(tx, job, 0, _CALLED, self._ending(job))
        self._ids = [ids[index] for index in range(len(new))]
        tx.bells.update(job.type for job in new)

    def _is_plain(self, job: NewJob) -> bool:
        is_usual = job.limit is None and job.expires is None and job.expires_in is None
        return is_usual and (job.key is None or self._ending(job) is None)

    def _ending(self, job: NewJob) -> int | None:
        """The live job of its key that was asked to end, behind which it waits."""
        return None if job.key is None else self._live.get((job.pool, job.type, job.key), (None,))[0]

    def _settled(self, each: Entered) -> Entered:
        """With the number that a new job has got, and for a program a mark."""
        job_id = each.job_id
        if job_id is None:
            return each
        mark = None if self._parent else secrets.token_hex(8)
        return Entered(self._ids[~job_id] if job_id < 0 else job_id, None, mark)

    def _note(self, found: dict[tuple[str, int] | int, Entered]) -> None:
        """Record what answers each call, and that kept results were used."""
        tx = self._tx
        if self._parent is None:
            wanted = [(each.job_id, each.mark, tx.now) for each in found.values() if each.mark is not None]
            if wanted:
                tx.enter_many(sql.WANT, wanted)
        else:
            self._record(self._parent[0], found)
        stale = stale_uses(self._used, tx.now)
        if stale:
            tx.executemany(USED, stale)

    def _record(self, parent: int, found: dict[tuple[str, int] | int, Entered]) -> None:
        tx, gone = self._tx, []
        rows: dict[tuple[str, int], tuple[Any, ...]] = {}
        for call in self._hits:
            at = (call.name, call.occurrence)
            if at not in self._recorded:
                rows[at] = (parent, *at, call.job.type, None, None, tx.now)
        for call in self._calls:
            at = (call.name, call.occurrence)
            before, now = self._recorded.get(at), found[at].job_id
            if before is not None and before.job_id != now:
                gone.append((parent, *at))
            elif before is not None:
                continue
            rows[at] = (parent, *at, call.job.type, now, None, tx.now)
        if gone:
            tx.executemany(sql.UNRECORD, gone)
        if rows:
            tx.enter_many(sql.RECORD, [*rows.values()])
