"""How a runner keeps what it has withdrawn: its lease is renewed beside the function that runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, Self

from clx.errors import ClxError
from clx.work.place import Store

LEASE = 10.0
"""Seconds after which the work of a runner that is silent is given to another."""
_BEAT = 1.0
"""Seconds between two renewals, and after which a cancel is heard of."""


class Held(NamedTuple):
    """A work that runs.

    Attributes:
        lost: is called, from another thread, when it is not to go on.
    """

    id: str
    run: int
    lost: Callable[[], None]


class Holder:
    """Renews the lease of the work at hand, in a thread of its own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: Held | None = None
        self._since = 0.0
        self._changed = threading.Condition()
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="works held", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: type[BaseException] | BaseException | TracebackType | None) -> None:
        with self._changed:
            self._is_over = True
            self._changed.notify()
        self._thread.join()

    def hold(self, held: Held | None) -> None:
        """Renew the lease of that one from now on; None: of none."""
        self._held, self._since = held, time.monotonic()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._is_over:
                    self._changed.wait(_BEAT)
                if self._is_over:
                    return
            self.beat()

    def beat(self) -> None:
        """Renew it once, if it is held for a while."""
        held = self._held
        if held is None or time.monotonic() - self._since < _BEAT / 2:
            return
        try:
            goes_on = self._store.renew(held.id, held.run, LEASE)
        except ClxError:  # it passes, or who ends the work sees it too
            return
        if not goes_on and self._held is held:
            held.lost()
