"""The routines that this process knows, by id. A name from a job is looked up here, never imported."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from clx.errors import UsageError
from clx.routines.names import parse
from clx.routines.routine import Routine

_known: dict[str, Routine[..., Any]] = {}


def add(routine: Routine[..., Any]) -> None:
    """Know a routine from now on; one defined anew in the same place (a notebook's cell) takes the place of the old.

    Raises:
        UsageError: another function has its id.
    """
    other = _known.get(routine.id)
    if other is not None and other.place != routine.place:
        raise UsageError(
            f"{routine.id} is defined twice: in {'.'.join(other.place)} and in {'.'.join(routine.place)}.",
            "Give one of them another name" + (" or version." if routine.is_task else "."),
        )
    _known[routine.id] = routine


def known() -> dict[str, Routine[..., Any]]:
    """All of them by id."""
    return dict(_known)


def load(modules: Sequence[str], path: Iterable[str | Path] = ()) -> dict[str, Routine[..., Any]]:
    """Import *modules* and give the routines that are known then.

    Args:
        path: directories that are looked in first.

    Raises:
        UsageError: one cannot be imported, with the place where that failed; or there is no routine in them.
    """
    from clx.workers.importing import imported

    sys.path[:0] = [each for each in map(str, path) if each not in sys.path]
    for module in modules:
        imported(module)
    if not _known:
        raise UsageError(
            f"{', '.join(modules) or 'No module'} has no routine.",
            "Write @define.task or @define.workflow above a function.",
        )
    return known()


def find(text: str, among: Iterable[str]) -> str:
    """The id that *text* means: an id, a name, or ``NAME:VERSION``; of a name's versions the newest that is no -dev.

    Raises:
        UsageError: none, or a task and a workflow.
    """
    ids = sorted(among)
    if text in ids:
        return text
    name, _, version = text.partition(":")
    found = [parse(each) for each in ids]
    fitting = [each for each in found if each.name == name and version in ("", each.version)]
    if len({each.kind for each in fitting}) > 1:
        raise UsageError(f"{text} is a task and a workflow.", f"Type one of: {', '.join(map(str, fitting))}")
    if not fitting:
        from clx.settings.problems import closest

        near = closest(text, [each.name for each in found])
        raise UsageError(
            f"There is no routine {text!r}.",
            f"Did you mean {near}?" if near else f"There are: {', '.join(ids) or 'none'}.",
        )
    return str(max(fitting, key=lambda each: _rank(each.version)))


def _rank(version: str) -> tuple[bool, list[int]]:
    numbers, _, dev = version.partition("-")
    return not dev, [int(each) for each in numbers.split(".") if each]
