"""Whether a process was killed because memory ran out, as far as the system tells.

Linux does not say why a process got SIGKILL. It counts how often it killed for want of memory, of the machine or of
a limit (``oom_kill`` in ``/proc/vmstat``); a death that goes with a rise of that number was probably one of them.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

_EVERY = 1.0  # seconds between two looks; a large process may be dead that long before its parent is told


def oom_kills() -> int:
    """How many processes this system has killed for want of memory; 0 where it does not say."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        counters = Path("/proc/vmstat").read_text(encoding="ascii")
        return int(counters.split("oom_kill ", 1)[1].split("\n", 1)[0])
    return 0


class OomWatch:
    """Remembers the number while a process lives, so that only kills around its death count."""

    def __init__(self) -> None:
        self._before = self._last = oom_kills()
        self._looked = time.monotonic()

    def look(self) -> None:
        """The process lives; call it often."""
        if time.monotonic() - self._looked >= _EVERY:
            self._looked = time.monotonic()
            self._before, self._last = self._last, oom_kills()

    def killed(self) -> bool:
        """The process has just got SIGKILL: whether the system killed for want of memory about then."""
        return oom_kills() > self._before
