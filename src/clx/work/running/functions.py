"""Functions of works: found by a dotted path, and called with what a work says."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from clx.errors import UsageError
from clx.settings.problems import closest, shortened
from clx.workers.importing import imported

if TYPE_CHECKING:
    import click

ArgSource = Literal["parameters", "work"]
_WRITE_IT = "Write module.function, as in shop.detect.main."


def static(target: str) -> Callable[..., Any]:
    """The function that an operator has named: ``module.function``, or ``module.Class.function``.

    Raises:
        UsageError: it cannot be imported, with the file and line at which that failed, or is none.
    """
    parts = target.replace(":", ".").split(".")
    if len(parts) < 2 or not all(parts):
        raise UsageError(f"{shortened(repr(target))} names no function.", _WRITE_IT)
    module, rest = _module_of(parts)
    found = module
    for part in rest:
        if not hasattr(found, part):
            near = closest(part, vars(found)) if hasattr(found, "__dict__") else None
            advice = f"Did you mean {near}?" if near else _WRITE_IT
            raise UsageError(f"{module.__name__} ({getattr(module, '__file__', '')}) has no {part}.", advice)
        found = getattr(found, part)
    return _callable(found, target)


def _module_of(parts: Sequence[str]) -> tuple[Any, Sequence[str]]:
    """The module that a path begins with, as long as there is one, and what is left of the path."""
    first: UsageError | None = None
    for length in range(len(parts) - 1, 0, -1):
        try:
            return imported(".".join(parts[:length])), parts[length:]
        except UsageError as error:
            first = first or error
            if not isinstance(error.__cause__, ModuleNotFoundError):
                raise
    assert first is not None
    raise first


def allowed(target: str, modules: Sequence[str]) -> Callable[..., Any]:
    """The function that a work has named, which must be one that a module of the operator's defines itself.

    Raises:
        UsageError: it is not allowed, cannot be imported, or is none.
    """
    module_name, _, name = target.rpartition(".")
    if module_name not in modules:
        raise UsageError(
            f"The function {shortened(target)} is not allowed here.",
            "Name its module in python.modules, if works may call what it defines.",
        )
    found = vars(imported(module_name)).get(name)
    if found is None or name.startswith("_"):
        raise UsageError(f"{module_name} has no function {shortened(name)}.", _WRITE_IT)
    function = _callable(found, target)
    if getattr(_within(found), "__module__", None) != module_name:  # what it has imported is not its own
        raise UsageError(f"The function {shortened(target)} is not defined in {module_name}.", "Name where it is.")
    return function


def _callable(found: Any, target: str) -> Callable[..., Any]:
    from clx.routines.routine import Routine

    function = found.function if isinstance(found, Routine) else found
    if not callable(function) or inspect.ismodule(function):
        raise UsageError(f"{target} is no function.", _WRITE_IT)
    return function


def _within(found: Any) -> Any:
    """What a function was made of."""
    from clx.routines.routine import Routine

    if isinstance(found, Routine):
        return found.function
    if isinstance(found, functools.partial):
        return found.func
    return getattr(found, "callback", None) or found


def call(function: Callable[..., Any], work: Mapping[str, Any], source: ArgSource) -> Any:
    """What the function gives for a work.

    Args:
        work: its document.
        source: ``parameters``: they are its arguments by name; ``work``: it gets the Work.

    Raises:
        BaseException: what the function raises.
    """
    if source == "work":
        value = _settled(function(given := _work(work)))
        return (given.results, given.products, given.plots) if value is None else value
    parameters = work.get("parameters") or {}
    if _is_command(function):
        return _of_click(function, parameters)  # type: ignore[arg-type]
    return _settled(function(**parameters))


def _work(document: Mapping[str, Any]) -> Any:
    from clx.work.work import Work

    return Work.from_dict(document)


def _settled(value: Any) -> Any:
    return asyncio.run(_awaited(value)) if inspect.isawaitable(value) else value


async def _awaited(value: Any) -> Any:
    return await value


def _is_command(function: Any) -> bool:
    return hasattr(function, "make_context") and hasattr(function, "params")


def _of_click(command: click.Command, parameters: Mapping[str, Any]) -> Any:
    """What a click command returns, called as from a shell."""
    import click

    words = _words(command, parameters)
    try:
        with command.make_context(command.name or "command", words) as context:
            return _settled(command.invoke(context))
    except click.exceptions.Exit as error:
        if error.exit_code:
            raise UsageError(f"The command ended with exit code {error.exit_code}.", "See its output.") from error
        return None
    except click.ClickException as error:
        raise UsageError(f"The command refused its parameters: {error.format_message()}", "Correct them.") from error


def _words(command: click.Command, parameters: Mapping[str, Any]) -> list[str]:
    """The parameters of a work as words of a command line, none of which can be taken for another."""
    import click

    known = {each.name: each for each in command.params}
    for name in parameters:
        if name not in known:
            near = closest(name, [str(each) for each in known])
            raise UsageError(
                f"The command has no parameter {shortened(name)}.", f"Did you mean {near}?" if near else "Leave it out."
            )
    options: list[str] = []
    arguments: list[str] = []
    for name, parameter in known.items():
        value = parameters.get(name)
        if value is None:
            continue
        if isinstance(parameter, click.Option):
            options += _option(parameter, value)
        else:
            arguments += map(str, value) if isinstance(value, list | tuple) else [str(value)]
    return [*options, "--", *arguments]


def _option(option: click.Option, value: Any) -> list[str]:
    name = next((each for each in option.opts if each.startswith("--")), option.opts[0])
    if option.is_flag:
        chosen = name if value else next(iter(option.secondary_opts), None)
        return [] if chosen is None else [chosen]
    if option.multiple:
        return [word for each in value for word in _valued(name, each)]
    return _valued(name, value)


def _valued(name: str, value: Any) -> list[str]:
    if isinstance(value, list | tuple):  # nargs
        return [name, *map(str, value)]
    return [f"{name}={value}"] if name.startswith("--") else [name, str(value)]
