"""Running the function of a job: what it may ask and say meanwhile, what it may not do, and whose an exception is."""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from functools import partial
from inspect import iscoroutinefunction
from types import CodeType, TracebackType
from typing import TYPE_CHECKING, Any

from clx.db.backoff import backoff
from clx.db.durations import in_ms
from clx.db.models import Job
from clx.db.tasks import Task
from clx.db.validation import check_backoff
from clx.errors import Discard, LostRunError, QueueError, Retry
from clx.platforms import system
from clx.settings.problems import shortened

if TYPE_CHECKING:
    from clx.db.jobs import Queue


class _Here(threading.local):
    """How many functions of jobs this thread is in."""

    depth = 0


_here = _Here()
_in_coroutine = ContextVar("_in_coroutine", default=False)
"""Whether what runs is a job's coroutine function, or a task of one."""


class Interrupted(BaseException):
    """Raised in the function of a job when the time to end in order is over; nothing that catches errors stops it."""


def call(queue: Queue, function: Callable[[Job], Any], job: Job) -> Any:
    """Run *function* with *job*, which gets what tells its progress, and its queue."""
    object.__setattr__(job, "progress", partial(tell_progress, queue, job))
    object.__setattr__(job, "_queue", queue)
    _here.depth += 1
    try:
        return function(job)
    finally:
        _here.depth -= 1


async def call_async(
    queue: Queue, function: Callable[[Job], Awaitable[Any]], job: Job, progress: Callable[[Any], None]
) -> Any:
    """As :func:`call`, for a coroutine function; *progress* tells how far it is."""
    object.__setattr__(job, "progress", progress)
    object.__setattr__(job, "_queue", queue)
    _in_coroutine.set(True)
    return await function(job)


def is_awaited(function: Any) -> bool:
    """Whether what calling *function* gives is to be awaited."""
    return iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__)


def tell_progress(queue: Queue, job: Job, value: Any) -> None:
    """Store how far *job* is."""
    try:
        queue.heartbeat(job.id, job.run, progress=value)
    except LostRunError:
        return  # the consumer says so once; what the run leaves may yet count


def by_type(handlers: Any, tasks: Iterable[Any]) -> Any:
    """What does the jobs of each type; handlers that are no mapping as they are, to be refused by who takes them.

    Raises:
        QueueError: what is given as a task is none, or a type has two.
    """
    if not isinstance(handlers, Mapping):
        return handlers
    found = dict(handlers)
    for each in tasks:
        if not isinstance(each, Task):
            raise QueueError(f"{shortened(repr(each))} is no task.", "Write @task above the function.")
        if each.type in found:
            raise QueueError(f"Two functions do jobs of the type {each.type!r}.", 'Name one anew: @task(type="…").')
        found[each.type] = each
    return found


def functions(handlers: Any) -> Any:
    """The functions themselves, of tasks too, to be looked at by whoever takes them."""
    if not isinstance(handlers, Mapping):
        return handlers
    return {type_: each.function if isinstance(each, Task) else each for type_, each in handlers.items()}


def pause_after(job: Job, handler: object, error: BaseException) -> tuple[int | None, str]:
    """Milliseconds until the run after one that raised *error*; None where there is none, and why, in words."""
    counted = job.run - job.released
    if isinstance(error, Discard):
        return None, "it wants no other run"
    asked: Any = None
    handler = getattr(handler, "__self__", handler)  # task.run
    if isinstance(error, Retry):
        asked = error.delay
    elif isinstance(handler, Task):
        retry_on = (BaseException,) if handler.retry_on is None else handler.retry_on
        if isinstance(error, handler.discard_on) or not isinstance(error, retry_on):
            return None, f"{type(error).__name__} is tried no other time"
        asked = handler.backoff
    if counted >= job.max_runs:
        return None, "it has no runs left"
    if asked is None:
        return backoff(counted), ""
    try:
        asked = in_ms(asked)
        check_backoff(asked)
    except QueueError:  # it must not harm the consumer
        return backoff(counted), ""
    return int(asked), ""


def refuse_endless_wait(timeout: float | None) -> None:
    """See that the function of a job does not wait for others without end: they may wait for its consumer.

    Raises:
        QueueError: it does.
    """
    if timeout is None and (_here.depth > 0 or _in_coroutine.get()):
        raise QueueError(
            "The function of a job waits for another job without end; where every consumer does so, nothing moves.",
            "Let a second job go on, with needs=[…] or as the callback of a batch; or give wait a timeout.",
        )


def described(error: BaseException) -> dict[str, str]:
    """An exception as the table keeps it, also where its own class makes telling it hard."""
    try:
        text = "".join(traceback.format_exception(error))
    except BaseException:  # whatever its attributes raise, it is still the job's
        text = "".join(traceback.format_tb(error.__traceback__))
    try:
        name = str(type(error).__name__)
    except BaseException:
        name = "Exception"
    try:
        message = str(error)
    except BaseException:
        message = ""
    return {"type": name, "message": message or name, "traceback": text}


def is_of_the_program(error: BaseException) -> bool:
    """Whether an exception that came out of a job's function is meant for the program and not for the job.

    Ctrl-C is, and what one of the program's own handlers of a signal to end raised. All else is the job's, SystemExit
    too: one job that calls ``sys.exit`` must not end one consumer after the other.
    """
    if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        return True
    # the handler of another one (a timer's, say) may well be the job's own
    handlers = {_code(signal.getsignal(number)) for number in system.ENDING} - {None}
    return any(code in handlers for code in _codes(error.__traceback__))


def _codes(found: TracebackType | None) -> set[CodeType]:
    codes = set()
    while found is not None:
        codes.add(found.tb_frame.f_code)
        found = found.tb_next
    return codes


def _code(handler: Any) -> CodeType | None:
    """The code of a signal handler, whichever kind of callable it is."""
    handler = getattr(handler, "func", handler)  # functools.partial
    handler = getattr(handler, "__func__", handler)  # a method
    if not hasattr(handler, "__code__"):
        handler = getattr(type(handler).__call__, "__func__", type(handler).__call__) if callable(handler) else None
    return getattr(handler, "__code__", None)
