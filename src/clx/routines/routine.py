"""A function known by name, and a call of it."""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
import warnings
from collections.abc import Callable, Container, Coroutine, Generator, Mapping
from functools import cached_property, update_wrapper
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, ParamSpec, TypeVar

from clx.errors import UsageError
from clx.routines.context import ENGINE, RUNNING
from clx.routines.names import RoutineId

if TYPE_CHECKING:
    from clx.routines.context import Engine

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Options(NamedTuple):
    """How the jobs of a routine are run.

    Attributes:
        timeout: milliseconds that one run may take; None: as long as it takes.
        max_runs: runs until one succeeds; None: one, and two more where a worker died in it.
        backoff: milliseconds before the second of them, doubled before each later one; None: as for any job.
        priority: 1 to 5, 5 first.
        cache: whether an earlier result is returned, and a call that runs already is joined.
        ttl: milliseconds for which a result is; None: for good.
        pool: whose workers run it; empty: any.
        key: of a workflow, with arguments in braces: a call joins the live one that has the same; empty: none does.
    """

    timeout: int | None = None
    max_runs: int | None = None
    priority: int = 3
    cache: bool = True
    ttl: int | None = None
    pool: str = ""
    key: str = ""
    backoff: int | None = None


class Trigger(NamedTuple):
    """That a routine runs when another one has ended: ``success``, ``failure`` or ``always``."""

    after: str
    on: str


class Routine(Generic[P, R]):
    """A function that is a task or a workflow: :mod:`clx.define` makes one.

    Called, it gives a :class:`Call`, to be awaited; where that runs the lifecycle decides.

    Attributes:
        id: its name to the job table.
        function: the function itself.
        trigger: after what it runs by itself; None: after nothing.
        schedules: when it runs by itself.
    """

    def __init__(self, function: Callable[..., Any], name: RoutineId, options: Options) -> None:
        self.function = function
        self.name = name
        self.id = str(name)
        self.options = options
        self.is_task = name.kind == "task"
        self.is_cached = options.cache and self.is_task and not name.version.endswith("-dev")
        self.trigger: Trigger | None = getattr(function, "__clx_trigger__", None)
        self.schedules: list[Any] = list(getattr(function, "__clx_schedules__", ()))
        self.signature = inspect.signature(function)
        if positional := [p for p in self.signature.parameters.values() if p.kind is p.POSITIONAL_ONLY]:
            raise UsageError(f"{positional[0].name} of {self.id} has no name in a job.", "Take the / out.")
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        return Call(self, self._quickly_bound(args, kwargs) or self._bound(args, kwargs))

    def _bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments:
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name.name}: {error}") from None
        bound.apply_defaults()
        return bound

    def _quickly_bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments | None:
        """The same for what most are called with, which takes a tenth of the time; None: it is something else."""
        names, defaults = self._names
        if len(args) > len(names):
            return None
        given = dict(zip(names, args, strict=False))
        if kwargs.keys() & given.keys():
            return None
        found = {**defaults, **given, **kwargs}
        return inspect.BoundArguments(self.signature, found) if found.keys() == self._all_names else None

    @cached_property
    def _names(self) -> tuple[tuple[str, ...], dict[str, Any]]:
        """The arguments that may be given by position, and all that may be left out."""
        found = self.signature.parameters.values()
        names = tuple(each.name for each in found if each.kind is each.POSITIONAL_OR_KEYWORD)
        return names, {each.name: each.default for each in found if each.default is not each.empty}

    @cached_property
    def _all_names(self) -> set[str]:
        """The names of all arguments; of none where there may be any number of further ones."""
        found = self.signature.parameters.values()
        plain = all(each.kind in {each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY} for each in found)
        return {each.name for each in found} if plain else {""}

    def local(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Call the function itself: no engine, no cache; a coroutine function gives a coroutine."""
        return self.function(*args, **kwargs)

    @cached_property
    def hints(self) -> dict[str, Any]:
        """What its signature says of each argument, and of the result as ``return``.

        Raises:
            UsageError: it names what is not there.
        """
        from typing import get_type_hints

        try:
            return get_type_hints(self.function, include_extras=True)
        except NameError as error:
            raise UsageError(
                f"A type in the signature of {self.id} is not there: {error}.", "Import it where the function is."
            ) from error

    @cached_property
    def argument_hints(self) -> dict[str, Any]:
        """The annotations by argument; those of all further ones as of a tuple, or of a mapping.

        Raises:
            UsageError: as :attr:`hints`.
        """
        hints = dict(self.hints)
        for name, parameter in self.signature.parameters.items():
            hint = hints.get(name, Any)
            if parameter.kind is parameter.VAR_POSITIONAL:
                hints[name] = GenericAlias(tuple, (hint, ...))
            elif parameter.kind is parameter.VAR_KEYWORD:
                hints[name] = GenericAlias(dict, (str, hint))
        return hints

    def missing(self, given: Container[str]) -> str | None:
        """The first argument that may not be left out and is not among those *given* by name; None: there is none."""
        needed = (name for name, each in self.signature.parameters.items() if _is_needed(each))
        return next((name for name in needed if name not in given), None)

    def call_with(self, given: Mapping[str, Any]) -> Call[R]:
        """A call with arguments by name, none of them :meth:`missing`; all further ones are one tuple or mapping."""
        named = {name: given[name] for name in self.signature.parameters if name in given}
        bound = inspect.BoundArguments(self.signature, named)
        bound.apply_defaults()
        return Call(self, bound)

    @cached_property
    def source(self) -> str:
        """A digest of the function's code, whatever line it stands on: 16 hex digits."""
        try:
            text = textwrap.dedent(inspect.getsource(self.function))
            told = ast.dump(ast.parse(text)).encode()
        except (OSError, TypeError, SyntaxError):
            code = getattr(self.function, "__code__", None)
            told = code.co_code + repr(code.co_consts).encode() if code is not None else self.id.encode()
        return hashlib.sha256(told).hexdigest()[:16]

    @property
    def place(self) -> tuple[str, str]:
        """Module and name of the function."""
        return self.function.__module__, self.function.__qualname__

    def __repr__(self) -> str:
        return f"<{self.id}>"


def _is_needed(parameter: inspect.Parameter) -> bool:
    plain = {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}
    return parameter.default is parameter.empty and parameter.kind in plain


class Call(Coroutine[Any, Any, R_co]):
    """A call of a routine: a coroutine, to be awaited, gathered, or made a task of; :meth:`result` waits for it.

    Attributes:
        arguments: as canonical JSON, once that was asked for: large ones are written and hashed only once.
    """

    __slots__ = ("_coroutine", "_is_begun", "arguments", "bound", "routine")

    def __init__(self, routine: Routine[..., Any], bound: inspect.BoundArguments) -> None:
        self.routine = routine
        self.bound = bound
        self.arguments: str | None = None
        self._coroutine: Coroutine[Any, Any, R_co] | None = None
        self._is_begun = False

    def result(self) -> R_co:
        """Run it, wait for it, and give what it returns: for programs without an event loop.

        Raises:
            RoutineError: it has failed.
            UsageError: an event loop runs in this thread; write ``await`` there.
        """
        import asyncio

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass  # there is none; what the run raises does not belong to this error
        else:
            self._is_begun = True
            raise UsageError("An event loop runs in this thread.", f"Write: await {self.routine.name.name}(…)")
        self._is_begun = True
        found = _engine(self).at_once(self)
        return asyncio.run(self) if found is None else found[0]

    async def _run(self) -> R_co:
        found: R_co = await _engine(self).run(self)
        return found

    def _begun(self) -> Coroutine[Any, Any, R_co]:
        if self._coroutine is None:
            self._is_begun = True
            self._coroutine = self._run()
        return self._coroutine

    def __await__(self) -> Generator[Any, Any, R_co]:
        return self._begun().__await__()

    def send(self, value: Any) -> Any:
        return self._begun().send(value)

    def throw(self, *error: Any) -> Any:
        return self._begun().throw(*error)

    def close(self) -> None:
        self._is_begun = True
        if self._coroutine is not None:
            self._coroutine.close()

    def __del__(self) -> None:
        if not self._is_begun:
            warnings.warn(f"{self.routine.id} was called and never awaited: it did not run", RuntimeWarning, 2)

    def __repr__(self) -> str:
        return f"<call of {self.routine.id}>"


def _engine(call: Call[Any]) -> Engine:
    running = RUNNING.get()
    if running is None:
        engine = ENGINE.get()
        if engine is None:
            from clx.routines.here import HERE

            return HERE
        return engine
    if running.routine.is_task:
        raise UsageError(
            f"{running.routine.id} called {call.routine.id}: a task calls no other routine.",
            f"Make {running.routine.name.name} a workflow, or call the function: {call.routine.name.name}.local(…).",
        )
    return running.engine
