"""How a pipeline goes on: whenever a work of it has ended, in the same transaction.

Every transition is made by who has the row of the pipeline alone. Where a database has a single writer this is free,
elsewhere two that end the last two works of a stage at once take turns, and the second sees what the first has done.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from clx.db.doorbell import ENDED
from clx.db.models import decode_or_show
from clx.db.pipelines import statements as sql
from clx.db.pipelines.evaluation import Steps, combined, holds
from clx.db.pipelines.models import definition_of, document_of
from clx.db.transaction import Transaction
from clx.db.works.depositing import New, deposit, new_works
from clx.db.works.models import Document
from clx.errors import QueueError, UsageError

log = logging.getLogger("clx.pipelines")

PIPELINES = "pipeline"
"""The bell of whoever waits for pipelines."""
MOST_WORKS = 100_000
"""Works that one stage may bring: they go in with one transaction, for which others wait."""
MOST_BYTES = 100_000_000
"""What the works of a step may come to that are made from results: each holds its own copy of these."""
_ODD = (
    msgspec.MsgspecError,
    QueueError,
    UsageError,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
"""What a definition that cannot be used ends in, another program's row among them."""


class Step(NamedTuple):
    """A step as far as others need to know it."""

    id: int
    name: str
    stage: int | None
    status: str
    works: int

    @property
    def turn(self) -> tuple[bool, int]:
        """When it is due: those without a stage come last."""
        return self.stage is None, self.stage or 0


# -- what the ends of works mean --------------------------------------------------------------------------


def works_ended(tx: Transaction) -> None:
    """Works of some steps have ended."""
    for step_id in sorted(tx.steps):  # all take their rows in one order
        _work_ended(tx, step_id)
    tx.steps.clear()


def _work_ended(tx: Transaction, step_id: int) -> None:
    """Where it was the last one, its step has ended, and what follows goes in."""
    found = tx.execute(sql.OF_STEP, (step_id,)).fetchone()
    if found is None or hold(tx, found[0]) is None:
        return
    status = tx.execute(sql.STEP_STATE, (step_id,)).fetchone()[0]
    if status != "running" or tx.execute(sql.IS_LIVE, (step_id,)).fetchone():
        return
    try:
        settle(tx, step_id)
        advance(tx, found[0])
    except _ODD as error:  # whoever ends a work has no part in what another program wrote into the rows of its pipeline
        log.warning("pipeline %s cannot go on: %s", found[0], error)
        reason = "its rows cannot be used: another program wrote them"
        tx.execute(sql.STOP_STEPS, {"id": found[0], "now": tx.now, "reason": reason})
        tx.execute(sql.END, {"id": found[0], "now": tx.now, "reason": reason, "status": "failure"})


def work_waits(tx: Transaction, step_id: int, job_id: int) -> None:
    """A work waits again: not to be withdrawn while its pipeline is paused."""
    if tx.execute(sql.IS_PAUSED, (step_id,)).fetchone():
        tx.execute(sql.HOLD_JOB, (job_id,))


def hold(tx: Transaction, pipeline_id: str) -> tuple[str, str] | None:
    """Have a pipeline alone; returns its status, and its matrix as JSON; None where there is none."""
    if tx.sql.hold_pipeline:
        tx.execute(tx.sql.hold_pipeline, (pipeline_id,)).fetchone()  # what follows sees what was done before
    row = tx.execute(sql.STATE, (pipeline_id,)).fetchone()
    return None if row is None else (row[0], row[1])


def settle(tx: Transaction, step_id: int) -> bool:
    """End a step whose works all have; returns whether it has succeeded."""
    _, total, definition = tx.execute(sql.STEP_STATE, (step_id,)).fetchone()
    succeeded: int = tx.execute(sql.SUCCEEDED, (step_id,)).fetchone()[0]
    try:
        threshold = float(definition_of(definition)["threshold"])
    except _ODD:
        threshold = 1.0
    is_enough = bool(succeeded >= threshold * total - 1e-9)
    reason = None if is_enough else f"{total - succeeded} of {total} works did not succeed"
    _end_step(tx, step_id, "success" if is_enough else "failure", reason)
    return is_enough


def _end_step(tx: Transaction, step_id: int, status: str, reason: str | None) -> None:
    tx.execute(sql.END_STEP, {"id": step_id, "status": status, "reason": reason, "now": tx.now})


# -- what follows -----------------------------------------------------------------------------------------


def advance(tx: Transaction, pipeline_id: str) -> None:
    """Begin what is due in a pipeline that this transaction has alone, unless it is paused; or end it."""
    state = hold(tx, pipeline_id)
    if state is None or state[0] != "running" or tx.execute(sql.IS_RUNNING, (pipeline_id,)).fetchone():
        return
    matrix = decode_or_show(state[1])
    while True:
        steps = [Step._make(row) for row in tx.execute(sql.STEPS, (pipeline_id,)).fetchall()]
        due = min((step.turn for step in steps if step.status == "created"), default=None)
        if due is None:
            _end(tx, pipeline_id, steps)
            return
        group = [step for step in steps if step.turn == due and step.status == "created"]
        tx.execute(sql.REACH, (group[0].stage, pipeline_id))
        if _begin(tx, pipeline_id, group, Steps(tx, matrix, steps)):
            return


def _begin(tx: Transaction, pipeline_id: str, group: Sequence[Step], known: Steps) -> bool:
    """Begin the steps of a stage; returns whether one of them has works to wait for."""
    named = {"pipeline": pipeline_id, "stage": group[0].stage}
    definitions = dict(tx.execute(sql.DEFINITIONS, named).fetchall())
    works: list[New] = []
    for step in group:
        try:
            definition = definition_of(definitions[step.id])
            reason = _reason_against(definition, known)
            if reason:
                _end_step(tx, step.id, "cancelled", reason)
                continue
            new = [each._replace(step=step.id) for each in _works(definition, pipeline_id, known)]
            if len(works) + len(new) > MOST_WORKS:
                raise QueueError(f"its stage has more than {MOST_WORKS} works.", "")
        except _ODD as error:
            _end_step(tx, step.id, "failure", getattr(error, "fact", None) or f"its row cannot be used: {error}")
            continue
        if new:
            tx.execute(sql.BEGIN_STEP, (len(new), tx.now, step.id))
            works += new
        else:
            _end_step(tx, step.id, "success", "its matrix is empty")
    if works:
        deposit(tx, works)
    return bool(works)


def _reason_against(definition: dict[str, Any], known: Steps) -> str:
    """Why a step is not to be done; empty where it is."""
    condition, failed = str(definition["if"]), known.failed
    if condition == "always":
        return ""
    if condition in {"", "success"}:
        return f"step {failed} failed" if failed else ""
    if condition == "failure":
        return "" if failed else "nothing has failed"
    return "" if holds(condition, known.scope) else "its condition is false"


def _works(definition: dict[str, Any], pipeline_id: str, known: Steps) -> list[New]:
    given = definition["works"]
    if given is None:
        return list(_bounded(document_of(each, pipeline_id) for each in combined(definition, known.scope)))
    return new_works([document_of(each, pipeline_id) for each in given])


def _bounded(documents: Iterable[Document]) -> Iterator[New]:
    """Works, one by one: what does not fit is never in memory."""
    size = 0
    for each in documents:
        (new,) = new_works([each])
        size += len(new.fields.document)
        if size > MOST_BYTES:
            raise QueueError(f"its works come to more than {MOST_BYTES // 1_000_000} MB.", "Refer to files instead.")
        yield new


def _end(tx: Transaction, pipeline_id: str, steps: Sequence[Step]) -> None:
    failed = [step.name for step in steps if step.status == "failure"]
    reason = f"step {failed[0]} failed" if failed else None
    status = "failure" if failed else "success"
    tx.execute(sql.END, {"id": pipeline_id, "status": status, "reason": reason, "now": tx.now})
    tx.bells.update((PIPELINES, ENDED))
