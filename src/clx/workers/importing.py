"""Modules of other people: imported by name, and what goes wrong meanwhile told with its file and line."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from importlib import import_module
from typing import Any

from clx.errors import ClxError, UsageError

_OF_CLX = os.path.dirname(os.path.dirname(__file__)) + os.sep  # noqa: PTH120
_OF_IMPORTS = ("<frozen importlib", __file__, os.path.dirname(os.__file__) + "/importlib/")  # noqa: PTH120


def imported(name: str) -> Any:
    """The module *name*.

    Raises:
        UsageError: it cannot be imported, with the file and line at which that failed.
    """
    if "/" in name or os.sep in name:
        raise _names_a_file(name)
    try:
        return told(lambda: import_module(name), f"{name} cannot be imported")
    except ModuleNotFoundError as error:
        if name.endswith(".py"):
            raise _names_a_file(name) from error
        place = f"Type the command in the directory that {name.partition('.')[0]} lies in, or install it."
        raise UsageError(f"There is no module {error.name}, here or among what is installed.", place) from error


def _names_a_file(name: str) -> UsageError:
    dotted = name.replace(os.sep, "/").removesuffix(".py").strip("./").replace("/", ".")
    return UsageError(f"{name} is the name of a file, not of a module.", f"Write it as it is imported: {dotted}")


def told(body: Callable[[], Any], what: str) -> Any:
    """What *body* gives; what it raises is told with the place it comes from."""
    try:
        return body()
    except ModuleNotFoundError as error:
        if _place(error) is None:  # nobody's import but ours
            raise
        _tell(error, what)
    except (Exception, SystemExit) as error:
        _tell(error, what)


def _tell(error: BaseException, what: str) -> None:
    place = _place(error)
    at = f" ({place[0]}, line {place[1]})" if place else ""
    if isinstance(error, ClxError):  # it says itself what is wrong, and what to do
        raise UsageError(f"{what}: {error.fact.rstrip('.')}{at}.", error.next_step) from error
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    text = f"{type(error).__name__}: {said}".rstrip(": ").splitlines()[0]
    advice = f"Correct {place[0]}, line {place[1]}." if place else "Correct it."
    if isinstance(error, ModuleNotFoundError) and error.name:
        advice = f"Install {error.name.partition('.')[0]}, or c{advice[1:]}"
    raise UsageError(f"{what}: {text}{at}.", advice) from error


def _place(error: BaseException) -> tuple[str, int] | None:
    """File and line where it comes from; None where that is no file of a program's.

    Where CLX refused what a program called it with, it is the program's line.
    """
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return error.filename, error.lineno
    frames = [each for each in traceback.extract_tb(error.__traceback__) if not each.filename.startswith(_OF_IMPORTS)]
    frames = [each for each in frames if not each.filename.startswith(_OF_CLX)] or frames
    return (frames[-1].filename, frames[-1].lineno or 1) if frames else None
