"""Functions as jobs: typed arguments in, a result out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, update_wrapper
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, get_type_hints, overload

import msgspec

from clx.db.durations import Milliseconds
from clx.db.models import Job, NewJob
from clx.errors import Discard, QueueError

P = ParamSpec("P")
R = TypeVar("R")
_BY_NAME = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
Errors = tuple[type[BaseException], ...]


class Task(Generic[P, R]):
    """A function that is a handler, too: :func:`task` makes one.

    Called, it is the function itself. ``task.job(…)`` is the new job that calls it with these arguments.

    Attributes:
        type: of its jobs.
        discard_on: exceptions after which no other run is tried.
        retry_on: exceptions after which one is; None: all others.
        backoff: milliseconds, or a ``timedelta``, before the next run; None: longer each time.

    Raises:
        QueueError: an argument of the function has no name (``*args``), or an option is none of ``NewJob``.
    """

    def __init__(
        self,
        function: Callable[..., R],
        type: str | None,  # noqa: A002
        discard_on: Errors,
        retry_on: Errors | None,
        backoff: Milliseconds | None,
        options: Mapping[str, Any],
    ) -> None:
        self.function = function
        self.type: str = type or str(getattr(function, "__name__", "task"))
        self.discard_on, self.retry_on, self.backoff = discard_on, retry_on, backoff
        self._usual = NewJob(self.type, **options)
        self._signature = inspect.signature(function)
        if odd := [each for each in self._signature.parameters.values() if each.kind not in _BY_NAME]:
            raise QueueError(f"{odd[0]} of {self.type} has no name in a payload.", "Give each argument a name.")
        update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        return self.function(*args, **kwargs)

    def job(self, *args: P.args, **kwargs: P.kwargs) -> NewJob:
        """A job that calls the function with these arguments; ``queue.enqueue`` puts it in.

        Raises:
            TypeError: the function takes no such arguments.
        """
        return replace(self._usual, payload=dict(self._call.bind(*args, **kwargs).arguments))

    def using(self, **options: Any) -> Task[P, R]:
        """The same task with other options of ``NewJob``: ``resize.using(priority=5).job(…)``."""
        other: Task[P, R] = Task(self.function, self.type, self.discard_on, self.retry_on, self.backoff, {})
        other._usual = replace(self._usual, **options)
        return other

    @cached_property
    def _hints(self) -> dict[str, Any]:
        hints = get_type_hints(self.function)
        return {name: hints.get(name, Any) for name in self._signature.parameters}

    @cached_property
    def _call(self) -> inspect.Signature:
        """The arguments without the job, which nobody has yet who puts one in."""
        given = [each for name, each in self._signature.parameters.items() if name != self._takes_job]
        return self._signature.replace(parameters=given)

    @cached_property
    def _takes_job(self) -> str | None:
        return next((name for name, hint in self._hints.items() if hint is Job), None)

    @cached_property
    def _shape(self) -> type[msgspec.Struct]:
        fields: list[Any] = []
        for name, parameter in self._signature.parameters.items():
            if name != self._takes_job:
                usual = msgspec.NODEFAULT if parameter.default is parameter.empty else parameter.default
                fields.append((name, self._hints[name], msgspec.field(default=usual)))
        return msgspec.defstruct(self.type, fields, kw_only=True, forbid_unknown_fields=True)

    def run(self, job: Job) -> R:
        """Do *job*: what a consumer calls.

        Raises:
            Discard: its payload is not what the function takes.
        """
        try:
            read = msgspec.convert(job.payload, self._shape)
        except msgspec.ValidationError as error:
            raise Discard(f"{self.type} does not take the payload of job {job.id}: {error}") from error
        given = {name: getattr(read, name) for name in self._shape.__struct_fields__}
        if self._takes_job:
            given[self._takes_job] = job
        return self.function(**given)


class _Decorator(Protocol):
    @overload
    def __call__(self, function: Callable[Concatenate[Job, P], R], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(function: Callable[Concatenate[Job, P], R], /) -> Task[P, R]: ...


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(
    *,
    type: str | None = None,
    discard_on: Errors = (),
    retry_on: Errors | None = None,
    backoff: Milliseconds | None = None,
    **options: Any,
) -> _Decorator: ...


def task(
    function: Callable[..., Any] | None = None,
    /,
    *,
    type: str | None = None,  # noqa: A002
    discard_on: Errors = (),
    retry_on: Errors | None = None,
    backoff: Milliseconds | None = None,
    **options: Any,
) -> Any:
    """Make a function one whose calls can be jobs. Where its first argument is a :class:`Job`, it is given the job.

    Args:
        type: of its jobs; None: the function's name.
        discard_on, retry_on, backoff: as :class:`Task` has them.
        options: usual ones of its :class:`~clx.db.models.NewJob`: ``max_runs``, ``pool``, ``limit``, ….
    """

    def of(found: Callable[..., Any]) -> Task[..., Any]:
        return Task(found, type, discard_on, retry_on, backoff, options)

    return of if function is None else of(function)
