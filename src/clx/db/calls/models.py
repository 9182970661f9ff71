"""What is asked of :class:`~clx.db.calls.table.Calls`, and what it answers: plain immutable values."""

from __future__ import annotations

from typing import Any, NamedTuple

from clx.db.models import NewJob

TASK, WORKFLOW = "task:", "workflow:"
"""What the types of jobs begin with that are runs of routines."""
_KINDS = (TASK, WORKFLOW)


def is_routine(type_: object) -> bool:
    """Whether jobs of a type are runs of a routine."""
    return isinstance(type_, str) and type_.startswith(_KINDS)


def is_workflow(type_: object) -> bool:
    """Whether jobs of a type are runs of a workflow."""
    return isinstance(type_, str) and type_.startswith(WORKFLOW)


class Call(NamedTuple):
    """A call of a routine.

    Attributes:
        name: digest of the routine and its arguments.
        occurrence: how many times its caller had called the same before.
        job: what does it; of one *key* and type only one lives at a time.
        cache: whether a kept result of that key and type will do.
        ttl: how old such a result may be, in milliseconds; None: however old.
    """

    name: str
    occurrence: int
    job: NewJob
    cache: bool = True
    ttl: int | None = None


class Entered(NamedTuple):
    """What answers a call.

    Attributes:
        job_id: the job that does it, or has done it; None where there is a kept result.
        result: that kept result.
        mark: for a call of a program: by what name it says that it wants the job no more
            (:meth:`~clx.db.calls.table.Calls.leave`).
    """

    job_id: int | None
    result: Any = None
    mark: str | None = None


class Recorded(NamedTuple):
    """What is recorded under a caller: a call, or a value that it remembers.

    Attributes:
        type: that of the called job; None for a value.
        job_id: what does it; None for a value, and where a kept result answered.
        state: of that job; None where there is none, or not any more.
        value: a remembered value as JSON text.
        created_at: milliseconds UTC.
    """

    name: str
    occurrence: int
    type: str | None
    job_id: int | None
    state: str | None
    value: str | None
    created_at: int


class RoutineRow(NamedTuple):
    """A routine that a worker has.

    Attributes:
        id: the type of its jobs: ``task:NAME:VERSION`` or ``workflow:NAME``.
        module: the Python module that defines it.
        source: digest of its source.
        signature: its parameters and result as text.
        doc: its docstring.
        job: the job of a run that a trigger puts in, but for its payload; None: one with nothing unusual.
        after: the routine after whose end it is run; None: none.
        on: after which ends: ``success``, ``failure``, or ``always``: however it ended, cancelled included.
        parameter: the name of its first parameter, which gets the value or the error; None: it has none.
        seen_at: when a worker last said that it has it, milliseconds UTC.
    """

    id: str
    module: str
    source: str
    signature: str = ""
    doc: str = ""
    job: NewJob | None = None
    after: str | None = None
    on: str | None = None
    parameter: str | None = None
    seen_at: int = 0

    @property
    def name(self) -> str:
        """What its versions have in common."""
        return self.id.rpartition(":")[0] if self.id.startswith(TASK) else self.id
