"""How a failure is told: as the row keeps it, and as the exception that is raised where the routine was awaited."""

from __future__ import annotations

import builtins
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from clx.errors import ClxError, RoutineError
from clx.routines.context import sayable

_TRACEBACK = 20_000
"""Characters of a traceback that are kept, its end."""
_MESSAGE = 4_000


def described(error: BaseException, routine_id: str) -> dict[str, Any]:
    """What a row keeps of an exception that a routine has raised."""
    if isinstance(error, RoutineError):  # of one that it had called: the first cause is what one wants to read
        found = {"type": error.type, "message": error.message, "traceback": error.traceback, "module": error.module}
        return {
            **found,
            "routine": routine_id,
            "cause": {"kind": "routine", "routine": error.routine, "job": error.job_id},
        }
    kind = type(error)
    try:
        message = error.fact if isinstance(error, ClxError) else str(error)
    except BaseException:
        message = f"a {kind.__name__} that cannot say what it is"
    told = {"type": kind.__qualname__, "message": message[:_MESSAGE], "module": kind.__module__, "routine": routine_id}
    if isinstance(error, ClxError) and error.next_step:
        told["next_step"] = error.next_step
    try:
        frames = traceback.TracebackException(kind, error, error.__traceback__, limit=-40)
        told["traceback"] = "".join(frames.format())[-_TRACEBACK:]
    except BaseException:
        told["traceback"] = ""
    return {name: sayable(str(text)) for name, text in told.items()}


def raised(routine_id: str, error: Mapping[str, Any], job_id: int | None) -> RoutineError:
    """The exception for a stored *error*: a :class:`RoutineError`, and of the original type where that is plain."""
    original = _plain(str(error.get("module", "")), str(error.get("type", "")))
    return (RoutineError if original is None else _both(original))(routine_id, error, job_id)


def wrapped(error: Exception, routine_id: str) -> RoutineError:
    """The same for one that was raised here."""
    if isinstance(error, RoutineError):
        return raised(routine_id, described(error, routine_id), None)
    found = raised(routine_id, described(error, routine_id), None)
    found.__cause__ = error
    return found


def _plain(module: str, name: str) -> type[Exception] | None:
    """The exception of that name where this process has its module already, and it needs nothing but a message."""
    found: Any = sys.modules.get(module) if module != "builtins" else builtins
    for part in name.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, type) or not issubclass(found, Exception) or issubclass(found, ClxError):
        return None
    is_own = any(
        name in vars(kind) for kind in found.__mro__ for name in ("__init__", "__new__") if not _is_builtin(kind)
    )
    return None if is_own or issubclass(found, UnicodeError | StopIteration | StopAsyncIteration) else found


def _is_builtin(kind: type) -> bool:
    return kind.__module__ == "builtins"


_made: dict[Any, type[RoutineError]] = {}


def _both(original: type[Exception]) -> type[RoutineError]:
    if original not in _made:
        try:
            both = type(original.__name__, (RoutineError, original), {"__module__": original.__module__})
        except TypeError:  # laid out differently in memory
            both = RoutineError
        _made[original] = both
    return _made[original]
