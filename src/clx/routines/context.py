"""Where a call stands: which engine runs it, and in which routine it is made."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

from clx.errors import UsageError

if TYPE_CHECKING:
    from clx.routines.codecs.canonical import Files
    from clx.routines.routine import Call, Routine
    from clx.routines.tasks.output import Output


class Engine(Protocol):
    """Runs calls."""

    async def run(self, call: Call[Any]) -> Any:
        """What the routine returns.

        Raises:
            RoutineError: it has failed.
        """

    def at_once(self, call: Call[Any]) -> tuple[Any] | None:
        """What a kept result gives, for a program without an event loop; None: :meth:`run` has to tell.

        Raises:
            RoutineValueError: as :meth:`run`.
        """

    async def record(self, name: str, function: Callable[[], Any]) -> Any:
        """What *function* gave the first time that this workflow came here."""


@dataclass(slots=True)
class Running:
    """The routine that runs.

    Attributes:
        routine: which.
        job: its job and run; None where it is no job.
        engine: what runs its calls.
        counts: how often it has asked for each call, by the call's name.
        tasks: of the event loop, that it has made and that may outlive it.
        output: takes what it writes; None: nobody does.
    """

    routine: Routine[..., Any]
    job: tuple[int, int] | None
    engine: Engine
    counts: dict[str, int] = field(default_factory=dict)
    tasks: WeakSet[Any] = field(default_factory=WeakSet)
    output: Output | None = None

    def occurrence(self, name: str) -> int:
        """How many times before this one it has asked for the same."""
        found = self.counts.get(name, 0)
        self.counts[name] = found + 1
        return found


RUNNING: ContextVar[Running | None] = ContextVar("clx_routine", default=None)
"""The routine whose code this is."""
ENGINE: ContextVar[Engine | None] = ContextVar("clx_engine", default=None)
"""The engine of the lifecycle that is open; None: here and now, and nothing kept."""
FILES: ContextVar[Files | None] = ContextVar("clx_files", default=None)
"""The store of whoever performs the task that runs: a task's process itself has no token for a server of artifacts."""
_TEXT = 1000
TELL: ContextVar[Callable[[dict[str, Any]], None] | None] = ContextVar("clx_progress", default=None)
"""What takes the progress of the routine that runs."""


def name_of(routine_id: str, canonical: str) -> str:
    """What a call is called under the one who makes it: a digest of routine and arguments."""
    return hashlib.sha256(f"{routine_id}\0{canonical}".encode("utf-8", "surrogatepass")).hexdigest()


def progress(done: float, total: float | None = None, text: str = "") -> None:
    """Say how far the routine is that runs; shown by ``clx routines run`` and ``clx jobs show``.

    Args:
        done: of *total*, in whatever unit.
        total: None: not known.
        text: what it does; its first thousand characters are shown.

    Raises:
        UsageError: *done* or *total* is no number.
    """
    told = {
        "done": _number(done),
        "total": None if total is None else _number(total),
        "text": sayable(str(text)[:_TEXT]),
    }
    if (tell := TELL.get()) is not None:
        tell(told)


def _number(value: Any) -> float:
    if type(value) is int and abs(value) < 1 << 63:
        return value
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(
            f"No progress can be {repr(value)[:80]}.", "Give numbers: clx.progress(done, total)."
        ) from error
    return found if isfinite(found) else 0.0


def sayable(text: str) -> str:
    """*text* as a row can hold it: half a character, which no encoding has, is written as what it is."""
    return text.encode("utf-8", "backslashreplace").decode()
