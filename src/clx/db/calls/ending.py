"""What follows when a routine has ended: what it called is cancelled, what is to run after it is queued.

Nothing is asked of the table for a job of another type.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from clx.db.calls import statements as sql
from clx.db.calls.models import WORKFLOW, is_routine
from clx.db.doorbell import UNWANTED
from clx.db.entering import enter
from clx.db.models import NewJob, decode, encode, told_or_shown
from clx.db.transaction import Transaction
from clx.errors import QueueError

log = logging.getLogger("clx.queue")

_FIRES = {"succeeded": {"success", "always"}, "failed": {"failure", "always"}, "cancelled": {"always"}}
"""The state that a job has ended in → the triggers that it fires."""
_by_name = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Ended(NamedTuple):
    """A job that has ended in this transaction; another program may have written its type."""

    id: int
    type: Any
    state: str


def after_routines(tx: Transaction, ended: Iterable[Ended]) -> list[Ended]:
    """See to what follows from the ends of routines among *ended*; returns the jobs that are cancelled by that."""
    mine = [each for each in ended if is_routine(each.type)]
    if not mine:
        return []
    tx.execute(tx.sql.forget_wants, {"ids": encode([each.id for each in mine])})  # who waited has what he waited for
    _fire(tx, mine)
    return [child for each in mine if each.type.startswith(WORKFLOW) for child in _cancel_called(tx, each.id)]


def _cancel_called(tx: Transaction, parent: int) -> list[Ended]:
    """Cancel what only a caller that has ended wants; running ones are asked to end."""
    # in a statement of its own: the next ones see what those left who wanted one of them too
    called = {row[0] for row in tx.execute(tx.sql.called, (parent,)).fetchall()}
    return cancel_unwanted(tx, called, _parent_ended(parent)) if called else []


def cancel_unwanted(tx: Transaction, job_ids: Iterable[int], error: dict[str, Any] | None) -> list[Ended]:
    """Cancel those of some jobs, which this transaction has alone, that nobody wants; running ones are asked to end.

    Returns:
        Those that are cancelled now.
    """
    named = {"ids": encode(sorted(job_ids))}
    if tx.execute(tx.sql.ask_unwanted, named).fetchall():
        tx.bells.add(UNWANTED)
    told = {**named, "now": tx.now, "error": None if error is None else encode(error)}
    return [Ended(row[0], row[1], "cancelled") for row in tx.execute(tx.sql.cancel_unwanted, told).fetchall()]


def _parent_ended(parent: int) -> dict[str, Any]:
    return {
        "type": "CallerEnded",
        "message": f"job {parent}, which called it, has ended",
        "next_step": f"See `clx jobs show {parent}`.",
        "cause": {"kind": "caller", "job": parent},
    }


def _fire(tx: Transaction, ended: list[Ended]) -> None:
    """Queue what is to run after these."""
    types = sorted({each.type for each in ended})
    triggers = tx.execute(tx.sql.triggers, {"types": encode(types)}).fetchall()
    for each in ended if triggers else ():
        for after, on, routine, parameter, job in sorted(triggers, key=lambda row: str(row[2])):
            if after == each.type and on in _FIRES[each.state]:
                _queue(tx, each, on, routine, parameter, job)


def _queue(tx: Transaction, ended: Ended, on: str, routine: str, parameter: str | None, job: str) -> None:
    arguments = {} if parameter is None else {parameter: _argument(tx, ended, on)}
    try:
        fields = decode(job)
        new = NewJob(**{**fields, "type": routine, "payload": {"arguments": arguments}})
        enter(tx, new, 0, None)
    except (QueueError, TypeError, ValueError, LookupError, AttributeError) as error:  # another program wrote it
        log.warning("%s cannot be run after job %s: %s", routine, ended.id, error)
        return
    tx.bells.add(new.type)


def _argument(tx: Transaction, ended: Ended, on: str) -> Any:
    """What the first parameter of a triggered routine gets: the value, or how the other one ended."""
    result, error = tx.execute(sql.ANSWER, (ended.id,)).fetchone()
    value = _value(result) if ended.state == "succeeded" else None
    if on == "success":
        return value
    if ended.state == "succeeded":
        return {"job": ended.id, "routine": ended.type, "state": ended.state, "value": value}
    told = msgspec.Raw(msgspec.json.encode(told_or_shown(error), order="sorted"))
    return {"error": told, "job": ended.id, "routine": ended.type, "state": ended.state}


def _value(result: str) -> msgspec.Raw:
    """The value in the result of a routine as it stands there; all of a result that is no routine's."""
    try:
        return _by_name(result)["value"]
    except (msgspec.MsgspecError, LookupError, TypeError, ValueError):
        return msgspec.Raw(result if isinstance(result, str) else b"null")
