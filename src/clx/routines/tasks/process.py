"""The child of a worker, as the worker sees it: what it is asked, what it says meanwhile, and how it ends."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from clx.errors import UsageError, WorkerStartupError
from clx.platforms import system
from clx.platforms.oom import OomWatch
from clx.routines.tasks.output import Output, Stream
from clx.routines.tasks.wire import Wire
from clx.workers.run_logs import live_log

GRACE = 0.5
"""Seconds that a function, and what it has started, has to end after SIGTERM."""
_LOOK = 0.2
"""Seconds between two looks at a run that goes on."""
_SHORT = 0.005
"""Seconds for which the output of a run is left where it is: most runs are over then."""
_LIVE_AFTER = 0.25
"""Seconds after which a run's output is written to a file, to be followed."""
_CHUNK = 1 << 16
_AT_ONCE = 8
"""Chunks of output that are read before anything else is looked at."""
_ADVICE = "See what its modules start when they are imported; or set python.start to spawn."
Key = tuple[int, int]
"""Job and run."""


class Question(Protocol):
    """What the child is asked to do, as a job is."""

    @property
    def id(self) -> int: ...
    @property
    def run(self) -> int: ...
    @property
    def type(self) -> str: ...
    @property
    def payload(self) -> Any: ...


class Outcome(NamedTuple):
    """How a run has ended.

    Attributes:
        how: ``done``, ``failed``, ``timeout``, ``died``, or why somebody ended it.
        value: the result as JSON; of a failure the error; of a child that died how, in words.
        again, delay: of a failure: whether another run is wanted, and after how many milliseconds.
        peak_memory: bytes.
        backoff: of a failure without a delay: milliseconds before the second run, doubled before each later one.
    """

    how: str
    value: Any
    output: Output
    again: bool = False
    delay: int | None = None
    peak_memory: int | None = None
    backoff: int | None = None


class TaskProcess:
    """Keeper and child of one worker. One thread calls it, but for :meth:`end`.

    Args:
        spec: what both are told.
        state: the state directory, below which runs can be followed; None: they cannot.
        startup: seconds in which the modules must be imported.
        module: the program of the keeper.
        job_of: the job by which the output of what is asked is followed; None: it is not.

    Attributes:
        ids: what it may be asked to run.
        way: whether children are ``forked`` or ``spawned``.

    Raises:
        UsageError: the modules cannot be imported; says why, and where.
        WorkerStartupError: the keeper ended otherwise, or is too slow.
    """

    def __init__(
        self,
        spec: Mapping[str, Any],
        state: Path | None,
        startup: float,
        *,
        module: str = "clx.routines.tasks.keeper",
        job_of: Callable[[int], int | None] = lambda number: number,
    ) -> None:
        self._spec = {**spec, "mark": b"\0" + os.urandom(16).hex().encode() + b"\n"}
        self._state, self._startup, self._module, self._job_of = state, startup, module, job_of
        self._alarm = system.Alarm()
        self._asked: tuple[Key, str] | None = None
        self._child: Wire | None = None
        self._code: int | None = None
        self._descriptor = -1
        self._selector: selectors.BaseSelector
        self._without_output: selectors.BaseSelector
        self._stream = Stream(b"")
        self._sent: deque[Key] = deque()
        self._is_forgotten = False
        self._begin()

    def run(
        self, jobs: Sequence[Question], seconds: float, progress: Callable[[Any], None], look: Callable[[], None]
    ) -> Outcome:
        """Have the function of the first of *jobs* run, for so many *seconds* at most; then the others may begin.

        Args:
            jobs: those after the first are short ones, which the next calls ask for.
            progress: is told how far it is.
            look: is called now and again while it goes on.

        Raises:
            UsageError, WorkerStartupError: there is no child, and none can be started.
        """
        key = (jobs[0].id, jobs[0].run)
        if self._sent and self._sent[0] != key:  # others are not wanted any more: who knows what it has begun
            self._end_child(0.0)
        if self._code is None or not self._sent:
            self._answers = self._require_child()
            self._ask(self._answers, jobs)
        # else it was asked for ahead, and the child has died since; what it had answered counts
        child, began = self._answers, time.monotonic()
        selector = self._without_output
        while True:
            while (said := child.next()) is not None:
                if said[1] != "progress":
                    return self._answered(said[1:])
                progress(said[2])
            if self._code is not None:
                return self._died()
            self._pump(selector, _SHORT if selector is self._without_output else _rest(began + seconds))
            lasted = time.monotonic() - began
            if lasted >= _SHORT:
                if why := self._is_over(key, lasted >= seconds):
                    return self._ended(why)
                selector = self._selector
                self._watch(key, lasted)
                look()

    def ask(self, job: Question) -> None:
        """Have the function of a job begin at once; the next :meth:`run` has to be for the same.

        Raises:
            UsageError, WorkerStartupError: there is no child, and none can be started.
        """
        self._answers = self._require_child()
        self._ask(self._answers, [job])

    def _is_over(self, key: Key, overran: bool) -> str:
        """Why a run is to be ended; empty where it is not."""
        if self._asked is not None and self._asked[0] == key:
            return self._asked[1]
        return "timeout" if overran else ""

    def _watch(self, key: Key, lasted: float) -> None:
        self._memory.look()
        if lasted >= _LIVE_AFTER and self._state is not None and (job := self._job_of(key[0])) is not None:
            self._stream.output.show(live_log(self._state, job, key[1]))

    def _ask(self, child: Wire, jobs: Sequence[Question]) -> None:
        known = set(self._sent)
        with contextlib.suppress(OSError):  # it is gone: the keeper tells
            for job in jobs:
                if (job.id, job.run) not in known:
                    self._sent.append((job.id, job.run))
                    child.send((job.id, job.run), job.type, msgspec.json.encode(job.payload))

    def forget(self) -> None:
        """Let nothing begin that was asked for ahead; any thread may say so.

        What begins at this very moment is ended as soon as the one before it has answered.
        """
        child = self._child
        if child is not None and len(self._sent) > 1 and not self._is_forgotten:
            with contextlib.suppress(OSError):
                child.send("forget")
            self._is_forgotten = True

    def end(self, key: Key, why: str) -> None:
        """End the function of a run, if it is that one's; any thread may ask."""
        self._asked = (key, why)
        self._alarm.ring()

    def close(self) -> None:
        """End the child, and the keeper."""
        if self._keeper.poll() is None:
            self._end_child(GRACE)
        self._forget_keeper()

    def _answered(self, said: list[Any]) -> Outcome:
        self._sent.popleft()
        *answer, left, peak = said
        while (output := self._stream.take()) is None and self._drain():
            pass
        output = output or self._stream.output
        if left or self._is_forgotten:
            self._end_child(GRACE if left else 0.0)
        if answer[0] == "done":
            return Outcome("done", answer[1], output, peak_memory=peak)
        _, error, again, delay, *more = answer
        return Outcome("failed", error, output, again, delay, peak, *more)

    def _died(self) -> Outcome:
        code, self._code = self._code or 0, None
        self._sent.clear()
        by_memory = code == -system.KILL and self._memory.killed()
        words = told(code) + (", probably out of memory" if by_memory else "")
        return Outcome("died", words, self._stream.take() or self._stream.output)

    def _ended(self, why: str) -> Outcome:
        self._end_child(GRACE)
        return Outcome(why, None, self._stream.take() or self._stream.output)

    # -- what comes -------------------------------------------------------------------------------

    def _pump(self, selector: selectors.BaseSelector, seconds: float) -> None:
        """Take what comes within *seconds*, or at once."""
        for key, _ in selector.select(seconds):
            if key.fileobj is self._child:
                if not self._child.fill():
                    self._finish_child(GRACE)
                    return  # what else was ready is not there any more
            elif key.fileobj is self._control:
                self._hear()
                return
            elif key.fileobj is self._alarm:
                self._alarm.silence()
            else:
                self._drain()

    def _drain(self) -> bool:
        """Read what the child has written; false where that is nothing."""
        for number in range(_AT_ONCE if self._descriptor >= 0 else 0):
            try:
                data = os.read(self._descriptor, _CHUNK)
            except BlockingIOError:
                return number > 0
            if not data:
                self._close_output()
                return number > 0
            self._stream.add(data)
            if len(data) < _CHUNK // 4:
                return True
        return self._descriptor >= 0

    def _close_output(self) -> None:
        if self._descriptor >= 0:
            self._selector.unregister(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _hear(self) -> None:
        """Hear from the keeper that the child has ended, or that itself has."""
        if not self._control.fill():
            self._code = self._forget_keeper()
            return
        while (said := self._control.next()) is not None:
            self._forget_child()
            self._code = int(said[1])

    # -- beginning and ending ---------------------------------------------------------------------

    def _begin(self) -> None:
        mine, its = socket.socketpair()
        words = [sys.executable, "-P", "-m", self._module, str(its.fileno())]
        with its:
            self._keeper = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, pass_fds=[its.fileno()], start_new_session=True
            )
        self._control = Wire(mine, takes_descriptors=True)
        self._selector, self._without_output = selectors.DefaultSelector(), selectors.DefaultSelector()
        for selector in (self._selector, self._without_output):
            selector.register(self._alarm, selectors.EVENT_READ)
            selector.register(self._control, selectors.EVENT_READ)
        with contextlib.suppress(OSError):
            self._control.send(self._spec)
        said = self._said()
        if said[0] == "failed":
            self._forget_keeper()
            raise UsageError(said[1], said[2])
        _, self.ids, self.way = said

    def _require_child(self) -> Wire:
        """The child; another where it has ended in its sleep."""
        if self._child is not None and not self._sent:
            self._pump(self._without_output, 0.0)
        if self._keeper.poll() is not None:
            self._forget_keeper()
            self._sent.clear()  # nobody will answer it
            self._begin()
        if self._child is None:
            self._start()
        assert self._child is not None
        return self._child

    def _start(self) -> None:
        self._control.send("start")
        said = self._said()
        if said[0] != "started":
            raise WorkerStartupError(f"No process for tasks could be started: {said[1]}.", "Check: clx doctor")
        assert self._control.descriptors is not None
        number, self._descriptor = self._control.descriptors
        self._control.descriptors.clear()
        for descriptor in (number, self._descriptor):
            os.set_inheritable(descriptor, False)
        system.widen_pipe(self._descriptor, 1 << 20)
        os.set_blocking(self._descriptor, False)
        self._child = Wire(socket.socket(fileno=number))
        self._memory = OomWatch()
        self._stream = Stream(self._spec["mark"])
        for each in (self._selector, self._without_output):
            each.register(self._child, selectors.EVENT_READ)
        self._selector.register(self._descriptor, selectors.EVENT_READ)
        ends_at = time.monotonic() + self._startup
        while (said_by_child := self._child.next()) is None:
            self._code = None
            self._pump(self._selector, 0.05)
            if self._child is None or time.monotonic() > ends_at:
                raise WorkerStartupError(f"A process for tasks did not start: {told(self._code or 0)}.", _ADVICE)
        assert said_by_child[0] == "ready"
        self._code = None

    def _said(self) -> list[Any]:
        """The next thing that the keeper says."""
        ends_at = time.monotonic() + self._startup
        while (said := self._control.next()) is None:
            left = ends_at - time.monotonic()
            if left <= 0:
                self._keeper.kill()
                self._forget_keeper()
                raise WorkerStartupError(f"The modules were not imported within {self._startup:g} s.", _ADVICE)
            if system.wait_readable([self._control], left) and not self._control.fill():
                raise WorkerStartupError(
                    f"The process that imports the modules ended: {told(self._forget_keeper())}.", _ADVICE
                )
        return said

    def stop(self) -> None:
        """Let nothing go on that was asked for and not waited for."""
        if self._sent:
            self._end_child(0.0)

    def _end_child(self, grace: float) -> None:
        """End the child with all that came from it, and forget how it ended, and what it was asked."""
        self._finish_child(grace)
        self._code = None
        self._sent.clear()

    def _finish_child(self, grace: float) -> None:
        """End the child with all that came from it."""
        with contextlib.suppress(OSError):
            self._control.send("end", grace)
        if self._child is not None:
            self._selector.unregister(self._child)
            self._without_output.unregister(self._child)
        while self._child is not None:
            for key, _ in self._selector.select(1.0):
                if key.fileobj is self._control:
                    self._hear()
                elif key.fileobj is self._alarm:
                    self._alarm.silence()
                else:
                    self._drain()

    def _forget_child(self) -> None:
        while self._drain():
            pass
        self._is_forgotten = False
        if self._child is not None:
            self._child.fill(wait=False)  # what it has answered before counts
            for each in (self._selector, self._without_output):
                with contextlib.suppress(KeyError):
                    each.unregister(self._child)
            self._child.close()
            self._child = None
        self._close_output()

    def _forget_keeper(self) -> int:
        """Let the keeper end, which ends the child with all that came from it; how it ended."""
        self._forget_child()
        self._selector.close()
        self._without_output.close()
        self._control.close()
        try:
            return self._keeper.wait(2 * GRACE + 1.0)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            return self._keeper.wait()


def _rest(ends_at: float) -> float:
    return min(_LOOK, max(0.0, ends_at - time.monotonic()))


def told(code: int) -> str:
    """How a process has ended, in words."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
