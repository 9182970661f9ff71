"""The process that runs functions, one after the other: it may be killed at any time, and another takes its place.

After each function it looks at what that has left behind. What can be put back is; where a thread or a process is
left it says so with its answer, and its worker has it replaced.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Mapping
from typing import Any

from clx.artifacts.store import ArtifactStore
from clx.errors import Discard, Retry, UsageError
from clx.platforms import offspring
from clx.routines.context import TELL
from clx.routines.failures import described
from clx.routines.performing import perform
from clx.routines.routine import Routine
from clx.routines.tasks.wire import Wire

_GROWTH = 1 << 20
"""Bytes by which the most that it held must have grown before that is forgotten for the next run."""


class Child:
    """Runs what comes over *wire*, until that ends.

    Args:
        routines: what it may run, by id; nothing else is.
        recycle: bytes by which it may have grown before another takes its place.
    """

    def __init__(self, wire: Wire, routines: Mapping[str, Routine[..., Any]], store: ArtifactStore, recycle: int):
        self._wire, self._routines, self._store, self._recycle = wire, routines, store, recycle
        self._peak = offspring.peak_memory()
        self._held = offspring.memory()
        self._surroundings = _Surroundings()
        TELL.set(self._tell)

    def serve(self) -> None:
        """Answer each question: ``[type, payload]`` with ``["done"|"failed", …, what is left behind, peak memory]``."""
        self._wire.send("ready")
        while (asked := self._wire.receive()) is not None:
            answer = self._run(*asked)
            self._surroundings.flush()
            left = self._surroundings.left() or self._grown()
            peak = offspring.peak_memory()
            self._wire.send(*answer, left, peak)
            if peak > self._peak + _GROWTH:
                offspring.forget_peak()
                self._peak = offspring.peak_memory()

    def _tell(self, progress: dict[str, Any]) -> None:
        self._wire.send("progress", progress)

    def _run(self, type_: str, payload: bytes) -> list[Any]:
        routine = self._routines[type_]
        try:
            return ["done", perform(routine, payload, self._store)]
        except BaseException as error:  # SystemExit too: that is the task's, as for any function of a job
            again = routine.options.max_runs is not None and not isinstance(error, Discard | UsageError)
            delay = error.delay if isinstance(error, Retry) else None
            return ["failed", described(error, type_), again or isinstance(error, Retry), _milliseconds(delay)]

    def _grown(self) -> str:
        if offspring.peak_memory() - self._held < self._recycle:  # a look that costs nothing, before the other
            return ""
        grown = offspring.memory() - self._held
        return f"{grown >> 20} MiB of memory" if grown >= self._recycle else ""


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
        offspring.stop_timer()
        offspring.set_handlers(self._handlers)
        os.umask(self._mask)

    def _put_back_variables(self) -> None:
        known = {os.fsdecode(key): os.fsdecode(value) for key, value in self._variables.items()}
        for name in os.environ.keys() - known.keys():
            del os.environ[name]
        os.environ.update(known)


def begin(wire: Wire, routines: Mapping[str, Routine[..., Any]], store: ArtifactStore, spec: Mapping[str, Any]) -> None:
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
    Child(wire, routines, store, int(spec["recycle"])).serve()
