"""How a runner keeps what it has withdrawn: its lease is renewed beside the function that runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

from clx.db.doorbell import UNWANTED
from clx.db.wait import Bells
from clx.db.works.table import Works
from clx.errors import ClxError
from clx.work.place import Store

LEASE = 10.0
"""Seconds after which the work of a runner that is silent is given to another."""
_BEAT = 1.0
"""Seconds between two renewals, and after which a cancel is heard of where no bell rings."""


class Held(NamedTuple):
    """A work that runs.

    Attributes:
        lost: is called, from another thread, when it is not to go on.
    """

    work: dict[str, Any]
    lost: Callable[[], None]


class _Waiting(Protocol):
    """What ends the pause between two renewals."""

    def wait(self, seconds: float) -> bool: ...
    def wake(self) -> None: ...
    def silence(self) -> None: ...


class _Silent:
    """Nothing rings."""

    def __init__(self) -> None:
        self._woken = threading.Event()

    def wait(self, seconds: float) -> bool:
        self._woken.wait(seconds)
        return False

    def wake(self) -> None:
        self._woken.set()

    def silence(self) -> None:
        """Nothing has rung."""


class Holder:
    """Renews the lease of the work at hand, in a thread of its own, and tells how far it is."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: Held | None = None
        self._since = 0.0
        self._progress: tuple[str, dict[str, Any]] | None = None
        self._is_over = False
        self._stack = ExitStack()
        self._bells: _Waiting = _Silent()
        self._thread = threading.Thread(target=self._run, name="works held", daemon=True)

    def __enter__(self) -> Self:
        if isinstance(self._store, Works):
            self._bells = self._stack.enter_context(Bells(self._store.database, [UNWANTED], _BEAT))
        self._thread.start()
        return self

    def __exit__(self, *_exc: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._is_over = True
        self._bells.wake()
        self._thread.join()
        self._stack.close()

    def hold(self, held: Held | None) -> None:
        """Renew the lease of that one from now on; None: of none."""
        self._held, self._since = held, time.monotonic()

    def tell(self, work_id: str, progress: dict[str, Any]) -> None:
        """Say with the next renewal how far a work is."""
        self._progress = (work_id, progress)

    def _run(self) -> None:
        while True:
            is_rung = self._bells.wait(_BEAT)
            if self._is_ended():
                return
            self._bells.silence()
            if is_rung or time.monotonic() - self._since >= _BEAT / 2:
                self.beat()

    def _is_ended(self) -> bool:
        return self._is_over

    def beat(self) -> None:
        """Renew it once."""
        held = self._held
        if held is None:
            return
        told, self._progress = self._progress, None
        try:
            if told is not None and told[0] == held.work["id"]:
                self._store.update([{**held.work, "status": "running", "progress": told[1]}])
            goes_on = self._store.renew(held.work["id"], held.work["run"], LEASE)
        except ClxError:  # it passes, or who ends the work sees it too
            return
        if not goes_on and self._held is held:
            held.lost()
