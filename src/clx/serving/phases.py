"""The phases of a server that is first given its models, and then asked: wait, load, countdown, infer.

A client that loads ends the wait; when nothing was loaded for a moment, requests are taken, and loading is over. The
last phase outlives the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

from clx.serving.failures import Refusal

Phase = Literal["wait", "load", "countdown", "infer"]
SILENCE = 1.0
"""Seconds without a load after which requests are taken."""


class Phases:
    """In which phase a server is.

    Args:
        told: is called with each new one.
        phase: the first one.
    """

    def __init__(self, told: Callable[[Phase], None], phase: Phase = "wait") -> None:
        self.phase: Phase = phase
        self._told = told
        self._loads = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin_load(self) -> None:
        """Somebody wants to load, unload or upload.

        Raises:
            Refusal: that is over.
        """
        if self.phase == "infer":
            raise Refusal("conflict", "the server is in the phase infer: loading is over", phase=self.phase)
        self._loads += 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._enter("load")

    def end_load(self) -> None:
        """It is done, well or not."""
        self._loads -= 1
        if not self._loads:
            self._enter("countdown")
            self._timer = asyncio.get_running_loop().call_later(SILENCE, self._enter, "infer")

    def require_infer(self) -> None:
        """See that requests are taken.

        Raises:
            Refusal: they are not yet.
        """
        if self.phase != "infer":
            raise Refusal(
                "conflict", f"the server is in the phase {self.phase}: no requests are taken yet", phase=self.phase
            )

    def _enter(self, phase: Phase) -> None:
        if phase != self.phase:
            self.phase = phase
            self._told(phase)
