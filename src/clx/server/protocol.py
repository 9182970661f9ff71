"""HTTP connections that are bounded: how many, how long their headers are and take, how long a reader may stand still,
what may still come when the answer is there.

uvicorn leaves these to a proxy: a connection that says nothing, or a byte a minute, would be kept for ever.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_CONNECTIONS = 1000
HEADER_BYTES = 32 * 1024
HEADER_SECONDS = 10.0
"""Seconds from the opening of a connection, or the first byte of a request, to the end of its headers."""
_LONGEST_URL = 65_535
"""Bytes of an address that httptools reads."""
_LARGE = 64 * 1024
"""Bytes that are sent without waiting for more."""
STILL_SECONDS = 30.0
"""Seconds for which a reader may take nothing of what was sent."""
REST_SECONDS = 5.0
"""Seconds that the rest of a body may take once its answer is there: nobody reads it any more."""


class _Together:
    """A transport that sends what is written in one step of the event loop at once.

    Head and body of an answer are two writes; sent one by one, each would cost the server a system call, and wake who
    waits for them twice.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Have *data* sent with what else is written now."""
        if not self._parts:
            self._loop.call_soon(self._send)
        self._parts.append(data)
        if len(data) > _LARGE:
            self._send()

    def _send(self) -> None:
        parts, self._parts = self._parts, []
        if parts:
            self._transport.write(b"".join(parts))

    def close(self) -> None:
        """Close it once all was sent."""
        self._send()
        self._transport.close()


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._header_bytes = 0
        self._until_headers: asyncio.TimerHandle | None = None
        self._until_read: asyncio.TimerHandle | None = None
        self._until_whole: asyncio.TimerHandle | None = None
        self._is_whole = True
        self._stray_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody has connected."""
        together = _Together(transport, self.loop)
        super().connection_made(together)  # type: ignore[arg-type]
        # asyncio does so only where the listener names its protocol; head and body of an answer are two writes, and
        # without this the second one would wait 40 ms for the first one to be acknowledged
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self.connections) > MOST_CONNECTIONS:
            self._refuse(503, "Too many connections.", "Try again in 5 s.")
        else:
            self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        for timer in (self._until_headers, self._until_read, self._until_whole):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """The next bytes of a request."""
        if self.transport.is_closing():
            return
        begun = self._until_headers
        self._stray_bytes += len(data)
        super().data_received(data)
        if self._until_headers is not None:  # where they begin in the middle of what came, the rest was not theirs
            self._header_bytes += len(data) if self._until_headers is begun else 1
        if self._until_headers is not None and self._header_bytes > HEADER_BYTES:
            self._refuse(431, "The headers are too long.", "Send shorter ones.")
        elif self._stray_bytes > HEADER_BYTES and not self._is_whole:
            self._cut("What follows the body is too long.", "Send no trailers.")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._is_whole, self._stray_bytes = False, 0
        if self._until_headers is None:
            self._await_headers()

    def on_headers_complete(self) -> None:
        """Its headers are there."""
        if self._until_headers is not None:
            self._until_headers.cancel()
            self._until_headers = None
        self._stray_bytes = 0
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; one behind the body is nobody's."""
        if self._until_headers is not None:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """A part of its body."""
        self._stray_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """It is there as a whole."""
        self._is_whole = True
        if self._until_whole is not None:
            self._until_whole.cancel()
            self._until_whole = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Its answer was sent."""
        super().on_response_complete()
        # of one whose body has not come the rest is let pass for a while: who is cut off at once may miss the answer
        if not self._is_whole and self.cycle.response_complete and self._until_whole is None:
            self._until_whole = self.loop.call_later(REST_SECONDS, self.transport.close)

    def _unsupported_upgrade_warning(self) -> None:
        """It asks for another protocol, and gets an answer in this one; nothing can follow it."""
        self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  (uvicorn's name)
        """What came is no HTTP, or an address that is too long for its parser."""
        if len(getattr(self, "url", b"")) > _LONGEST_URL:
            self._refuse(414, "The address is too long.", "Ask for less at a time.")
            return
        self._refuse(400, "This is no request that the server understands.", "Send HTTP/1.1.")

    def pause_writing(self) -> None:
        """Its reader does not read."""
        super().pause_writing()
        if self._until_read is None:
            self._until_read = self.loop.call_later(STILL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        if self._until_read is not None:
            self._until_read.cancel()
            self._until_read = None

    def _await_headers(self) -> None:
        self._header_bytes = 0
        self._until_headers = self.loop.call_later(HEADER_SECONDS, self._too_slow)

    def _too_slow(self) -> None:
        if self._header_bytes:
            self._refuse(408, "The headers come too slowly.", "Send them again over a faster connection.")
        else:
            self.transport.close()

    def _cut(self, fact: str, next_step: str) -> None:
        """End a connection in the middle of a request, with an answer where none has begun."""
        if self.cycle is None or self.cycle.response_started:
            self.transport.close()
        else:
            self._refuse(400, fact, next_step)

    def _refuse(self, status: int, fact: str, next_step: str) -> None:
        """Say why, and end the connection."""
        if self.transport.is_closing():
            return
        body = msgspec.json.encode({"error": fact, "next_step": next_step})
        head = f"HTTP/1.1 {status} Refused\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(f"{head}connection: close\r\n\r\n".encode() + body)
        self.transport.close()
