"""What a routine is called: ``task:NAME:VERSION`` or ``workflow:NAME``, read strictly."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from clx.errors import UsageError

Kind = Literal["task", "workflow"]

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9._-]*")
_VERSION = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-dev)?")
_WAYS = "Write task:NAME:VERSION or workflow:NAME, as in task:train:0.0.1."


class RoutineId(NamedTuple):
    """A routine id in its parts; ``version`` is empty for a workflow."""

    kind: Kind
    name: str
    version: str

    def __str__(self) -> str:
        return f"task:{self.name}:{self.version}" if self.kind == "task" else f"workflow:{self.name}"


def bare(text: str) -> str:
    """The name in a routine id, strictly read or not: another program may have written it."""
    kind, colon, rest = text.partition(":")
    return rest.partition(":")[0] if colon else kind


def parse(text: str) -> RoutineId:
    """The parts of a routine id.

    Raises:
        UsageError: it is none.
    """
    kind, _, rest = text.partition(":")
    name, colon, version = rest.partition(":")
    if kind == "task" and _NAME.fullmatch(name) and _VERSION.fullmatch(version):
        return RoutineId("task", name, version)
    if kind == "workflow" and _NAME.fullmatch(name) and not colon:
        return RoutineId("workflow", name, "")
    raise UsageError(f"{text[:120]!r} is no routine.", _WAYS)


def check_name(name: object) -> str:
    """A name that a routine can have.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(
            f"No routine can be called {name!r}.", "Begin with a letter, go on with letters, digits, dots, - and _."
        )
    return name


def check_version(version: object) -> str:
    """A version that a task can have.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise UsageError(
            f"No task can have the version {version!r}.", 'Write "X.Y.Z", or "X.Y.Z-dev" while it changes.'
        )
    return version


def check_after(routine_id: object) -> str:
    """The id of the routine after which another one runs.

    Raises:
        UsageError: it is none.
    """
    try:
        return str(parse(str(routine_id)))
    except UsageError as error:
        raise UsageError(
            f"after={routine_id!r} is no routine.", "Give the function, or its id: task:NAME:VERSION or workflow:NAME."
        ) from error
