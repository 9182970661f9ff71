"""What a program wants to be told of the jobs that its consumer does."""

from __future__ import annotations

import logging
from typing import Any

from clx.db.handlers import is_of_the_program
from clx.db.models import Job

log = logging.getLogger("clx.consumer")


class Hooks:
    """What a :class:`~clx.db.consumer.Consumer` calls around each job, in the thread that does it.

    Override what you need. What a hook raises is logged and harms no job. The report of the job is stored a moment
    after ``on_success``, ``on_failure`` or ``on_cancelled`` was called.
    """

    def on_start(self, job: Job) -> None:
        """The function of *job* is about to be called."""

    def on_success(self, job: Job, result: Any) -> None:
        """It has returned *result*."""

    def on_failure(self, job: Job, error: BaseException, *, retried_in: float | None) -> None:
        """It has raised *error*; the next run comes after *retried_in* seconds, None: there is none."""

    def on_cancelled(self, job: Job) -> None:
        """It has heeded that it was asked to end, by raising :class:`~clx.errors.Cancelled`."""


def tell(hooks: Hooks | None, name: str, job: Job, *given: Any, **named: Any) -> None:
    """Call the hook called *name*; nothing that it raises goes further, but what is meant for the program."""
    if hooks is None:
        return
    try:
        getattr(hooks, name)(job, *given, **named)
    except BaseException as error:
        if is_of_the_program(error):
            raise
        log.exception("the hook %s failed at job %s (%s)", name, job.id, job.type)
