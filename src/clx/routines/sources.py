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
    told = result.get("source") if isinstance(result, dict) else None
    if told is None or told == routine.source or routine.id in _told:
        return
    _told.add(routine.id)
    name, version = routine.name.name, routine.name.version
    warnings.warn(
        f"{name} {version} was cached with other code. Give it another version, or forget what is kept: "
        f"clx routines forget {name}:{version}",
        OtherSourceWarning,
        stacklevel=2,
    )
