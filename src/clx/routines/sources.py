"""A result that was kept by other code under the same version: told once."""

from __future__ import annotations

import warnings
from typing import Any

from clx.routines.routine import Routine

_told: set[str] = set()


class OtherSourceWarning(UserWarning):
    """A kept result was made by other code than the task has now."""


def warn_of_other_source(routine: Routine[..., Any], result: Any) -> None:
    """Warn, once for each routine, where *result* was made by other code than *routine* has now."""
    if routine.id not in _told and (said := other_source(routine, result)):
        _told.add(routine.id)
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
