"""A link to a worker: frames go out, frames come in; its end is told once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

from clx.serving.frames import FrameError, Message, Reader, frame
from clx.serving.sending import sender

Heed = Callable[[int, Message, memoryview], None]
Lost = Callable[[int], None]


class Link(asyncio.Protocol):
    """The controller's end.

    Args:
        executor: the number of the worker at the other end.
        heed: is called with each frame that comes.
        lost: is called when there is no other end any more.
        address: of a worker of another machine; empty: it is of this one.
    """

    def __init__(self, executor: int, heed: Heed, lost: Lost, address: str = "") -> None:
        self.executor = executor
        self.address = address
        self.pid = 0
        self.grown: dict[str, int] = {}  # bytes that it grew by for each model, by key
        self._heed = heed
        self._lost = lost
        self._reader = Reader()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._write = sender(self._transport)

    def data_received(self, data: bytes) -> None:
        try:
            for message, rest in self._reader.feed(data):
                self._heed(self.executor, message, rest)
        except FrameError:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        self._lost(self.executor)

    def send(self, message: Message, parts: Sequence[bytes | memoryview] = ()) -> None:
        """Send a frame; to an end that is gone: nothing."""
        if self._transport is not None:
            self._write(b"".join(frame(message, parts)))

    def close(self) -> None:
        """There is nothing more to say."""
        if self._transport is not None:
            self._transport.abort()
