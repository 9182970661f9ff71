"""Ending a consumer by signals: in order at the first, with a time limit; at once at the second."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from clx.db.handlers import Interrupted
from clx.platforms import system

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_AGAIN = 1.0
"""Seconds after which a function that caught the interruption is interrupted again."""


class Ending:
    """Whether, and until when, a consumer may finish what it is at.

    A signal handler only sets attributes here and rings a bell: it may have interrupted anything.

    Args:
        grace: seconds between the first signal and the moment the job at hand is given up.
        wake: wakes the consumer's thread where it waits; callable from a signal handler.

    Attributes:
        in_function: whether the consumer's thread runs the function of a job, which may be interrupted.
    """

    def __init__(self, grace: float, wake: Callable[[], None]) -> None:
        self.is_asked = False
        self._grace = grace
        self._wake = wake
        self._given_up_at: float | None = None
        self._interrupt_at = 0.0
        self.in_function = False
        self._signal = int(signal.SIGTERM)
        self._installed = False
        self._is_leaving = False
        self._late: int | None = None

    def ask(self) -> None:
        """End after the job at hand, however long that takes."""
        self.is_asked = True
        self._wake()

    @contextmanager
    def by_signals(self, *, wanted: bool) -> Iterator[None]:
        """Within it TERM and INT end the consumer, where the program has no handlers of its own (main thread only).

        One that comes when it is leaving already, for another reason, has nothing to end but the program: that gets it
        afterwards.
        """
        before = {}
        if wanted and threading.current_thread() is threading.main_thread():
            usual = (signal.SIG_DFL, signal.default_int_handler)
            numbers = [number for number in _SIGNALS if signal.getsignal(number) in usual]
            before = {number: signal.signal(number, self._on_signal) for number in numbers}
        self._installed = bool(before)
        try:
            yield
        finally:
            self._installed = False
            for number, handler in before.items():
                signal.signal(number, handler)
            if self._late is not None:
                signal.raise_signal(self._late)

    def leave(self) -> None:
        """From here on nothing is begun any more, whatever is asked."""
        self._is_leaving = True

    def _on_signal(self, number: int, _frame: object) -> None:
        now = time.monotonic()
        if self._is_leaving and self._given_up_at is None:
            self._late = number
        if self._given_up_at is None:
            self._signal, self._given_up_at = number, now + self._grace
        else:
            self._given_up_at = min(self._given_up_at, now)
        self.ask()
        if self.in_function and self.is_over():
            raise Interrupted

    def is_over(self) -> bool:
        """Whether the job at hand is to be given up."""
        return self._given_up_at is not None and time.monotonic() >= self._given_up_at

    def seconds_left(self) -> float | None:
        """Until the job at hand is given up; None where nothing has asked for it."""
        return None if self._given_up_at is None else max(0.0, self._given_up_at - time.monotonic())

    def interrupt(self) -> None:
        """Called by another thread once the time is over: raise in the function, now and again until it ends."""
        now = time.monotonic()
        if self._installed and self.in_function and now >= self._interrupt_at:
            self._interrupt_at = now + _AGAIN
            system.interrupt_main_thread(self._signal)
