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

from clx.server.prompt import LONGEST_HEAD, Prompt, Short

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
_MOST_HEADS = 8
"""Heads of requests of which a connection remembers what they mean."""
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

    def write_now(self, data: bytes) -> None:
        """Send *data* at once, behind what was written before."""
        self._parts.append(data)
        self._send()

    def close(self) -> None:
        """Close it once all was sent."""
        self._send()
        self._transport.close()


class BoundedProtocol(HttpToolsProtocol):
    """One connection.

    A short request that has come as a whole may be answered by *prompt*; every other one, and each of which that says
    nothing, goes to the application.
    """

    transport: _Together  # type: ignore[assignment]

    def __init__(self, *arguments: Any, prompt: Prompt | None = None, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._prompt = prompt
        self._short: Short | None = None
        self._header_bytes = 0
        self._until_headers: asyncio.TimerHandle | None = None
        self._until_read: asyncio.TimerHandle | None = None
        self._until_whole: asyncio.TimerHandle | None = None
        self._is_whole = True
        self._stray_bytes = 0
        self._may_be_short = False
        self._answered: Short | None = None
        self._heads: dict[bytes, Short] = {}
        self._used_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody has connected."""
        together = _Together(transport, self.loop)
        super().connection_made(together)  # type: ignore[arg-type]
        # asyncio does so only where the listener names its protocol; head and body of an answer are two writes, and
        # without this the second one would wait 40 ms for the first one to be acknowledged
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._prompt is not None and not self._prompt.serves(self.server):
            self._prompt = None
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
        is_between = self._is_whole and self._until_headers is None
        self._may_be_short = self._prompt is not None
        if is_between and self._heads and self._answer_known(data):
            return
        begun = self._until_headers
        self._stray_bytes += len(data)
        super().data_received(data)
        if self._answered is not None:
            self._remember(data, self._answered)
            self._answered = None
        if self._short is not None:  # the rest of its body is yet to come
            self._give_over(self._short)
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
        self._short = self._short_request()
        if self._short is None:
            super().on_headers_complete()

    def _answer_known(self, data: bytes) -> bool:
        """Answer a request that is nothing but a head which was parsed before, byte by byte the same, and its body."""
        end = data.find(b"\r\n\r\n") + 4
        known = self._heads.get(data[:end])
        if known is None or len(data) - end != known.length or not self._is_free():
            return False
        known.body = data[end:]
        self._may_be_short = False
        answer = known.answer()
        if answer is None:
            return False
        self.transport.write_now(answer)
        self.server_state.total_requests += 1
        self._used_at = self.loop.time()
        return True

    def _remember(self, data: bytes, short: Short) -> None:
        """Where *data* was the one request that was answered, and no more: what its head means."""
        end = data.find(b"\r\n\r\n") + 4
        if self._is_whole and len(data) - end == short.length and end <= LONGEST_HEAD:
            if len(self._heads) >= _MOST_HEADS:
                self._heads.clear()
            self._heads[data[:end]] = short

    def timeout_keep_alive_handler(self) -> None:
        """Nobody has asked anything for long, or only what was known."""
        left = self._used_at + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def _is_free(self) -> bool:
        """Whether whatever was asked has been answered, and the caller has read it."""
        return (self.cycle is None or self.cycle.response_complete) and not self.flow.write_paused

    def _short_request(self) -> Short | None:
        """The request whose headers have come, where it may be answered before others get their turn."""
        is_first = self._may_be_short and self._is_free()
        self._may_be_short = False  # of several that come together the others wait for theirs
        if self._prompt is None or not is_first or not self.parser.should_keep_alive():
            return None
        if self.parser.get_http_version() != "1.1" or self.parser.should_upgrade():
            return None
        return self._prompt.look(self.parser.get_method(), self.url, self.headers)

    def _answer(self, short: Short) -> bool:
        """Answer it; False where the application is to do that."""
        answer = short.answer()
        if answer is None:
            return False
        self._short, self._answered = None, short
        self.transport.write_now(answer)
        HttpToolsProtocol.on_response_complete(self)
        return True

    def _give_over(self, short: Short) -> None:
        """Have the application answer it."""
        self._short = None
        if not self.transport.is_closing():
            super().on_headers_complete()
            super().on_body(bytes(short.body))

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; one behind the body is nobody's."""
        if self._until_headers is not None:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """A part of its body."""
        self._stray_bytes = 0
        if self._short is not None:
            self._short.body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """It is there as a whole."""
        self._is_whole = True
        if self._until_whole is not None:
            self._until_whole.cancel()
            self._until_whole = None
        if self._short is not None:
            if self._answer(self._short):
                return
            self._give_over(self._short)
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
