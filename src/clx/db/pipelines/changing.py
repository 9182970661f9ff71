"""How pipelines are paused, resumed, stopped, tried again and removed; each in one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from clx.db.cancelling import request_cancel
from clx.db.doorbell import ENDED
from clx.db.pipelines import statements as sql
from clx.db.pipelines.advancing import PIPELINES, advance, hold, settle
from clx.db.pipelines.scheduling import remove_schedule
from clx.db.retrying import retry as retry_jobs
from clx.db.transaction import Transaction

STOPPED = "the pipeline was stopped"


def pause(tx: Transaction, pipeline_id: str) -> bool:
    """Let no work of it be withdrawn, and no stage begin, until it is resumed; works that run go on."""
    lock_live(tx, pipeline_id)
    state = hold(tx, pipeline_id)
    if state is None or state[0] != "running":
        return False
    tx.execute(sql.SET_STATUS, ("paused", pipeline_id))
    tx.execute(sql.HOLD_JOBS, {"id": pipeline_id})
    tx.bells.add(PIPELINES)
    return True


def resume(tx: Transaction, pipeline_id: str) -> bool:
    """Let a paused one go on."""
    lock_live(tx, pipeline_id)
    state = hold(tx, pipeline_id)
    if state is None or state[0] != "paused":
        return False
    tx.execute(sql.SET_STATUS, ("running", pipeline_id))
    tx.bells.update(row[0] for row in tx.execute(sql.FREE_JOBS, {"id": pipeline_id, "now": tx.now}).fetchall())
    tx.bells.add(PIPELINES)
    advance(tx, pipeline_id)
    return True


def stop(tx: Transaction, pipeline_id: str) -> bool:
    """Cancel it: works that wait are cancelled, running ones are asked to end, nothing more begins."""
    lock_live(tx, pipeline_id)
    state = hold(tx, pipeline_id)
    if state is None or state[0] not in {"running", "paused"}:
        return False
    named = {"id": pipeline_id, "now": tx.now, "reason": STOPPED}
    tx.execute(sql.STOP_STEPS, named)
    tx.execute(sql.END, {**named, "status": "cancelled"})
    for row in tx.execute(sql.LIVE_JOBS, {"id": pipeline_id}).fetchall():
        request_cancel(tx, row[0])
    tx.bells.update((PIPELINES, ENDED))
    return True


def lock_live(tx: Transaction, pipeline_id: str) -> None:
    """Have its live works before the pipeline, in the order in which who ends one of them has these."""
    if tx.sql.hold_jobs_of_pipeline:
        tx.execute(tx.sql.hold_jobs_of_pipeline, (pipeline_id,)).fetchall()


# -- trying again -----------------------------------------------------------------------------------------


class _Ended(NamedTuple):
    id: int
    stage: int | None
    status: str
    works: int
    started_at: int | None

    @property
    def turn(self) -> tuple[bool, int]:
        return self.stage is None, self.stage or 0

    @property
    def is_due(self) -> bool:
        """Whether a further try begins with it: it failed, was cut off, or was not reached."""
        if self.status == "cancelled":
            return bool(self.works) or self.started_at is None
        return self.status == "failure"


def retry(tx: Transaction, pipeline_id: str) -> bool:
    """Go on from the first stage in which a step failed: works that did not succeed wait again.

    What came after it is as if it had not been; its works stay, as those of no step. One that was stopped when all
    of it was done has nothing to be done again, and ends as its steps have.
    """
    lock_live(tx, pipeline_id)
    state = hold(tx, pipeline_id)
    if state is None or state[0] not in {"failure", "cancelled"}:
        return False
    steps = [_Ended._make(row) for row in tx.execute(sql.ENDED_STEPS, (pipeline_id,)).fetchall()]
    first = min((step.turn for step in steps if step.is_due), default=None)
    tx.execute(sql.GO_ON, (pipeline_id,))
    for step in steps:
        if first is not None and step.turn > first:
            _reset(tx, step.id)
        elif step.turn == first and step.is_due:
            _again(tx, step.id)
    tx.bells.add(PIPELINES)
    advance(tx, pipeline_id)
    return True


def _reset(tx: Transaction, step_id: int) -> None:
    """Have a step begin anew; works of it that somebody has tried again by hand are not to be done beside that."""
    live = [row[0] for row in tx.execute(sql.LIVE_OF_STEP, (step_id,)).fetchall()]
    tx.execute(sql.LET_GO, (step_id,))
    tx.execute(sql.RESET_STEP, (step_id,))
    for job_id in live:
        request_cancel(tx, job_id)


def _again(tx: Transaction, step_id: int) -> None:
    """Queue the works of a step that did not succeed; where there are none left, it begins anew.

    Unless all is well with it by now: its works were tried again one by one, or succeeded when it was stopped already.
    """
    failed = [row[0] for row in tx.execute(sql.FAILED_JOBS, (step_id,)).fetchall()]
    is_queued = bool(failed) and bool(retry_jobs(tx, failed))
    if is_queued or tx.execute(sql.IS_LIVE, (step_id,)).fetchone():  # asked to end, and has not yet
        tx.execute(sql.RESTART_STEP, (step_id,))
    elif not tx.execute(sql.SUCCEEDED, (step_id,)).fetchone()[0] or not settle(tx, step_id):
        _reset(tx, step_id)


# -- removing ---------------------------------------------------------------------------------------------


def remove_config(tx: Transaction, config_id: str, pipelines: Iterable[str]) -> bool:
    """Remove a config and its pipelines, unless one is live; its works stay."""
    found = list(pipelines)
    if any((state := hold(tx, each)) is not None and state[0] in {"running", "paused"} for each in found):
        return False
    for each in found:
        remove(tx, each)
    remove_schedule(tx, config_id)
    tx.execute(sql.REMOVE_CONFIG, (config_id,))
    return True


def remove(tx: Transaction, pipeline_id: str) -> bool:
    """Remove a pipeline that has ended; its works stay."""
    state = hold(tx, pipeline_id)
    if state is None or state[0] in {"running", "paused"}:
        return False
    tx.execute(sql.LET_ALL_GO, {"id": pipeline_id})
    tx.execute(sql.REMOVE, (pipeline_id,))
    return True
