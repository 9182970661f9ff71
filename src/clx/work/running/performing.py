"""What the process of a runner does: one work after the other, by a function or a program."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from clx.db.models import decode, encode
from clx.db.works import fields
from clx.errors import QueueError, UsageError
from clx.routines.failures import described
from clx.work.running import commands, functions

WORK = "work"
"""What it is asked for."""


class Performer:
    """Does works.

    Args:
        spec: what the runner was told to do: ``command``, ``modules``, ``commands`` and ``argsource``.
        function: that of each work; None: the program of *spec*, else what each work names itself.
    """

    def __init__(self, spec: Mapping[str, Any], function: Callable[..., Any] | None) -> None:
        self._spec, self._function = spec, function

    def __call__(self, _type: str, payload: bytes) -> list[Any]:
        """The answer for one work: results, products, plots and memory as JSON, or why it has failed."""
        try:
            return ["done", self._done(msgspec.json.decode(payload))]
        except BaseException as error:  # SystemExit too: that is the function's
            told = described(error.with_traceback(_of_others(error.__traceback__)), "")
            del told["routine"]
            return ["failed", told, True, None]

    def _done(self, work: dict[str, Any]) -> bytes:
        memory = 0
        command = self._spec["command"] or (None if self._function else work.get("command"))
        if command:
            if not self._spec["command"]:
                commands.allowed(command, self._spec["commands"])
            ended = commands.run(command, work, self._spec["argsource"])
            value, memory = _told_by_program(ended.output), ended.peak_memory
        else:
            value = functions.call(self._of(work), work, self._spec["argsource"])
        results, products, plots = said(value)
        told = {"results": results, "products": products, "plots": plots, "memory": memory}
        return encode(told).encode()

    def _of(self, work: Mapping[str, Any]) -> Callable[..., Any]:
        if self._function is not None:
            return self._function
        if not work.get("function"):
            raise UsageError("The work names no function and no command.", "Name one: clx work run PIPELINE FUNCTION.")
        return functions.allowed(str(work["function"]), self._spec["modules"])


def _of_others(trace: TracebackType | None) -> TracebackType | None:
    """A traceback from the first frame on that is not of what runs works."""
    here = str(Path(__file__).parent)
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(here):
        trace = trace.tb_next
    return trace


def said(value: Any) -> tuple[dict[str, Any] | None, list[str] | None, list[str] | None]:
    """Results, products and plots of what a function has returned: a mapping, ``(results, products, plots)``, a value.

    Raises:
        QueueError: JSON cannot say the results.
    """
    results, products, plots = value, None, None
    if isinstance(value, tuple) and len(value) == 3 and isinstance(value[0], Mapping | None):  # noqa: SIM102
        if _is_list(value[1]) and _is_list(value[2]):
            results, products, plots = value
    return None if results is None else _results(results), _paths(products), _paths(plots)


def _is_list(value: Any) -> bool:
    return value is None or (
        isinstance(value, Sequence)
        and not isinstance(value, str | bytes)
        and all(isinstance(each, str | os.PathLike) for each in value)
    )


def _paths(value: Any) -> list[str] | None:
    return None if value is None else [os.fsdecode(os.fspath(each)) for each in value]


def _results(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):  # as JSON has it, and as it becomes further in: {1: 2} is {"1": 2}
        value = {str(name): each for name, each in value.items()}
    try:
        encode(value)
    except QueueError:
        value = _plain(value)
        encode(value)
    return fields.results(value)


def _plain(value: Any) -> Any:
    """The same of what JSON knows: numbers and arrays of numpy, and paths."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    if isinstance(value, os.PathLike):
        return os.fsdecode(os.fspath(value))
    return value.tolist() if hasattr(value, "tolist") else value


def _told_by_program(output: bytes) -> Any:
    """What a program has told by its output: a JSON object, which may have results, products and plots."""
    try:
        found = decode(output)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    if found and found.keys() <= {"results", "products", "plots"}:
        return found.get("results") or {}, found.get("products"), found.get("plots")
    return found
