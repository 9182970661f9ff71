"""The process that runs functions, one after the other: it may be killed at any time, and another takes its place.

After each function it looks at what that has left behind. What can be put back is; where a thread or a process is
left it says so with its answer, and its worker has it replaced.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from clx.artifacts.store import ArtifactStore
from clx.errors import Discard, Retry, UsageError
from clx.platforms import offspring
from clx.routines.context import TELL
from clx.routines.failures import described
from clx.routines.performing import perform
from clx.routines.routine import Routine
from clx.routines.tasks.wire import Wire

Perform = Callable[[str, bytes], list[Any]]
"""Does what it is asked, and gives the answer: ``["done", value]`` or ``["failed", error, again, delay]``,
and behind that, where it is known, by how much pauses grow."""
_GROWTH = 1 << 20
"""Bytes by which the most that it held must have grown before that is forgotten for the next run."""


class Child:
    """Runs what comes over *wire*, until that ends.

    Args:
        perform: does one thing after the other.
        recycle: bytes by which it may have grown before another takes its place.
        mark: what ends the output of each function.
    """

    def __init__(self, wire: Wire, perform: Perform, recycle: int, mark: bytes) -> None:
        self._wire, self._perform, self._recycle, self._mark = wire, perform, recycle, mark
        self._key: Any = None
        self._peak = offspring.peak_memory()
        self._held = offspring.memory()
        self._surroundings = _Surroundings()
        TELL.set(self._tell)

    def serve(self) -> None:
        """Answer each question ``[key, type, payload]``, in turn.

        The answer is ``[key, "done"|"failed", …, what is left behind, peak memory]``; before it the mark is set in the
        output. ``["forget"]`` takes back all that was asked and not begun. Where something is left behind nothing else
        is begun: another process takes its place.
        """
        self._wire.send("ready")
        asked: deque[list[Any]] = deque()
        while self._hear(asked):
            self._key, type_, payload = asked.popleft()
            answer = self._perform(type_, payload)
            self._surroundings.flush()
            left = self._surroundings.left() or self._grown()
            peak = offspring.peak_memory()
            os.write(self._surroundings.log, self._mark)
            self._wire.send(self._key, *answer, left, peak)
            if left:
                asked.clear()
                while self._wire.fill():  # until it is ended
                    pass
            if peak > self._peak + _GROWTH:
                offspring.forget_peak()
                self._peak = offspring.peak_memory()

    def _hear(self, asked: deque[list[Any]]) -> bool:
        """Take what was asked meanwhile, and wait where that is nothing; false when nobody will ask any more."""
        while self._wire.fill(wait=not asked):
            while (said := self._wire.next()) is not None:
                if said[0] == "forget":
                    asked.clear()
                else:
                    asked.append(said)
            if asked:
                return True
        return False

    def _tell(self, progress: dict[str, Any]) -> None:
        self._wire.send(self._key, "progress", progress)

    def _grown(self) -> str:
        if offspring.peak_memory() - self._held < self._recycle:  # a look that costs nothing, before the other
            return ""
        grown = offspring.memory() - self._held
        return f"{grown >> 20} MiB of memory" if grown >= self._recycle else ""


def of_routines(routines: Mapping[str, Routine[..., Any]], store: ArtifactStore) -> Perform:
    """What runs *routines*, by id; nothing else is run."""

    def run(type_: str, payload: bytes) -> list[Any]:
        routine = routines[type_]
        try:
            return ["done", perform(routine, payload, store)]
        except BaseException as error:  # SystemExit too: that is the task's, as for any function of a job
            again = routine.options.max_runs is not None and not isinstance(error, Discard | UsageError)
            backoff = routine.options.backoff
            delay = error.delay if isinstance(error, Retry) else None
            return ["failed", described(error, type_), again or isinstance(error, Retry), _milliseconds(delay), backoff]

    return run


def _milliseconds(delay: Any) -> int | None:
    from clx.db.durations import in_ms

    try:
        found = in_ms(delay)
    except Exception:  # whatever it is, it must not harm the worker
        return None
    return found if isinstance(found, int) and found >= 0 else None


class _Surroundings:
    """What a function may have changed for those after it."""

    def __init__(self) -> None:
        self.log = os.dup(1)  # the way to the worker, whatever becomes of 1 and 2
        self._log_is = _which(1)
        self._threads = threading.active_count()
        self._directory = os.getcwd()  # noqa: PTH109
        self._variables = dict(self._own_variables())
        self._path = list(sys.path)
        self._streams = (sys.stdin, sys.stdout, sys.stderr)
        self._handlers = offspring.handlers()
        self._mask = os.umask(0o022)
        os.umask(self._mask)

    @staticmethod
    def _own_variables() -> dict[Any, Any]:
        found: dict[Any, Any] = os.environ._data  # type: ignore[attr-defined]  # a copy decodes each of them
        return found

    def flush(self) -> None:
        """Have everything that was written arrive before the answer does."""
        for stream in {sys.stdout, sys.stderr, *self._streams[1:]}:
            try:
                stream.flush()
            except (AttributeError, OSError, ValueError):  # closed, or exchanged for something else
                continue
        offspring.flush_c()

    def left(self) -> str:
        """Put back what can be, and say what is left that cannot; empty where nothing is."""
        self._put_back()
        if threading.active_count() > self._threads:
            names = [each.name for each in threading.enumerate() if each is not threading.current_thread()]
            return f"a thread ({', '.join(names)[:200]})"
        return "a process" if offspring.has_children() else ""

    def _put_back(self) -> None:
        try:
            here = os.getcwd()  # noqa: PTH109
        except OSError:  # it was removed
            here = ""
        if here != self._directory:
            os.chdir(self._directory)
        if self._own_variables() != self._variables:
            self._put_back_variables()
        if sys.path != self._path:
            sys.path[:] = self._path
        if (sys.stdin, sys.stdout, sys.stderr) != self._streams:
            sys.stdin, sys.stdout, sys.stderr = self._streams
        for number in (1, 2):
            if _which(number) != self._log_is:
                os.dup2(self.log, number)
        offspring.stop_timer()
        offspring.set_handlers(self._handlers)
        os.umask(self._mask)

    def _put_back_variables(self) -> None:
        known = {os.fsdecode(key): os.fsdecode(value) for key, value in self._variables.items()}
        for name in os.environ.keys() - known.keys():
            del os.environ[name]
        os.environ.update(known)


def _which(descriptor: int) -> tuple[int, int]:
    """Which file a descriptor is of."""
    try:
        found = os.fstat(descriptor)
    except OSError:  # it was closed
        return (0, 0)
    return (found.st_dev, found.st_ino)


def begin(wire: Wire, perform: Perform, spec: Mapping[str, Any]) -> None:
    """Be such a process; standard output and error lead to the worker already."""
    for name in ("stdout", "stderr"):
        number = 1 if name == "stdout" else 2
        setattr(
            sys, name, os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
        )
    root = logging.getLogger()
    if not root.handlers:
        logging.basicConfig(level=spec["level"], format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:  # else all children draw the same numbers
        numpy.seed()
    Child(wire, perform, int(spec["recycle"]), spec["mark"]).serve()
