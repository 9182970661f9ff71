"""The local engine without a job table: a routine runs here and now, on this thread, and so do those it calls."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from clx.routines.context import RUNNING, Running
from clx.routines.failures import wrapped

if TYPE_CHECKING:
    from clx.routines.routine import Call


class HereEngine:
    """Runs a routine as the function that it is; nothing is kept."""

    async def run(self, call: Call[Any]) -> Any:
        """What the function returns.

        Raises:
            RoutineError: what it has raised, with that as its cause.
        """
        token = RUNNING.set(Running(call.routine, None, self))
        try:
            value = call.routine.function(*call.bound.args, **call.bound.kwargs)
            return await value if inspect.isawaitable(value) else value
        except Exception as error:
            raise wrapped(error, call.routine.id) from error
        finally:
            RUNNING.reset(token)

    def at_once(self, call: Call[Any]) -> tuple[Any] | None:  # noqa: ARG002
        """Nothing is kept."""
        return None

    async def record(self, name: str, function: Callable[[], Any]) -> Any:  # noqa: ARG002
        """What *function* gives: what runs here is never replayed."""
        value = function()
        return await value if inspect.isawaitable(value) else value


HERE = HereEngine()
