"""The one workflow: it reads a plan and runs the day; its steps are activities. It runs in Temporal's sandbox."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.exceptions import TimeoutError as TimedOutError

with workflow.unsafe.imports_passed_through():
    from clx.daily.day import Day, NotBegunError, told
    from clx.daily.flow import Reference
    from clx.daily.temporal.plan import Plan, Planned, pairs_of, queue_of
    from clx.db.backoff import LIMIT
    from clx.errors import RoutineError

if TYPE_CHECKING:
    from clx.daily.flow import Flow

NAME = "clx.daily"
"""The type of every day's workflow."""
SILENT = timedelta(seconds=15)
"""How long a worker may be silent before its step goes to another one."""
_MOST = timedelta(milliseconds=LIMIT)
_NEVER_AGAIN = "TemporalTimeout:StartToClose"
"""What the server calls a step that took too long, where it asks whether to try again: as on CLX, it does not."""


@workflow.defn(name=NAME)
class DayWorkflow:
    """A day of any flow."""

    @workflow.run  # type: ignore[untyped-decorator]
    async def run(self, document: dict[str, Any]) -> dict[str, Any]:
        """Run the day of a plan; gives what :meth:`clx.daily.day.Day.go` gives, and fails as that does."""
        plan = Plan(document)

        async def run(step: Planned, item: Any, inputs: dict[str, Any]) -> Any:
            return await _activity(plan, step, item, inputs)

        # what a day reads of a flow is in its plan, under the same names
        day = Day(cast("Flow", plan), plan.date, cast("Any", run))
        try:
            return await day.go()
        except (RoutineError, NotBegunError) as error:
            raise ApplicationError(told(error), day.errors, type="StepFailed", non_retryable=True) from error


async def _activity(plan: Plan, step: Planned, item: Any, inputs: dict[str, Any]) -> Any:
    arguments = {name: _node(plan, step.inputs[name], value) for name, value in inputs.items()}
    name = f"{plan.name}.{step.name}"
    try:
        return await workflow.execute_activity(
            name,
            {"arguments": {**arguments, "code": step.code}, "inline": plan.inline},
            task_queue=queue_of(plan.name, step.pool),
            start_to_close_timeout=timedelta(seconds=step.timeout),
            heartbeat_timeout=SILENT,
            retry_policy=RetryPolicy(
                initial_interval=timedelta(seconds=step.backoff),
                maximum_interval=_MOST,
                maximum_attempts=step.attempts,
                non_retryable_error_types=[_NEVER_AGAIN],
            ),
            summary=None if item is None else str(item),
        )
    except ActivityError as error:
        raise RoutineError(name, _described(error.cause, step)) from error


def _node(plan: Plan, wanted: Any, value: Any) -> Any:
    """An input as parsed canonical JSON: of a fan-out a mapping by item."""
    is_whole = isinstance(wanted, Reference) and not wanted.part and plan.steps[wanted.step].items is not None
    return pairs_of(value) if is_whole else value


def _described(cause: BaseException | None, step: Planned) -> dict[str, Any]:
    if isinstance(cause, ApplicationError):
        return {"type": cause.type or "Error", "message": cause.message}
    if isinstance(cause, TimedOutError):
        if cause.type is not None and cause.type.name == "HEARTBEAT":
            return {"type": "WorkerLost", "message": f"its workers were lost in {step.attempts} attempts"}
        return {"type": "Timeout", "message": f"it took longer than {step.timeout:g} s"}
    return {"type": type(cause).__name__, "message": str(cause)}
