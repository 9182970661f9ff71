"""Waiting for something to happen to jobs, without polling fast."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Self

from clx.db.database import Database
from clx.db.doorbell import ENDED, Bell, for_ends_of
from clx.db.queries import Lookup
from clx.errors import DatabaseBusyError

SLOW_BEAT = 1.0
"""Seconds between two looks at the table when no bell rings."""
MODERATE_BEAT = 0.05
"""The same where no bell can be hung."""
REST = 0.02
"""Seconds between two looks of whoever waits for jobs strewn so widely that the end of any job rings."""


def rest(queue: Lookup) -> float:
    """Seconds a worker that found nothing may wait for its bell: until the next delayed job is due, a beat at most."""
    try:
        due = queue.next_due()
    except DatabaseBusyError:
        return SLOW_BEAT
    return SLOW_BEAT if due is None else min(SLOW_BEAT, max(0.001, (due - queue.database.clock.now()) / 1000))


class Bells:
    """A bell for each of *names*: something to wait on until one of them rings, or somebody calls :meth:`wake`.

    Args:
        without: seconds that a wait lasts at most where no bell can be hung.
    """

    def __init__(self, database: Database, names: Sequence[str], without: float = MODERATE_BEAT) -> None:
        self._without = without
        self._stack = ExitStack()
        self._woken = False
        self._bells = [self._stack.enter_context(database.doorbell.listen(name)) for name in names]
        self._ear: socket.socket | None = None
        self._selector: selectors.BaseSelector | None = None
        try:
            # not an event of threading: a signal handler that sets one may wait for the thread it has interrupted;
            # sockets, not a pipe: what is sent while they are closed reaches no file that took their number
            ear, self._mouth = map(self._stack.enter_context, socket.socketpair())
            self._mouth.setblocking(False)
            # not select(): that takes no descriptor above 1023
            self._selector = self._stack.enter_context(selectors.DefaultSelector())
            self._selector.register(ear, selectors.EVENT_READ)
            self._ear = ear
        except OSError:  # no descriptors left: a moderate beat instead
            return
        for bell in self._bells:
            self._watch(bell)

    def _watch(self, bell: Bell) -> None:
        """Select on *bell* too; its descriptor may have been known before it listened anew."""
        if self._selector is not None and bell.fileno() >= 0:
            with suppress(KeyError):
                self._selector.unregister(bell.fileno())
            self._selector.register(bell.fileno(), selectors.EVENT_READ)

    def wait(self, seconds: float) -> bool:
        """Until a bell rings or :meth:`wake` is called, or for *seconds*; returns whether one has."""
        if any(bell.fileno() < 0 for bell in self._bells):
            seconds = min(seconds, self._without)
        if self._selector is None or self._ear is None:
            self.pause(min(seconds, MODERATE_BEAT))
        elif not self._woken:
            return bool(self._selector.select(max(0.0, seconds)))
        return False

    def pause(self, seconds: float) -> None:
        """For *seconds*, whatever rings; :meth:`wake` ends it."""
        ends_at = time.monotonic() + seconds
        while not self._woken and (left := ends_at - time.monotonic()) > 0:
            if self._ear is None:
                time.sleep(min(left, MODERATE_BEAT))
            else:
                self._ear.settimeout(left)
                with suppress(TimeoutError):
                    self._ear.recv(64)

    def wake(self) -> None:
        """Let nobody wait on these any more, now and later; for any thread and any signal handler: it takes no lock.

        Python runs a handler when its main thread comes back from what it waits in. A signal that arrives just before
        a wait begins may so be noticed at its end only: wait for a beat at a time.
        """
        self._woken = True
        if self._ear is not None:
            with suppress(OSError):  # full: it is awake; closed: nobody waits
                self._mouth.send(b"!")

    @property
    def is_woken(self) -> bool:
        """Whether :meth:`wake` was called."""
        return self._woken

    def silence(self) -> None:
        """Take every ring that has arrived, and listen anew where the bells were removed; who was woken stays so."""
        for bell in self._bells:
            if bell.silence():
                self._watch(bell)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()


def wait_for_jobs(queue: Lookup, job_ids: Sequence[int], timeout: float | None) -> None:
    """Return when none of *job_ids* is live, or after *timeout* seconds."""
    ends_at = None if timeout is None else time.monotonic() + timeout
    names = for_ends_of(job_ids)
    with Bells(queue.database, names or [ENDED]) as bells:
        live = list(job_ids)
        while True:
            bells.silence()
            started = time.monotonic()
            live = queue.live_among(live)
            queue.database.require_in_place()
            now = time.monotonic()
            if not live or (ends_at is not None and now >= ends_at):
                return
            # looking at many jobs takes a while: rest at least as long before looking again
            looked_for = now - started
            bells.wait(min(SLOW_BEAT, (ends_at or now + SLOW_BEAT) - now))
            resting = looked_for if names else max(looked_for, REST)
            if resting > 0.005:
                time.sleep(resting)
