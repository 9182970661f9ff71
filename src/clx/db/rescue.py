"""How jobs are taken from workers that are silent or gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clx.db import limits
from clx.db import statements as sql
from clx.db.calls.models import is_workflow
from clx.db.calls.statements import HANGS
from clx.db.consequences import end_dependents
from clx.db.database import Database
from clx.db.doorbell import ENDED
from clx.db.expiring import expire_due
from clx.db.finishing import Running, account, record, running
from clx.db.leases import HELD_UP, SLACK, Lease
from clx.db.models import encode
from clx.db.odd_rows import Reader
from clx.db.transaction import Transaction
from clx.db.works.following import note_waiting
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
                and tx.execute(tx.sql.unrenewed, (lease.job_id, lease.until)).fetchone()
            ]
            beside_others = {
                lease: bool(tx.execute(sql.HOLDS_OTHERS, {"worker": lease.worker}).fetchone()[0]) for lease in lost
            }
            return [
                lease.job_id
                for lease, innocent in beside_others.items()
                if rescue_run(tx, lease.job_id, lease.run, SILENT, None, innocent=innocent)
            ]

        return self._writer.write("rescue", body)

    def sweep(self) -> None:
        """Cancel what has not begun in time, and let go what a limit needs not hold back any more."""
        now = self._database.clock.now()
        read = self._database.read
        expired = [0]
        while expired and read(sql.EXPIRED, (now,)):
            expired = self._writer.write("expire", expire_due)
        if names := sorted(row[0] for row in read(self._database.sql.limits_with_room, {"now": now})):
            self._writer.write("let_go", lambda tx: limits.let_go(tx, names))

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
            tx.execute(tx.sql.worker_to_end, (worker_id,))  # from here on it claims nothing
            held = tx.execute(tx.sql.held_by, (worker_id,)).fetchall()
            several = len(held) > 1
            last = _begun_last(tx, held) if several else None
            rescued = [
                id_ for id_, run in held if rescue_run(tx, id_, run, cause, stderr, innocent=several and id_ != last)
            ]
            end(tx)
            return rescued

        return self._writer.write("rescue_worker", body)


SILENT = {"kind": "silent"}
"""The cause of a rescue from a worker whose lease was over; it may live."""


def rescue_run(
    tx: Transaction,
    job_id: int,
    run: int,
    cause: Mapping[str, Any],
    stderr: str | None,
    *,
    innocent: bool = False,
) -> bool:
    """Take one run from a worker that is gone or silent; false when it has ended meanwhile.

    Args:
        innocent: the worker held others too, and nobody knows which one was its end: the run does not count. A job
            that was rescued is only held by itself from then on, so the next time it is known. A workflow that waits
            for what it has called is innocent, too, unless this was the last of its runs.
    """
    held = running(tx, job_id, run)
    if held is None:
        return False
    if is_workflow(held.type) and not innocent and held.counted < held.max_runs:
        innocent = _hangs(tx, job_id)
    killed = int(not innocent and cause.get("kind") != "silent")
    state, outcome = "queued", "released" if innocent else "rescued"
    if held.cancel_requested:
        state = "cancelled"
        tx.execute(sql.CANCEL, (tx.now, None, job_id))
    elif innocent or held.counted < held.max_runs:
        # after a first time the job is retried at once; from the second on it is claimed last
        rank = sql.CLAIMED_LAST if held.rescues == 1 else 0
        params = {"id": job_id, "kills": killed, "released": int(innocent), "rank": rank}
        tx.execute(sql.REQUEUE_RESCUED, params)
        note_waiting(tx, job_id, held.type, released=innocent)
        tx.bells.add(held.type)
    else:
        state = "failed"
        error = encode(_killer(tx, held, killed, cause))
        tx.execute(sql.COUNT_RESCUE, (killed, job_id))
        tx.execute(sql.FAIL, (tx.now, error, job_id))
    record(tx, held, outcome, cause=encode(cause), stderr=stderr)
    account(tx, held.worker, failed=int(not innocent), is_alive=False)
    if state != "queued":
        end_dependents(tx, job_id, held.type, state)
    if held.limit is not None:
        limits.free(tx, held.limit)
    tx.bells.add(ENDED)
    return True


def _hangs(tx: Transaction, job_id: int) -> bool:
    return tx.execute(HANGS, (job_id,)).fetchone() is not None


def _begun_last(tx: Transaction, held: Sequence[Sequence[int]]) -> int | None:
    """The workflow that a host has begun last of those that it held, if that one was at work and no other began then.

    Where one is the end of its host, it soon is so again: a host begins those that were rescued apart from each other.
    """
    found = [each for id_, run in held if (each := running(tx, id_, run)) is not None and is_workflow(each.type)]
    found = [each for each in found if not _hangs(tx, each.job_id)]
    found.sort(key=_begun_at, reverse=True)
    alone = len(found) == 1 or (len(found) > 1 and _begun_at(found[0]) > _begun_at(found[1]))
    return found[0].job_id if alone else None


def _begun_at(run: Running) -> tuple[int, bool]:
    return run.started_at, run.rescues > 0


def _killer(tx: Transaction, run: Running, killed: int, cause: Mapping[str, Any]) -> dict[str, Any]:
    """Why a job has failed whose last run was rescued."""
    kills = run.kills + killed
    before = tx.execute(sql.SILENCES, (run.job_id,)).fetchone()[0]
    silences = min(before + (not killed), run.counted - kills)
    parts = []
    if kills:
        parts.append(f"killed its worker {kills} times" if kills > 1 else "killed its worker")
    if silences:
        parts.append("its worker was silent for a lease" + (f", {silences} times" if silences > 1 else ""))
    return {
        "type": "WorkerKilled" if kills else "WorkerSilent",
        "message": "; ".join(parts),
        "next_step": f"See `clx jobs show {run.job_id}` for the cause of each run.",
        "cause": dict(cause),
    }
