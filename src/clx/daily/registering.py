"""Flows as routines: each step a task, each day a workflow, so that everything that runs routines runs flows."""

from __future__ import annotations

import inspect
from datetime import date
from functools import wraps
from typing import TYPE_CHECKING, Any

from clx.daily.code import code_of
from clx.daily.context import STEP, StepRun
from clx.errors import UsageError
from clx.routines import registry
from clx.routines.define import task, workflow
from clx.routines.routine import Routine

if TYPE_CHECKING:
    from clx.daily.flow import Flow, Step

VERSION = "1.0.0"
"""Of every step: its code is an argument, so another code is another call."""
_CODE = "code"
_flows: dict[str, Flow] = {}


def register(flow: Flow) -> None:
    """Know a flow and its routines from now on.

    Raises:
        UsageError: an option of a step cannot be, or other functions have its names.
    """
    tasks = {name: _task(flow, step) for name, step in flow.steps.items()}
    _workflow(flow, tasks)
    _flows[flow.name] = flow


def known() -> dict[str, Flow]:
    """The flows of this process, by name."""
    return dict(_flows)


def _task(flow: Flow, step: Step) -> Routine[..., Any]:
    function, code = step.function, code_of(step.function, step.version)
    signature = inspect.signature(function)
    if _CODE in signature.parameters:
        raise UsageError(f"The function of the step {step.name} has a parameter {_CODE}.", "Call it otherwise.")

    @wraps(function)
    def run(*args: Any, code: str, **kwargs: Any) -> Any:
        if code != own:
            raise UsageError(
                f"This worker has other code of the step {step.name} ({own}) than was asked for ({code}).",
                "Bring the flow's file to this machine, and start its workers anew.",
            )
        bound = signature.bind(*args, **kwargs)
        token = STEP.set(StepRun(flow.name, step.name, own, dict(bound.arguments)))
        try:
            return function(*args, **kwargs)
        finally:
            STEP.reset(token)

    own = code
    more = inspect.Parameter(_CODE, inspect.Parameter.KEYWORD_ONLY, annotation=str)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), more])  # type: ignore[attr-defined]
    run.__annotations__ = {**function.__annotations__, _CODE: str}
    made: Routine[..., Any] = task(
        name=f"{flow.name}.{step.name}",
        version=VERSION,
        timeout=step.timeout,
        max_runs=step.max_runs,
        backoff=step.backoff,
        pool=step.pool,
    )(run)
    made.code = code  # type: ignore[attr-defined]
    return made


def _workflow(flow: Flow, tasks: dict[str, Routine[..., Any]]) -> None:
    async def day(data_date: date) -> dict[str, Any]:
        from clx.daily.day import Day

        async def run(step: Step, item: Any, inputs: dict[str, Any]) -> Any:  # noqa: ARG001
            routine = tasks[step.name]
            return await routine(**inputs, code=routine.code)  # type: ignore[attr-defined]

        return await Day(flow, data_date, run).go()

    first = next(iter(flow.steps.values())).function
    day.__module__, day.__qualname__ = getattr(first, "__module__", __name__), f"{flow.name}.day"
    made = workflow(name=flow.name, key="{data_date}")(day)
    if flow.cron is not None:
        from clx.routines.define import schedule

        schedule(flow.cron, tz=flow.zone, catch_up=flow.catch_up)(made)


def task_id(flow: str, step: str) -> str:
    """The id of the task that a step is."""
    return f"task:{flow}.{step}:{VERSION}"


def tasks_of(flow: Flow) -> dict[str, Routine[..., Any]]:
    """The tasks that the steps of a flow are, by the names of these."""
    found = registry.known()
    return {name: found[task_id(flow.name, name)] for name in flow.steps}


def workflow_of(name: str) -> Routine[..., Any]:
    """The workflow of a flow that is known: called with the day, it gives a call.

    Raises:
        UsageError: there is none.
    """
    found = registry.known().get(f"workflow:{name}")
    if found is None:
        raise UsageError(f"There is no flow {name!r}.", f"There are: {', '.join(_flows) or 'none'}.")
    return found
