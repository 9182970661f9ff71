"""What follows for a Work when something happens to its job, in the same transaction.

Nothing is asked of the table for a job of another type.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from clx.db.transaction import Transaction
from clx.db.works import statements as sql
from clx.db.works.models import WORK, is_work


class _Job(Protocol):
    @property
    def id(self) -> int: ...
    @property
    def type(self) -> Any: ...


def note_ends(tx: Transaction, ended: Iterable[_Job]) -> None:
    """Jobs have ended."""
    for each in ended:
        if is_work(each.type):
            note_end(tx, each.id)


def note_end(tx: Transaction, job_id: int) -> None:
    """The job of a Work has ended."""
    step = _step(tx.execute(sql.END, {"id": job_id, "now": tx.now * 1000}).fetchall())
    if step is not None:
        tx.steps.add(step)


def _step(rows: Sequence[Sequence[Any]]) -> int | None:
    """The step of a pipeline that a work is of."""
    return rows[0][0] if rows and isinstance(rows[0][0], int) else None


def note_begun(tx: Transaction, types: Iterable[str], jobs: Sequence[_Job]) -> list[Sequence[Any]]:
    """Jobs of these types were claimed; returns the rows of the Works among them, as :data:`.models.OWN_COLUMNS`."""
    if not any(type_.startswith(WORK) for type_ in types):
        return []
    now = tx.now * 1000
    begun = (tx.execute(sql.BEGIN, {"id": each.id, "now": now}).fetchall() for each in jobs if is_work(each.type))
    return [row for rows in begun for row in rows]


def note_waiting(tx: Transaction, job_id: int, type_: Any, *, released: bool = False) -> None:
    """A job that ran waits again.

    Args:
        released: as if its run had not been.
    """
    if is_work(type_):
        step = _step(tx.execute(sql.WAIT, {"id": job_id, "released": int(released)}).fetchall())
        if step is not None:
            from clx.db.pipelines.advancing import work_waits

            work_waits(tx, step, job_id)


def note_retried(tx: Transaction, job_id: int, type_: Any) -> None:
    """A job that had ended waits again; its attempts go on counting, and one at least is left."""
    if is_work(type_):
        note_waiting(tx, job_id, type_)
        limit_runs(tx, job_id)


def limit_runs(tx: Transaction, job_id: int) -> None:
    """See that a job has as many runs left as its Work has attempts; one at least where it waits for its first."""
    row = tx.execute(sql.ATTEMPTS_LEFT, (job_id,)).fetchone()
    if row is not None:
        tx.execute(sql.RUNS_LEFT, {"id": job_id, "left": max(0, row[0])})
