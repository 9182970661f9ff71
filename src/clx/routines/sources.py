"""A result that was kept by other code under the same version: told once."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

from clx.routines.routine import Routine

_told: set[str] = set()


def note_sources(routines: Iterable[Routine[..., Any]]) -> None:
    """Take the digests of the code that was just imported: the files may be edited while this process lives."""
    for each in routines:
        _ = each.source


class OtherSourceWarning(UserWarning):
    """A result was made by other code than the routine has now."""


def warn_of_other_source(routine: Routine[..., Any], result: Any) -> None:
    """Warn, once for each routine, where *result* was made by other code than *routine* has now."""
    if routine.id not in _told and (said := other_source(routine, result)):
        _told.add(routine.id)
        warnings.warn(said, OtherSourceWarning, stacklevel=2)


def warn_of_other_worker(routine: Routine[..., Any], result: Any) -> None:
    """Warn, once for each routine, where a worker has just run other code than *routine* has here."""
    if routine.id not in _told and other_source(routine, result):
        _told.add(routine.id)
        said = f"Workers run other code of {routine.id} than this program has. Start them anew."
        warnings.warn(said, OtherSourceWarning, stacklevel=2)


def other_source(routine: Routine[..., Any], result: Any) -> str:
    """What is said where *result* was made by other code than *routine* has now; empty: it was not."""
    told = result.get("source") if isinstance(result, dict) else None
    if told is None or told == routine.source:
        return ""
    name, version = routine.name.name, routine.name.version
    return (
        f"{name} {version} was cached with other code. Give it another version, or forget what is kept: "
        f"clx routines forget {name}:{version}"
    )
