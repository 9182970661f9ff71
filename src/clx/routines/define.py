"""Decorators that make functions routines: ``from clx import define``.

::

    @define.task(name="train", version="0.0.1")
    def train(data, epochs, lr): ...

    @define.workflow(name="search")
    async def search(path): ...
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Protocol, TypeVar, overload

from clx.errors import UsageError
from clx.routines import registry
from clx.routines.context import RUNNING
from clx.routines.names import RoutineId, check_after, check_name, check_version
from clx.routines.routine import Options, Routine, Trigger

if TYPE_CHECKING:
    from clx.db.schedules.models import CatchUp, Overlap

__all__ = ["codec", "record", "schedule", "task", "trigger", "workflow"]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
_POOL = re.compile(r"[A-Za-z0-9._-]{0,64}")
_ON = ("success", "failure", "always")


class _Decorator(Protocol):
    @overload
    def __call__(self, function: Callable[P, Awaitable[R]], /) -> Routine[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Routine[P, R]: ...


def _with_parentheses(make: Callable[P, R]) -> Callable[P, R]:
    """See that a decorator is called before it decorates: it cannot do without what it is told."""

    @wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> R:
        if args:
            name = make.__name__
            told = "after=…" if name == "trigger" else 'name="…", version="0.0.1"' if name == "task" else 'name="…"'
            raise UsageError(f"@define.{name} was given no arguments by name.", f"Write: @define.{name}({told})")
        return make(*args, **kwargs)

    return made


@_with_parentheses
def task(
    *,
    name: str,
    version: str,
    timeout: float | timedelta | None = None,
    max_runs: int | None = None,
    backoff: float | timedelta | None = None,
    priority: int = 3,
    cache: bool = True,
    ttl: float | timedelta | None = None,
    pool: str = "",
) -> _Decorator:
    """Make a function a task: pure, known by name and version, its results kept.

    Args:
        name: unique among the routines of a project.
        version: ``X.Y.Z``; with another one it is another task. ``X.Y.Z-dev`` is never cached.
        timeout: seconds one run may take, or a ``timedelta``; then its process is killed. None: as long as it takes.
        max_runs: runs it gets until one succeeds. None: an exception is final, and only where a worker died in it two
            more are tried.
        backoff: seconds on average, or a ``timedelta``, between an exception and the second run; doubled before each
            later one, five minutes at most. None: half a second.
        priority: 1 to 5, 5 first.
        cache: False: every call runs, and none joins another.
        ttl: seconds, or a ``timedelta``, after which a kept result is too old; None: never.
        pool: which workers run it: those whose ``python.pools`` names it, or is not set; empty: any.

    Raises:
        UsageError: the name, version or an option is none; or another function has both.
    """
    options = _options(timeout, max_runs, priority, ttl)._replace(
        cache=cache, pool=_pool(pool), backoff=_milliseconds("backoff", backoff)
    )
    made: _Decorator = _decorator(RoutineId("task", check_name(name), check_version(version)), options)
    return made


@_with_parentheses
def workflow(
    *,
    name: str,
    timeout: float | timedelta | None = None,
    priority: int = 3,
    key: str = "",
) -> _Decorator:
    """Make a coroutine function a workflow: it calls tasks and workflows, and goes on where it was when a process died.

    Args:
        name, timeout, priority: as for :func:`task`.
        key: with names of arguments in braces, as ``"{data_date}"``: while a run lives, a call with the same key joins
            it. Empty: each call is a run of its own.

    Raises:
        UsageError: the key names no argument, the function is no ``async def``, or as :func:`task`.
    """
    options = _options(timeout, None, priority, None)._replace(key=key)
    made: _Decorator = _decorator(RoutineId("workflow", check_name(name), ""), options)
    return made


def _pool(pool: str) -> str:
    if not isinstance(pool, str) or not _POOL.fullmatch(pool):
        raise UsageError(f"pool={pool!r} is not possible.", "Use A-Z a-z 0-9 . _ -, 64 of them at most.")
    return pool


def _options(
    timeout: float | timedelta | None, max_runs: int | None, priority: int, ttl: float | timedelta | None
) -> Options:
    for what, value, most in (("max_runs", max_runs, 1000), ("priority", priority, 5)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most):
            raise UsageError(f"{what}={value!r} is not possible.", f"Give a whole number from 1 to {most}.")
    return Options(_milliseconds("timeout", timeout), max_runs, priority, ttl=_milliseconds("ttl", ttl))


def _milliseconds(what: str, value: float | timedelta | None) -> int | None:
    if value is None:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0.001 <= seconds <= 10 * 366 * 86400:
        raise UsageError(f"{what}={value!r} is not possible.", "Give seconds above 0, or a timedelta.")
    return round(seconds * 1000)


def _decorator(name: RoutineId, options: Options) -> Any:
    def of(function: Callable[..., Any]) -> Routine[..., Any]:
        if isinstance(function, Routine) or not inspect.isroutine(function):
            raise UsageError(f"{function!r} cannot be {name}.", "Write the decorator above a def or async def.")
        if name.kind == "workflow" and not inspect.iscoroutinefunction(function):
            raise UsageError(f"The workflow {name.name} is no coroutine function.", "Write async def.")
        _check_key(function, name, options.key)
        routine: Routine[..., Any] = Routine(function, name, options)
        registry.add(routine)
        return routine

    return of


def _check_key(function: Callable[..., Any], name: RoutineId, key: str) -> None:
    odd = set(re.findall(r"{([^}]*)}", key)) - inspect.signature(function).parameters.keys()
    if odd:
        raise UsageError(f"The key of {name.name} names {min(odd)}, which is no argument.", f"It is {key!r}.")


@_with_parentheses
def trigger(
    *, after: Routine[..., Any] | str, on: Literal["success", "failure", "always"] = "success"
) -> Callable[[F], F]:
    """Run a task or workflow whenever another one has ended on a worker; its job is stored with that end.

    Its first argument is, after a success, the other one's result; with ``on="failure"`` or ``"always"`` a mapping
    with ``routine``, ``job``, ``state`` and ``value`` or ``error``.

    Args:
        after: the other one, or its id.
        on: how it must have ended.

    Raises:
        UsageError: *after* is no id of a routine, *on* another word, or the function has no argument.
    """
    if on not in _ON:
        raise UsageError(f"on={on!r} is not possible.", f"Give one of {', '.join(_ON)}.")
    told = Trigger(after.id if isinstance(after, Routine) else check_after(after), on)

    def of(found: F) -> F:
        if not inspect.signature(found).parameters:
            name = getattr(found, "__name__", "It")
            step = f"Give it one: def {name}({'result' if on == 'success' else 'ended'}): …"
            raise UsageError(f"{name} has no argument for how {told.after} has ended.", step)
        if isinstance(found, Routine):
            found.trigger = told
        else:
            found.__clx_trigger__ = told  # type: ignore[attr-defined]
        return found

    return of


def schedule(
    cron: str,
    *,
    tz: str = "UTC",
    overlap: Overlap | None = None,
    catch_up: CatchUp = "last",
    **arguments: Any,
) -> Callable[[F], F]:
    """Run a task or workflow at times; a worker that knows it enters the schedule, under the routine's id.

    A parameter ``data_date`` gets the date of the time that was due, ``fire_at`` that time: never "today".

    Args:
        cron: five fields, ``@daily`` and the like.
        tz: the zone of the times.
        overlap: what becomes of a time that comes while the former runs: ``skip``, ``queue``, ``cancel``. None: it is
            skipped, with *catch_up* ``all`` queued.
        catch_up: what a machine that was off fires: ``none``, ``last``, ``all``.
        arguments: further ones.

    Raises:
        QueueError: *cron* or *tz* is none.
    """
    from clx.db.schedules.cron import check_cron

    check_cron(cron, tz)  # here, where it is written, not in the worker that enters it
    told = {"cron": cron, "timezone": tz, "overlap": overlap or "", "catch_up": catch_up, "arguments": arguments}

    def of(found: F) -> F:
        if isinstance(found, Routine):
            found.schedules.append(told)
        else:
            found.__clx_schedules__ = [*getattr(found, "__clx_schedules__", ()), told]  # type: ignore[attr-defined]
        return found

    return of


async def record(name: str, function: Callable[[], Awaitable[T]] | Callable[[], T]) -> T:
    """What *function* returns; in a workflow that is replayed, what it returned the first time.

    For whatever may differ between two runs and is no task: the time, a random number, a look at the world.

    Args:
        name: what it is called in the record.

    Raises:
        UsageError: no workflow runs.
    """
    running = RUNNING.get()
    if running is None or running.routine.is_task:
        raise UsageError("define.record is for workflows.", "Call the function itself.")
    found: T = await running.engine.record(name, function)
    return found


def codec(
    type: type[T],  # noqa: A002
    name: str,
    version: int,
    encode: Callable[[T], Any],
    decode: Callable[[Any], T],
    *,
    upgrade: Callable[[int, Any], Any] | None = None,
) -> None:
    """Let values of a type of one's own travel as arguments and results.

    Args:
        type: the type itself, not those derived from it.
        name: what it is called in jobs; unique.
        version: from 1; with another one the values are others.
        encode: makes of a value what has a codec already.
        decode: makes a value of that again.
        upgrade: makes of an older version's number and what that had encoded what *decode* takes now.
    """
    from clx.routines.codecs import codec as register

    register(type, name, version, encode, decode, upgrade=upgrade)
