"""Asking a Temporal server for a day, and waiting for it."""

from __future__ import annotations

from typing import Any

from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError

from clx.daily.temporal.interpreter import NAME
from clx.daily.temporal.plan import queue_of
from clx.errors import RoutineError, ServerError


async def connected(address: str, namespace: str) -> Any:
    """A client of the server at an address.

    Raises:
        ServerError: none answers there.
    """
    try:
        return await Client.connect(address, namespace=namespace)
    except (RuntimeError, OSError, ValueError) as error:
        said = (str(error).splitlines() or [""])[0][:200]
        raise ServerError(
            f"No Temporal server answers at {address}: {said}", "Correct --address, or start the server."
        ) from error


async def run_day(client: Any, plan: dict[str, Any], day: str) -> tuple[dict[str, Any], str]:
    """Run a day, or join the run of it that lives; gives what it has given, and the id of the run.

    Raises:
        RoutineError: the day has failed.
    """
    name = f"{plan['flow']}/{day}"
    handle = await client.start_workflow(
        NAME,
        plan,
        id=name,
        task_queue=queue_of(plan["flow"], ""),
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )
    try:
        return await handle.result(), handle.result_run_id or handle.first_execution_run_id or ""
    except WorkflowFailureError as error:
        cause = error.cause
        kind, _, message = str(getattr(cause, "message", cause)).partition(": ")
        if not (isinstance(cause, ApplicationError) and cause.type == "StepFailed"):
            kind, message = type(cause).__name__, str(cause)
        step = f"See: temporal workflow show --workflow-id {name}"
        raise RoutineError(f"workflow:{plan['flow']}", {"type": kind, "message": message, "next_step": step}) from error
