"""HTTP/1.1 for the controller: bytes of a connection to requests, answers to bytes, in order, everything bounded.

The parser is httptools (that of Node.js); what is here is what a request costs least with: no task, no object of a
framework, one write for an answer. Handlers answer at once or later, by calling what they are given.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from time import monotonic_ns
from typing import Any, Final, cast

import httptools
import msgspec

from clx.serving.failures import Refusal

LARGEST_HEAD = 64 << 10
LARGEST_BODY = 256 << 20
MOST_PIPELINED = 64
"""Requests of a connection that may wait for their answers; more are not read until some have gone out."""
IDLE = 75.0
"""Seconds that a connection without a request is kept."""
STALLED = 20.0
"""Seconds in which nothing came of a request that has begun: it is given up."""
_STATUS_LINES: Final = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in HTTPStatus}
_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Request:
    """A request, whole.

    Attributes:
        arrived: nanoseconds (monotonic) at which its first byte was read.
        path: as it was sent, without the query; escapes are not undone.
        headers: names in small letters; of several of a name the last one.
    """

    arrived: int
    method: str = ""
    path: str = ""
    query: str = ""
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    keep: bool = True


@dataclass(slots=True)
class Answer:
    """An answer.

    Attributes:
        parts: of the body.
        headers: lines that end in ``\\r\\n``, besides length and type.
        type: of the body.
    """

    status: int = 200
    parts: Sequence[bytes | memoryview] = ()
    headers: bytes = b""
    type: bytes = b"application/json"

    @classmethod
    def of(cls, document: Any, status: int = 200, headers: bytes = b"") -> Answer:
        """A document as JSON."""
        return cls(status, (_encode(document),), headers)

    @classmethod
    def to(cls, refusal: Refusal) -> Answer:
        """What a refusal is told as."""
        wait = refusal.more.get("retry_after_s")
        headers = b"" if wait is None else b"retry-after: %d\r\n" % max(1, round(wait))
        return cls.of(refusal.document(), refusal.status, headers)


Reply = Callable[[Answer], None]
Handler = Callable[[Request, Reply], None]


class Connection(asyncio.Protocol):
    """A connection of a client.

    Args:
        handler: is called with each request and what it answers with, once.
        open_: where the connection notes that it is there.
        largest: bytes of a body, as it is sent and decompressed.
    """

    def __init__(self, handler: Handler, open_: set[Connection], largest: int = LARGEST_BODY) -> None:
        self._handler = handler
        self._open = open_
        self._largest = largest
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._asked: deque[_Asked] = deque()
        self._request: Request | None = None
        self._url = b""
        self._head = 0
        self._body: list[bytes] = []
        self._size = 0
        self._seen = 0.0
        self._paused = False
        self._ending = False
        self._arrived = 0

    # -- asyncio --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._open.add(self)
        self._seen = monotonic_ns() / 1e9

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._open.discard(self)
        self._transport = None
        for each in self._asked:
            each.gone = True
        self._asked.clear()

    def data_received(self, data: bytes) -> None:
        self._arrived = monotonic_ns()
        self._seen = self._arrived / 1e9
        if self._ending:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(Refusal("malformed", "this server speaks HTTP/1.1 only"))
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, Refusal) else Refusal("malformed", "the request is no HTTP"))
        except httptools.HttpParserError:
            self._refuse(Refusal("malformed", "the request is no HTTP"))

    def eof_received(self) -> bool:
        """Answers that are still to come go out first."""
        self._ending = True
        return bool(self._asked)

    # -- httptools ------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._request = Request(self._arrived)
        self._url, self._head, self._body, self._size = b"", 0, [], 0

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        assert self._request is not None
        self._count_head(len(name) + len(value) + 4)
        self._request.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        request = self._request
        assert request is not None
        request.method = self._parser.get_method().decode("ascii")
        request.keep = self._parser.should_keep_alive()
        path, _, query = self._url.decode("latin-1").partition("?")
        request.path, request.query = path, query
        if int(request.headers.get(b"content-length", b"0")) > self._largest:
            raise Refusal("too_large", f"a body may have {self._largest} bytes")
        if request.headers.get(b"expect", b"").lower() == b"100-continue" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > self._largest:
            raise Refusal("too_large", f"a body may have {self._largest} bytes")
        self._body.append(body)

    def on_message_complete(self) -> None:
        request, self._request = self._request, None
        assert request is not None
        request.body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        asked = _Asked(self, request.keep)
        self._asked.append(asked)
        if len(self._asked) >= MOST_PIPELINED and self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        coding = request.headers.get(b"content-encoding")
        try:
            if coding is not None:
                request.body = decompressed(request.body, coding.decode("latin-1").lower(), self._largest)
            self._handler(request, asked.answer)
        except Refusal as refusal:
            asked.answer(Answer.to(refusal))
        except Exception:  # a fault of ours: it costs one request, neither the connection nor the others
            _log.exception("%s %s", request.method, request.path[:200])
            asked.answer(Answer.to(Refusal("failed", "this server has a fault; its log has more")))

    def _count_head(self, size: int) -> None:
        self._head += size
        if self._head > LARGEST_HEAD:
            raise Refusal("too_large", f"the head of a request may have {LARGEST_HEAD} bytes")

    # -- answers --------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Send the answers that are there, in the order of the requests."""
        transport = self._transport
        while self._asked and self._asked[0].said is not None and transport is not None:
            asked = self._asked.popleft()
            answer = asked.said
            assert answer is not None
            size = sum(map(len, answer.parts))
            head = b"%bcontent-type: %b\r\ncontent-length: %d\r\n%b%b\r\n" % (
                _STATUS_LINES[answer.status],
                answer.type,
                size,
                answer.headers,
                b"" if asked.keep else b"connection: close\r\n",
            )
            if size < LARGEST_HEAD:
                transport.write(b"".join((head, *answer.parts)))
            else:
                transport.writelines([head, *answer.parts])
            if not asked.keep:
                self._ending = True
                transport.close()
                return
        if self._ending and not self._asked and transport is not None:
            transport.close()
        elif self._paused and len(self._asked) < MOST_PIPELINED and transport is not None:
            self._paused = False
            transport.resume_reading()

    def _refuse(self, refusal: Refusal) -> None:
        """What was sent cannot be read on: this is the last answer."""
        self._request = None
        if self._transport is None or self._ending:
            return
        self._ending = True
        asked = _Asked(self, keep=False)
        self._asked.append(asked)
        asked.answer(Answer.to(refusal))

    def look(self, now: float) -> None:
        """Give up a connection on which nothing happens; *now* in seconds (monotonic)."""
        if self._transport is None or self._asked:
            return
        silent = now - self._seen
        if self._request is not None and silent > STALLED:
            self._transport.abort()
        elif silent > IDLE:
            self._transport.close()

    def close(self) -> None:
        """No more requests; what was asked is answered."""
        self._ending = True
        self.flush()


@dataclass(slots=True, eq=False)
class _Asked:
    """A request of a connection that waits for its answer."""

    connection: Connection
    keep: bool
    said: Answer | None = None
    gone: bool = False

    def answer(self, answer: Answer) -> None:
        if self.said is None and not self.gone:
            self.said = answer
            self.connection.flush()


def decompressed(body: bytes, coding: str, largest: int) -> bytes:
    """A body as it was before it was compressed.

    Raises:
        Refusal: the coding is unknown, the body is damaged, or larger than *largest*.
    """
    if coding in ("", "identity"):
        return body
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise Refusal("malformed", f"content-encoding {coding!r} is neither gzip nor deflate")
    bits = 31 if coding != "deflate" else (15 if body[:1] and body[0] & 0x0F == 8 else -15)
    try:
        unpacker = zlib.decompressobj(bits)
        found = unpacker.decompress(body, largest + 1)
    except zlib.error:
        raise Refusal("malformed", f"the body is no {coding}") from None
    if len(found) > largest:
        raise Refusal("too_large", f"a body may have {largest} bytes when it is decompressed")
    if not unpacker.eof:
        raise Refusal("malformed", f"the body is no whole {coding}")
    return found
