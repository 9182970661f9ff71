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
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from clx.errors import UsageError, WorkerStartupError
from clx.platforms import system
from clx.platforms.oom import OomWatch
from clx.routines.tasks.output import Output
from clx.routines.tasks.wire import Wire

GRACE = 0.5
"""Seconds that a function, and what it has started, has to end after SIGTERM."""
_LOOK = 0.2
"""Seconds between two looks at a run that goes on."""
_CHUNK = 1 << 18
_AT_ONCE = 8
"""Chunks of output that are read before anything else is looked at."""
_ADVICE = "See what its modules start when they are imported; or set python.start to spawn."
Key = tuple[int, int]
"""Job and run."""


class Outcome(NamedTuple):
    """How a run has ended.

    Attributes:
        how: ``done``, ``failed``, ``timeout``, ``died``, or why somebody ended it.
        value: the result as JSON; of a failure the error; of a child that died how, in words.
        again, delay: of a failure: whether another run is wanted, and after how many milliseconds.
        peak_memory: bytes.
    """

    how: str
    value: Any
    output: Output
    again: bool = False
    delay: int | None = None
    peak_memory: int | None = None


class TaskProcess:
    """Keeper and child of one worker. One thread calls it, but for :meth:`end`.

    Args:
        spec: what both are told.
        state: the state directory, below which runs can be followed.
        startup: seconds in which the modules must be imported.

    Attributes:
        ids: what it may be asked to run.
        way: whether children are ``forked`` or ``spawned``.

    Raises:
        UsageError: the modules cannot be imported; says why, and where.
        WorkerStartupError: the keeper ended otherwise, or is too slow.
    """

    def __init__(self, spec: Mapping[str, Any], state: Path, startup: float) -> None:
        self._spec, self._state, self._startup = spec, state, startup
        self._alarm = system.Alarm()
        self._asked: tuple[Key, str] | None = None
        self._child: Wire | None = None
        self._code: int | None = None
        self._descriptor = -1
        self._log: Output | None = None
        self._begin()

    def run(
        self,
        key: Key,
        type_: str,
        payload: bytes,
        seconds: float,
        progress: Callable[[Any], None],
        look: Callable[[], None],
    ) -> Outcome:
        """Have a function run, for so many *seconds* at most.

        Args:
            progress: is told how far it is.
            look: is called now and again while it goes on.

        Raises:
            UsageError, WorkerStartupError: there is no child, and none can be started.
        """
        child = self._require_child()
        output = self._log = Output(self._state, *key)
        ends_at = time.monotonic() + seconds
        with contextlib.suppress(OSError):  # it is gone: the keeper tells
            child.send(type_, payload)
        while True:
            self._pump(min(_LOOK, max(0.0, ends_at - time.monotonic())))
            while (said := child.next()) is not None:
                if said[0] != "progress":
                    return self._answered(said, output)
                progress(said[1])
            if self._code is not None:
                return self._died(output)
            if self._asked is not None and self._asked[0] == key:
                self._end_child(GRACE)
                return Outcome(self._asked[1], None, output)
            if time.monotonic() >= ends_at:
                self._end_child(GRACE)
                return Outcome("timeout", None, output)
            self._memory.look()
            output.show()
            look()

    def end(self, key: Key, why: str) -> None:
        """End the function of a run, if it is that one's; any thread may ask."""
        self._asked = (key, why)
        self._alarm.ring()

    def close(self) -> None:
        """End the child, and the keeper."""
        if self._keeper.poll() is None:
            self._end_child(GRACE)
        self._forget_keeper()

    def _answered(self, said: list[Any], output: Output) -> Outcome:
        self._drain()
        *answer, left, peak = said
        if left:
            self._end_child(GRACE)
        if answer[0] == "done":
            return Outcome("done", answer[1], output, peak_memory=peak)
        _, error, again, delay = answer
        return Outcome("failed", error, output, again, delay, peak)

    def _died(self, output: Output) -> Outcome:
        assert self._code is not None
        by_memory = self._code == -system.KILL and self._memory.killed()
        return Outcome("died", told(self._code) + (", probably out of memory" if by_memory else ""), output)

    # -- what comes -------------------------------------------------------------------------------

    def _pump(self, seconds: float) -> None:
        """Take what comes within *seconds*, or at once."""
        for key, _ in self._selector.select(seconds):
            if key.fileobj is self._child:
                if not self._child.fill():
                    self._end_child(GRACE)
                    return  # what else was ready is not there any more
            elif key.fileobj is self._control:
                self._hear()
                return
            elif key.fileobj is self._alarm:
                self._alarm.silence()
            else:
                self._drain()

    def _drain(self) -> None:
        """Read what the child has written."""
        for _ in range(_AT_ONCE if self._descriptor >= 0 else 0):
            try:
                data = os.read(self._descriptor, _CHUNK)
            except BlockingIOError:
                return
            if not data:
                self._selector.unregister(self._descriptor)
                os.close(self._descriptor)
                self._descriptor = -1
                return
            if self._log is not None:
                self._log.add(data)

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
        words = [sys.executable, "-P", "-m", "clx.routines.tasks.keeper", str(its.fileno())]
        with its:
            self._keeper = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, pass_fds=[its.fileno()], start_new_session=True
            )
        self._control = Wire(mine, takes_descriptors=True)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._alarm, selectors.EVENT_READ)
        self._selector.register(self._control, selectors.EVENT_READ)
        with contextlib.suppress(OSError):
            self._control.send(self._spec)
        said = self._said()
        if said[0] == "failed":
            self._forget_keeper()
            raise UsageError(said[1], said[2])
        _, self.ids, self.way = said

    def _require_child(self) -> Wire:
        """The child; another where it has ended in its sleep."""
        self._log = None
        if self._child is not None:
            self._pump(0.0)
        if self._keeper.poll() is not None:
            self._forget_keeper()
            self._begin()
        if self._child is None:
            self._start()
        assert self._child is not None
        self._code = None
        return self._child

    def _start(self) -> None:
        self._control.send("start")
        said = self._said()
        if said[0] != "started":
            raise WorkerStartupError(f"No process for tasks could be started: {said[1]}.", "Check: clx doctor")
        assert self._control.descriptors is not None
        number, self._descriptor = self._control.descriptors
        self._control.descriptors.clear()
        for each in (number, self._descriptor):
            os.set_inheritable(each, False)
        system.widen_pipe(self._descriptor, 1 << 20)
        os.set_blocking(self._descriptor, False)
        self._child = Wire(socket.socket(fileno=number))
        self._memory = OomWatch()
        self._selector.register(self._child, selectors.EVENT_READ)
        self._selector.register(self._descriptor, selectors.EVENT_READ)
        ends_at = time.monotonic() + self._startup
        while (said_by_child := self._child.next()) is None:
            self._code = None
            self._pump(0.05)
            if self._child is None or time.monotonic() > ends_at:
                raise WorkerStartupError(f"A process for tasks did not start: {told(self._code or 0)}.", _ADVICE)
        assert said_by_child[0] == "ready"

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

    def _end_child(self, grace: float) -> None:
        """End the child with all that came from it."""
        self._code = None
        with contextlib.suppress(OSError):
            self._control.send("end", grace)
        if self._child is not None:
            self._selector.unregister(self._child)
        while self._child is not None:
            for key, _ in self._selector.select(1.0):
                if key.fileobj is self._control:
                    self._hear()
                elif key.fileobj is self._alarm:
                    self._alarm.silence()
                else:
                    self._drain()

    def _forget_child(self) -> None:
        self._drain()
        if self._child is not None:
            with contextlib.suppress(KeyError):
                self._selector.unregister(self._child)
            self._child.close()
            self._child = None
        if self._descriptor >= 0:
            self._selector.unregister(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _forget_keeper(self) -> int:
        """Let the keeper end, which ends the child with all that came from it; how it ended."""
        self._forget_child()
        self._selector.close()
        self._control.close()
        try:
            return self._keeper.wait(2 * GRACE + 1.0)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            return self._keeper.wait()


def told(code: int) -> str:
    """How a process has ended, in words."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
