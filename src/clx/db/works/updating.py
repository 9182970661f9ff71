"""How works are changed by their documents: fenced, and with all that a change of their status means for the job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from clx.db import finishing, leases
from clx.db.cancelling import request_cancel
from clx.db.claiming import Claim
from clx.db.consequences import end_dependents, unlock
from clx.db.doorbell import ENDED as ENDED_BELL
from clx.db.models import Failure, Success, encode
from clx.db.retrying import retry
from clx.db.transaction import Transaction
from clx.db.works import statements as sql
from clx.db.works.depositing import end, error_of
from clx.db.works.following import limit_runs, note_end
from clx.db.works.models import ENDED, SAID, Document, Fields, Found, bounded, fields_of, found_from_row


class Row(NamedTuple):
    """A work that is to be changed, which this transaction has alone."""

    job_id: int
    id: str
    type: str
    state: str
    run: int
    released: int
    priority: int
    timeout: int | None
    attempt: int
    retries: int
    status: str
    locked: int
    in_bucket: int
    in_results: int
    creation: int
    start: int | None
    stop: int | None
    site: str
    owner: str


class Change(NamedTuple):
    """A document that a work is to have.

    Attributes:
        run: the run of whoever holds the work; None: who sends it knows of no runs.
        said: what that run has said and taken, where its end is told with it.
    """

    id: str
    run: int | None
    document: Document
    fields: Fields
    said: Mapping[str, Any] | None


def changes(documents: Sequence[Document], *, was_json: bool = False) -> list[Change]:
    """Documents, checked; those without an id are of no work. *was_json*: as of :func:`.models.fields_of`.

    Raises:
        QueueError: names a field that is not possible.
    """
    found = []
    for document in documents:
        fields, run = fields_of(document, was_json=was_json), document.get("run")
        is_run = isinstance(run, int) and not isinstance(run, bool)
        said = document.get(SAID) if is_run else None
        told = said if isinstance(said, Mapping) else None
        found.append(Change(str(document.get("id") or ""), run if is_run else None, document, fields, told))
    return found


def rows_by_id(tx: Transaction, ids: Sequence[str]) -> dict[str, Row]:
    """Works by id, their jobs locked in one order."""
    if len(ids) == 1:  # as nearly always: a list costs twice as much
        rows = tx.execute(tx.sql.work_to_change, ids).fetchall()
    else:
        rows = tx.execute(tx.sql.works_to_change, {"ids": encode(list(ids))}).fetchall()
    return {row[1]: Row._make(row) for row in rows}


def update(
    tx: Transaction, todo: Sequence[Change], worker: int, *, again: bool, told: dict[str, Found] | None = None
) -> list[bool]:
    """Give works these documents; returns for each whether it was taken.

    Args:
        worker: who holds a work from now on of which a document says that it runs.
        again: whether a work that failed and has attempts left waits at once.
        told: gets those that were taken as they are then, by id, but for steps of pipelines: more may follow for these.
    """
    rows = rows_by_id(tx, [each.id for each in todo])
    taken = []
    for each in todo:
        row = rows.get(each.id)
        taken.append(row is not None and _may(row, each) and _change(tx, row, each, worker, again=again))
        if row is not None and taken[-1]:
            _store(tx, row, each, told)
        if len(rows) < len(todo):  # one may be named twice
            rows |= rows_by_id(tx, [each.id])
    return taken


def _may(row: Row, change: Change) -> bool:
    """Whether who sends it was not given up on, it is not locked, and stays in its pipeline."""
    if change.fields.type != row.type:
        return False
    if row.locked and change.fields.locked:
        return False
    if change.run is not None:
        return change.run == row.run
    return change.fields.attempt >= row.attempt


def _change(tx: Transaction, row: Row, change: Change, worker: int, *, again: bool) -> bool:
    """Do what the status of a document says; false where that cannot be any more."""
    status = change.fields.status
    if change.run is not None and not _holds(row, status):
        return False
    if row.state == "running":
        _ask(tx, row, change)
        is_done = _of_running(tx, row, change, again=again)
    elif row.state == "queued":
        is_done = _of_waiting(tx, row, change, worker)
        if is_done and status == "queued":
            _ask(tx, row, change)
    else:
        is_done = _of_ended(tx, row, change)
    if is_done and change.said is not None:
        note_run(tx, row.id, row.run, change.said.get("output"), change.said.get("peak_memory"))
    return is_done


def _holds(row: Row, status: str) -> bool:
    """Whether the run that is a work's newest still is somebody's, or may end late, or adds to how it has ended."""
    if row.state == "running":
        return True
    return status == "success" if row.state in {"queued", "failed"} else row.status == status


def _of_running(tx: Transaction, row: Row, change: Change, *, again: bool) -> bool:
    status = change.fields.status
    if status == "running":
        progress = change.document.get("progress")
        told = None if progress is None else encode(progress)
        return leases.renew(tx, row.job_id, row.run, progress=told) is not None
    if status == "success":
        worker = finishing.succeed(tx, Success(row.job_id, row.run), "null")
        return _counted(tx, worker, succeeded=1)
    if status == "failure":
        error = error_of(change.document.get("error"))
        report = Failure(row.job_id, row.run, error, again, 0)
        ended = finishing.fail(tx, report)
        return _counted(tx, None if ended is None else ended[0], failed=1)
    if status == "queued":
        return finishing.release(tx, row.job_id, row.run)
    request_cancel(tx, row.job_id)
    return finishing.release(tx, row.job_id, row.run)


def note_run(tx: Transaction, work_id: str, run: int, output: Any, peak_memory: Any) -> bool:
    """Keep what a run that has ended said, as a text, and took, in bytes; whatever else these are is left out."""
    is_number = isinstance(peak_memory, int) and not isinstance(peak_memory, bool) and 0 <= peak_memory < 1 << 63
    named = {
        "id": work_id, "run": run, "said": (bounded(output) or None) if isinstance(output, str) else None,
        "peak_memory": peak_memory if is_number else None,
    }  # fmt: skip
    return bool(tx.execute(sql.NOTE_RUN, named).fetchall())


def _counted(tx: Transaction, worker: int | None, *, succeeded: int = 0, failed: int = 0) -> bool:
    if worker is not None:
        finishing.account(tx, worker, succeeded=succeeded, failed=failed)
    return worker is not None


def _of_waiting(tx: Transaction, row: Row, change: Change, worker: int) -> bool:
    status = change.fields.status
    if change.run is not None:
        return _succeeded_late(tx, row)
    if status == "running":
        claim = Claim(tx, worker, [row.type], "", 1, change.fields.timeout, harmless=False)
        claim.prepare()
        return bool(claim.take_one(row.job_id))
    if status == "success" and row.run and _succeeded_late(tx, row):
        return True
    if status in ENDED:
        end(tx, row.job_id, status, change.document.get("error"))
        if status == "success":
            unlock(tx, row.job_id, row.type)
        else:
            end_dependents(tx, row.job_id, row.type, "failed" if status == "failure" else "cancelled")
    return True


def _succeeded_late(tx: Transaction, row: Row) -> bool:
    """Take the success of a run that was given up on for its silence alone, and that nobody has begun anew."""
    return _counted(tx, finishing.succeed(tx, Success(row.job_id, row.run), "null"), succeeded=1)


def _of_ended(tx: Transaction, row: Row, change: Change) -> bool:
    status = change.fields.status
    if status == row.status:
        return True
    if status == "queued":
        return bool(retry(tx, [row.job_id]))
    if status == "running":
        return False
    if change.run is not None or (status == "success" and _succeeded_late(tx, row)):
        return change.run is None or _succeeded_late(tx, row)
    end(tx, row.job_id, status, change.document.get("error"))
    note_end(tx, row.job_id)
    return True


def _ask(tx: Transaction, row: Row, change: Change) -> None:
    """Have the job wait and run as the document says now."""
    asked = change.fields
    if (asked.priority, asked.timeout) != (row.priority, row.timeout):
        named = {"priority": asked.priority, "timeout": asked.timeout, "now": tx.now, "id": row.job_id}
        tx.execute(sql.ASK, named)
    if (asked.retries, asked.attempt) != (row.retries, row.attempt):
        tx.execute(sql.COUNT, {"retries": asked.retries, "attempt": asked.attempt, "job": row.job_id})
        limit_runs(tx, row.job_id)


def _store(tx: Transaction, row: Row, change: Change, told: dict[str, Found] | None) -> None:
    """Keep the document, and what of it is searched; read in *told* what it is then."""
    new = change.fields
    named = {
        "job": row.job_id,
        "site": new.site,
        "owner": new.owner,
        "creation": row.creation if new.creation is None else new.creation,
        "start": None if new.start == row.start else new.start,
        "stop": None if new.stop == row.stop else new.stop,
        "attempt": None if new.attempt == row.attempt else new.attempt,
        "retries": new.retries,
        "archived": new.archived,
        "locked": new.locked,
        "names_artifacts": new.names_artifacts,
        "document": new.document,
    }
    if told is None:
        tx.execute(sql.STORE, named)
    else:
        ((step, *now),) = tx.execute(sql.STORE_AND_TELL, named).fetchall()
        if step is None:
            told[row.id] = found_from_row(now)
    tx.bells.add(ENDED_BELL)
    known = {tuple(label) for label in tx.execute(sql.LABELS, (row.job_id,)).fetchall()}
    if gone := known - new.labels:
        tx.executemany(sql.UNLABEL, [(row.job_id, *label) for label in sorted(gone)])
    if added := new.labels - known:
        tx.enter_many(sql.LABEL, [(row.job_id, *label) for label in sorted(added)])


# -- moving on, removing --------------------------------------------------------------------------------


def delete(tx: Transaction, ids: Sequence[str], store: str | None) -> list[str]:
    """Remove works, but for locked ones; live ones end before. Returns the ids of those that were there.

    Args:
        store: only from ``"bucket"`` or ``"results"``: what is in the other one stays; None: altogether.
    """
    gone = []
    for row in sorted(rows_by_id(tx, ids).values()):
        is_there = {"bucket": row.in_bucket, "results": row.in_results, None: 1}[store]
        if row.locked or not is_there:
            continue
        gone.append(row.id)
        if store == "bucket" and row.in_results:
            tx.execute(sql.LEAVE_BUCKET, (row.job_id,))
        elif store == "results" and row.in_bucket:
            tx.execute(sql.LEAVE_RESULTS, (row.job_id,))
        else:
            remove(tx, row)
    return gone


def remove(tx: Transaction, row: Row) -> None:
    """Remove a work altogether; who waits for it hears that it was cancelled."""
    is_live = request_cancel(tx, row.job_id) is not None
    if is_live and row.state == "running":
        finishing.release(tx, row.job_id, row.run)
    tx.execute(sql.DELETE, (row.job_id,))
    tx.bells.add(ENDED_BELL)


def expire(tx: Transaction, row: Row) -> bool:
    """Fail a running work whose time is over; whether it waits again is somebody else's to say."""
    error = {"type": "WorkTimeout", "message": "its time was over before its end was told"}
    ended = finishing.fail(tx, Failure(row.job_id, row.run, error))
    return _counted(tx, None if ended is None else ended[0], failed=1)


def lock(document: Mapping[str, Any], *, locked: bool) -> Document:
    """A document whose results are locked, or not."""
    results = document.get("results")
    return {**document, "results": {**(results if isinstance(results, Mapping) else {}), "locked": locked}}
