"""Time as the job table keeps it: integer milliseconds, UTC; and the clock by which a database is kept."""

from __future__ import annotations

import time


def now_ms() -> int:
    """Milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000


class Clock:
    """The clock of a database: every time that is compared or stored is asked of it.

    Whoever wants another, as tests do that move time, overrides :meth:`now` and gives it to
    :meth:`Queue.open <clx.db.jobs.Queue.open>`.

    Attributes:
        is_certain: it is never set and never stands still, so that a lease which is over by it is over.
    """

    is_certain = False

    def now(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1_000_000

    def steady(self) -> int:
        """Milliseconds of a clock that nobody sets, since some moment or other."""
        return time.monotonic_ns() // 1_000_000
