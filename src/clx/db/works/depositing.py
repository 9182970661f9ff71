"""How works come in: a job, a row and labels for each, and nothing for one that has come in before."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from clx.db import statements as jobs
from clx.db.models import encode
from clx.db.transaction import Transaction
from clx.db.works import statements as sql
from clx.db.works.models import (
    ENDED,
    Document,
    Fields,
    Key,
    deposit_key,
    fields_of,
    job_row,
    new_id,
    parameters_in,
)
from clx.errors import QueueError

SAME_FOR = 60_000
"""Milliseconds in which a deposit that is made again is known to be the same."""
_Row = tuple[Any, ...]


class New(NamedTuple):
    """A work to be deposited: its document, checked, and by what it is known when it comes again; None: by nothing.

    Attributes:
        step: the step of a pipeline that it is of.
    """

    document: Document
    fields: Fields
    key: Key | None
    step: int | None = None


def new_works(documents: Sequence[Document], *, was_json: bool = False) -> list[New]:
    """Documents, checked; *was_json*: as of :func:`.models.fields_of`.

    Raises:
        QueueError: names a field that is not possible.
    """
    found = []
    for document in documents:
        fields = fields_of(document, was_json=was_json)
        found.append(New(document, fields, deposit_key(document, fields)))
    return found


def deposit(tx: Transaction, works: Sequence[New], apart: Collection[str] = ()) -> list[str]:
    """Queue works; returns their ids, those of before for what has come in before.

    Args:
        apart: ids of works that are others, though alike: those of earlier parts of the same call.

    Raises:
        QueueError: a work has an id that is taken.
    """
    if len(works) == 1 and works[0].key is None and works[0].document.get("id") is not None:
        return [_deposit_one(tx, works[0])]
    known = _known(tx, works, apart) | _known_by_id(tx, works)
    new = [each for index, each in enumerate(works) if index not in known]
    ids = [_id(tx, each) for each in new]
    job_ids = _enter_jobs(tx, new, ids)
    _enter_rows(tx, new, ids, job_ids, in_bucket=1)
    tx.bells.update(each.fields.type for each in new)
    fresh = iter(ids)
    return [known[index] if index in known else next(fresh) for index in range(len(works))]


def _deposit_one(tx: Transaction, work: New) -> str:
    """Queue a work that has an id, as each has that a program deposits by itself: nothing is done that many need."""
    fields, work_id = work.fields, str(work.document["id"])
    job_id = tx.insert(jobs.INSERT, job_row(fields, work_id, tx.now))
    if not tx.execute(sql.NEW_WORK, _row(work, work_id, job_id, tx.now, 1)).rowcount:  # it is there already: rarely
        tx.execute(sql.DELETE, (job_id,))
        found = tx.execute(sql.KNOWN_BY_ID, (work_id,)).fetchone()
        if found is None or tuple(found[1:]) != (fields.pipeline, fields.creation):
            raise _taken(work_id)
        return work_id
    if fields.labels:
        tx.enter_many(sql.LABEL, [(job_id, kind, value) for kind, value in sorted(fields.labels)])
    tx.bells.add(fields.type)
    return work_id


def _known(tx: Transaction, works: Sequence[New], apart: Collection[str]) -> dict[int, str]:
    """Which of *works* have come in a moment before, as often as they have: the same twice in one call are two."""
    keys = [each.key for each in works]
    if not any(keys):
        return {}
    if tx.sql.in_turn_of:  # two that bring the same at once
        tx.execute(tx.sql.in_turn_of, {"what": repr(keys)})
    moments = sorted({key.creation for key in keys if key is not None})
    since = tx.now - SAME_FOR
    if len(moments) == 1:  # as nearly always: a list costs three times as much
        rows = tx.execute(sql.CREATED_AT, {"moment": moments[0], "since": since}).fetchall()
    else:
        rows = tx.execute(tx.sql.created_at, {"moments": encode(moments), "since": since}).fetchall()
    there: dict[Key | None, list[str]] = {}
    for work_id, creation, pipeline, owner, text in rows:
        if work_id not in apart:
            there.setdefault(Key(creation, pipeline, owner, parameters_in(text)), []).append(work_id)
    return {index: there[key].pop(0) for index, key in enumerate(keys) if there and there.get(key)}


def _id(tx: Transaction, work: New) -> str:
    given = work.document.get("id")
    return new_id(tx.now) if given is None else str(given)


def _known_by_id(tx: Transaction, works: Sequence[New]) -> dict[int, str]:
    """Which of *works* have come in before by the id that each has.

    Raises:
        QueueError: another work has the id of one of them.
    """
    given = {index: str(each.document["id"]) for index, each in enumerate(works) if each.document.get("id") is not None}
    if not given:
        return {}
    ids = list(given.values())
    if len(ids) == 1:
        rows = tx.execute(sql.KNOWN_BY_ID, ids).fetchall()
    else:
        rows = tx.execute(tx.sql.known_by_ids, {"ids": encode(ids)}).fetchall()
    there = {row[0]: row[1:] for row in rows}
    for index, work_id in given.items():
        fields = works[index].fields
        if work_id in there and there[work_id] != (fields.pipeline, fields.creation):
            raise _taken(work_id)
    if len(set(ids)) < len(ids):
        raise _taken(next(each for each in ids if ids.count(each) > 1))
    return {index: work_id for index, work_id in given.items() if work_id in there}


def _taken(work_id: str) -> QueueError:
    return QueueError(f"There is a work {work_id} already.", "Deposit it without an id: it gets one of its own.")


def _enter_jobs(tx: Transaction, works: Sequence[New], ids: Sequence[str]) -> list[int]:
    rows = [job_row(each.fields, id_, tx.now) for each, id_ in zip(works, ids, strict=True)]
    if len(rows) == 1:
        return [tx.insert(jobs.INSERT, rows[0])]
    return tx.insert_many(jobs.INSERT, rows) if rows else []


def _enter_rows(
    tx: Transaction, works: Sequence[New], ids: Sequence[str], job_ids: Sequence[int], *, in_bucket: int
) -> None:
    rows = [_row(each, id_, job_id, tx.now, in_bucket) for each, id_, job_id in zip(works, ids, job_ids, strict=True)]
    labels = [
        (job_id, *label) for each, job_id in zip(works, job_ids, strict=True) for label in sorted(each.fields.labels)
    ]
    if len(rows) == 1:
        tx.execute(sql.WORK, rows[0])
    elif rows:
        tx.enter_many(sql.WORK, rows)
    if labels:
        tx.enter_many(sql.LABEL, labels)


def _row(new: New, work_id: str, job_id: int, now: int, in_bucket: int) -> _Row:
    fields = new.fields
    creation = now * 1000 if fields.creation is None else fields.creation
    has_ended = not in_bucket
    return (
        job_id, work_id, fields.pipeline, fields.site, fields.owner, creation, fields.start if has_ended else None,
        fields.stop if has_ended else None, fields.attempt if has_ended else 0, fields.retries,
        fields.status if has_ended else "queued", fields.archived, fields.locked, in_bucket, 1 - in_bucket,
        fields.names_artifacts, fields.document, new.step,
    )  # fmt: skip


def enter_results(tx: Transaction, works: Sequence[New]) -> None:
    """Have ended works among the results: known ones move there, others come in as they have ended elsewhere.

    Raises:
        QueueError: one has not ended, or is among the results already.
    """
    given = [each.document.get("id") for each in works]
    rows = tx.execute(tx.sql.works_by_ids, {"ids": encode([each for each in given if each is not None])}).fetchall()
    jobs_by_id = {row[1]: row[0] for row in rows}
    strange = []
    for each, work_id in zip(works, given, strict=True):
        if work_id not in jobs_by_id:
            strange.append(each)
        elif not tx.execute(sql.ENTER_RESULTS, (jobs_by_id[work_id],)).fetchall():
            raise QueueError(f"The work {work_id} is among the results already.", "Update it there.")
    named = [each.document["id"] for each in strange if each.document.get("id") is not None]
    if len(set(named)) < len(named):
        raise QueueError("Two works have one id.", "Give each its own, or none.")
    ids = [_id(tx, each) for each in strange]
    job_ids = _enter_jobs(tx, strange, ids)
    for each, job_id in zip(strange, job_ids, strict=True):
        end(tx, job_id, each.fields.status, each.document.get("error"))
    _enter_rows(tx, strange, ids, job_ids, in_bucket=0)


def require_ended(works: Sequence[New]) -> None:
    """See that works have ended.

    Raises:
        QueueError: one has not.
    """
    for each in works:
        if each.fields.status not in ENDED:
            raise QueueError(f"A work that is {each.fields.status} has no results.", "Deposit it when it has ended.")


def end(tx: Transaction, job_id: int, status: str, error: Any) -> None:
    """End a job as nothing that a worker reports."""
    named = {"id": job_id, "now": tx.now}
    if status == "success":
        tx.execute(sql.SUCCEED, named)
    elif status == "failure":
        tx.execute(sql.FAIL, {**named, "error": encode(error_of(error))})
    else:
        tx.execute(sql.CANCEL, named)


def error_of(error: Any) -> dict[str, Any]:
    """What is kept of why a work has failed."""
    if isinstance(error, dict) and error:
        return error
    return {"type": "WorkFailed", "message": "who did it says that it failed" if error is None else str(error)}
