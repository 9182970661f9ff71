"""From a call to a row of the job table, from a row to the function, and back."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from clx.db.calls.models import Call as Asked
from clx.db.models import Job, NewJob
from clx.errors import ArtifactMissingError, RoutineError, UsageError
from clx.routines.codecs import artifacts_of, canonical, canonical_arguments, key_of, restore, restore_arguments
from clx.routines.codecs.canonical import Files
from clx.routines.context import FILES, RUNNING, Running
from clx.routines.failures import raised
from clx.routines.here import HERE
from clx.routines.routine import Call, Routine
from clx.routines.sources import warn_of_other_source

if TYPE_CHECKING:
    from clx.db.jobs import Queue

WORKFLOW_RUNS = 5
"""Runs of a workflow: one for each host that dies when it has just begun; one that raises is not run again."""
NESTED = "nested"
"""What the pool of workflows ends with that others have called: they wait for no place."""
SCHEDULED = ("data_date", "fire_at")
"""Parameters that a run gets from the schedule it is of, where it does not say otherwise."""


# -- out ----------------------------------------------------------------------------------------------


def arguments_of(call: Call[Any], files: Files) -> str:
    """The arguments of *call* as canonical JSON.

    Raises:
        RoutineValueError: one has no codec; with its path.
    """
    if call.arguments is None:
        call.arguments = canonical_arguments(call.bound.arguments, call.routine.argument_hints, files)
    return call.arguments


def job_of(routine: Routine[..., Any], arguments: str, pool: str, *, nested: bool = False) -> NewJob:
    """The job that makes a call with these *arguments*."""
    options = routine.options
    payload = {"arguments": msgspec.Raw(arguments.encode())}
    if not routine.is_task:
        return NewJob(
            *(routine.id, payload, pool + NESTED if nested else pool, key_in(options.key, arguments)),
            max_runs=WORKFLOW_RUNS, timeout=options.timeout, priority=options.priority,
        )  # fmt: skip
    key = key_of(routine.name.name, routine.name.version, arguments) if options.cache else None
    return NewJob(
        *(routine.id, payload, pool, key),
        max_runs=options.max_runs or 3, timeout=options.timeout, priority=options.priority,
    )  # fmt: skip


def key_in(template: str, arguments: str) -> str | None:
    """The key of a workflow's job: *template* with values for the arguments that it names; None: it has none.

    One that is not given stays as it is: a schedule puts in what it knows.
    """
    if not template:
        return None
    given = msgspec.json.decode(arguments)
    return re.sub(r"{(\w+)}", lambda found: _in_key(given.get(found[1], found[0])), template)


def _in_key(value: Any) -> str:
    if isinstance(value, dict) and len(value) == 1:  # what JSON has no word for: {"$date": "2026-11-27"}
        (value,) = value.values()
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def asked_of(
    routine: Routine[..., Any], arguments: str, pool: str, name: str = "", occurrence: int = 0, *, nested: bool = False
) -> Asked:
    """What the table is asked for a call with these *arguments*; *name* and *occurrence* are those under its caller."""
    job = job_of(routine, arguments, pool, nested=nested)
    return Asked(name, occurrence, job, routine.is_cached, routine.options.ttl)


# -- in -----------------------------------------------------------------------------------------------


def call_of(routine: Routine[..., Any], payload: Mapping[str, Any], files: Files) -> Call[Any]:
    """The call that a job's *payload* is.

    Raises:
        RoutineValueError: it was forged, or is of another signature.
        ArtifactMissingError: an artifact of it is nowhere.
    """
    told = payload.get("arguments") if isinstance(payload, Mapping) else None
    if not isinstance(told, Mapping):
        raise _refused(routine, "its payload has no arguments")
    for name in told:
        if name not in routine.signature.parameters:
            raise _refused(routine, f"it takes no argument {name[:80]!r}")
    found = restore_arguments(told, routine.argument_hints, files)
    fire = payload.get("schedule")
    if isinstance(fire, Mapping):
        for name in SCHEDULED:
            if name in routine.signature.parameters and name not in found and name in fire:
                found[name] = msgspec.convert(fire[name], routine.hints.get(name, str))
    if (missing := routine.missing(found)) is not None:
        raise _refused(routine, f"the argument {missing} is missing")
    call = routine.call_with(found)
    call.close()  # it is for whoever runs the function; nobody awaits it
    return call


def _refused(routine: Routine[..., Any], why: str) -> UsageError:
    return UsageError(f"The job was made for another {routine.id}: {why}.", "Give the routine another version.")


def value_of(routine: Routine[..., Any], result: Any, files: Files) -> Any:
    """The value that is in a stored *result*.

    Raises:
        RoutineValueError: it was forged, or is of another type than the function returns now.
        ArtifactMissingError: an artifact of it is nowhere.
    """
    if not isinstance(result, Mapping) or "value" not in result:
        raise _refused(routine, "what its job has left is no result")
    return restore(result["value"], routine.hints.get("return", Any), "result", files)


def kept_result(queue: Queue, call: Call[Any], arguments: str, files: Files) -> tuple[Any] | None:
    """The value of a task that is kept, for whoever waits in this thread; None where there is none.

    Raises:
        RoutineValueError: as :func:`value_of`.
    """
    routine = call.routine
    for found in queue.calls.find([asked_of(routine, arguments, "")]).values():
        with suppress(ArtifactMissingError):  # it was pruned: made again
            warn_of_other_source(routine, found)
            return (value_of(routine, found, files),)
    return None


def result_text(routine: Routine[..., Any], value: Any, files: Files, unused: int = 0) -> bytes:
    """What a job that has ended well leaves, as JSON.

    Args:
        unused: calls of an earlier run of a workflow for which this one has not asked again.

    Raises:
        RoutineValueError: the value has no codec; with its path.
        ServerError: the server that keeps artifacts for others cannot take one.
    """
    text = canonical(value, routine.hints.get("return", Any), "result", files)
    files.share(artifacts_of(text))
    more = f',"unused":{unused}' if unused else ""
    return f'{{"value":{text},"source":"{routine.source}"{more}}}'.encode()


# -- the function -----------------------------------------------------------------------------------


def perform(routine: Routine[..., Any], payload: bytes, files: Files) -> bytes:
    """Do a task's job: *payload* and what is returned are JSON.

    Raises:
        RoutineValueError, ArtifactMissingError, UsageError: as :func:`call_of` and :func:`result_text`.
        BaseException: what the function raises.
    """
    call = call_of(routine, msgspec.json.decode(payload), files)
    token = FILES.set(files)
    try:
        return result_text(routine, run_here(call), files)
    finally:
        FILES.reset(token)


def run_here(call: Call[Any]) -> Any:
    """Run the function of a task and give what it returns."""
    token = RUNNING.set(Running(call.routine, None, HERE))
    try:
        value = call.routine.function(*call.bound.args, **call.bound.kwargs)
        return asyncio.run(_awaited(value)) if inspect.isawaitable(value) else value
    finally:
        RUNNING.reset(token)


async def _awaited(value: Any) -> Any:
    return await value


def outcome(routine: Routine[..., Any], job: Job, files: Files) -> Any:
    """What a job that has ended gives to whoever awaits it.

    Raises:
        RoutineError: it has failed or was cancelled.
        ArtifactMissingError: an artifact of its result is nowhere.
    """
    if job.state == "succeeded":
        return value_of(routine, job.result, files)
    if job.state == "cancelled":
        error = {"type": "Cancelled", "message": "it was cancelled", **(job.error or {})}
        raise RoutineError(routine.id, error, job.id)
    raise raised(routine.id, job.error or {}, job.id)
