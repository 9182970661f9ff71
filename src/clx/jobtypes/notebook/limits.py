"""Limits of memory and computing time for what a document says, in the process that reads it.

They hold wherever an expression grows or a loop turns. One long step inside the interpreter (the comparison of two
nested lists) cannot be interrupted: :mod:`clx.jobtypes.notebook.reader` reads decks in a process that can be ended.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator

from clx.platforms import system

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
        with system.limited_memory(MEMORY + size * _MORE_MEMORY), system.limited_time(seconds_for(size), _too_long):
            yield
    finally:
        _state.inside = False


def lift_memory() -> None:
    """Give back room for telling what happened, once memory has run out."""
    if getattr(_state, "inside", False):
        system.lift_memory_limit()


def _too_long(_number: int, _frame: object) -> None:
    if not isinstance(sys.exc_info()[1], MemoryError):  # that is being told, with its line; the kernel bounds it
        raise LimitError(TIME_FACT)
