"""Limits of memory and computing time for what a document says, in the process that reads it.

They hold wherever an expression grows or a loop turns. One long step inside the interpreter (the comparison of two
nested lists) cannot be interrupted: :mod:`clx.jobtypes.notebook.reader` reads decks in a process that can be ended.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

MEMORY = 512 << 20
"""Bytes that reading a deck may take besides what the process has."""
SECONDS = 3
"""Seconds of computing time that reading a deck may take; real decks take milliseconds."""
_MORE_MEMORY = 50
_MORE_SECONDS = 40e-6
"""What a byte of the deck adds to each: a large Markdown deck takes its time honestly."""

MEMORY_FACT = "reading the deck takes too much memory"
TIME_FACT = "reading the deck takes too much time"

_state = threading.local()


class LimitError(Exception):
    """A document asks for more than any document can need; its text says of what."""


def seconds_for(size: int) -> int:
    """Seconds of computing time for a deck of *size* bytes."""
    return SECONDS + round(size * _MORE_SECONDS)


@contextlib.contextmanager
def bounded(size: int) -> Iterator[None]:
    """Bound what is done inside for a deck of *size* bytes, in the main thread; inside another such block do nothing.

    Raises:
        LimitError: it takes too long.
        MemoryError: it takes too much memory.
    """
    if getattr(_state, "inside", False) or threading.current_thread() is not threading.main_thread():
        yield
        return
    _state.inside = True
    try:
        with _memory(MEMORY + size * _MORE_MEMORY), _time(seconds_for(size)):
            yield
    finally:
        _state.inside = False


@contextlib.contextmanager
def _memory(allowed: int) -> Iterator[None]:
    size = _address_space()
    if size is None:
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    bounds = [limit for limit in (soft, size + allowed) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(bounds), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def lift_memory() -> None:
    """Give back room for telling what happened, once memory has run out."""
    if _address_space() is not None and getattr(_state, "inside", False):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def _address_space() -> int | None:
    """Bytes this process has mapped; None where that cannot be told or limited."""
    if sys.platform != "linux":
        return None
    import resource

    try:
        return int(Path("/proc/self/statm").read_bytes().split()[0]) * resource.getpagesize()
    except OSError:
        return None


@contextlib.contextmanager
def _time(seconds: int) -> Iterator[None]:
    if not hasattr(signal, "setitimer") or signal.getitimer(signal.ITIMER_PROF)[0] > 0:  # a profiler has it
        yield
        return
    before = signal.signal(signal.SIGPROF, _too_long)
    signal.setitimer(signal.ITIMER_PROF, seconds, 1)  # again and again: somebody may catch the error
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _too_long(_number: int, _frame: object) -> NoReturn:
    raise LimitError(TIME_FACT)
