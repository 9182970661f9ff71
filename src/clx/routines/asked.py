"""A call that a program has made of a table: entered, looked at, given up; without an event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clx.routines.codecs import artifacts_of
from clx.routines.context import name_of
from clx.routines.performing import arguments_of, asked_of
from clx.routines.routine import Call

if TYPE_CHECKING:
    from clx.db.jobs import Queue
    from clx.routines.codecs.canonical import Files


class Asked:
    """A call that is answered by a kept result or by a job.

    Args:
        call: what is called.
        files: where large values are.
        pool: whose workers take it.

    Attributes:
        job: its job; None: *kept* answers.
        kept: the kept result.

    Raises:
        RoutineValueError: an argument has no codec; with its path.
    """

    def __init__(self, queue: Queue, call: Call[Any], files: Files, pool: str) -> None:
        self._queue = queue
        self.routine = routine = call.routine
        call.close()  # it is not awaited, but entered
        arguments = arguments_of(call, files)
        files.share(artifacts_of(arguments))
        asking = asked_of(routine, arguments, pool, name_of(routine.id, arguments))
        (entered,) = queue.calls.enter(None, [asking])
        self.job, self.kept, self._mark = entered.job_id, entered.result, entered.mark
        self.key = asking.job.key

    def leave(self) -> bool:
        """Want it no more: unless somebody else does, it is cancelled. False: that was said before."""
        if self.job is None or self._mark is None:
            return False
        mark, self._mark = self._mark, None
        self._queue.calls.leave(self.job, mark)
        return True
