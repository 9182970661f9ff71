"""HTTP/1.1 for the controller: bytes of a connection to requests, answers to bytes, in order, everything bounded.

The parser is httptools (that of Node.js); what is here is what a request costs least with: no task, no object of a
framework, one write for an answer. Handlers answer at once or later, by calling what they are given.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from time import monotonic_ns
from typing import Any, Final, NamedTuple, cast

import httptools

from clx.serving.bodies import decompressed
from clx.serving.callers import LOOPBACK, check
from clx.serving.failures import Refusal
from clx.serving.messages import Answer, Handler, Request
from clx.serving.sending import sender
from clx.serving.tokens import Book

LARGEST_HEAD = 64 << 10
LARGEST_BODY = 256 << 20
LARGEST_ASIDE = 1 << 20
"""Bytes of a decompressed body up to which it is decompressed at once; more is done by a thread."""
MOST_HELD = 1 << 30
"""Bytes of bodies, of all connections together, that are kept until their requests are answered."""
MOST_PIPELINED = 64
"""Requests of a connection that may wait for their answers; more are not read until some have gone out."""
MOST_CONNECTIONS = 4096
MOST_KNOWN = 256
"""Heads that are kept once they were read: clients send the same bytes again and again."""
LARGEST_KNOWN = 2048
"""Bytes of such a head."""
IDLE = 75.0
"""Seconds that a connection without a request is kept."""
STALLED = 20.0
"""Seconds in which nothing came of a request that has begun, or nothing was taken of an answer: it is given up."""
LEAST_RATE = 4096
"""Bytes in a second that a request comes with, once :data:`STALLED` are over."""
LINGER = 2.0
"""Seconds in which what a refused client still sends is read and thrown away, so that it comes to read why."""
_ONCE = frozenset((b"host", b"origin", b"content-encoding", b"inference-header-content-length", b"authorization"))
_OWN_WAYS: Final = frozenset((b"content-encoding", b"transfer-encoding", b"expect", b"upgrade"))
_STATUS_LINES: Final = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in HTTPStatus}
_log = logging.getLogger(__name__)


class _Head(NamedTuple):
    """What a head said when it was read: the same bytes say the same again."""

    method: str
    path: str
    query: str
    headers: dict[bytes, bytes]
    length: int


class Connections(set["Connection"]):
    """The connections that there are.

    Args:
        hosts: what the server is called by, without ports; None: whichever.
        largest: bytes of a body, as it is sent and decompressed.
        most: how many there may be.
        held: bytes of bodies that may be kept.
        book: the tokens of who may ask; None: everybody may.

    Attributes:
        held: bytes of bodies that are kept.
        statuses: how many answers had which.
        heads: those that were read and found good, by their bytes.
    """

    def __init__(
        self,
        hosts: frozenset[str] | None = LOOPBACK,
        *,
        largest: int = LARGEST_BODY,
        most: int = MOST_CONNECTIONS,
        most_held: int = MOST_HELD,
        book: Book | None = None,
    ) -> None:
        super().__init__()
        self.book = book
        self.hosts = hosts
        self.largest = largest
        self.most = most
        self.most_held = most_held
        self.held = 0
        self.statuses: dict[int, int] = {}
        self.heads: dict[bytes, _Head] = {}


class Connection(asyncio.Protocol):
    """A connection of a client.

    Args:
        handler: is called with each request and what it answers with, once.
        open_: where the connection notes that it is there.
    """

    def __init__(self, handler: Handler, open_: Connections) -> None:
        self._handler = handler
        self._open = open_
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._asked: deque[_Asked] = deque()
        self._request: Request | None = None
        self._url = b""
        self._head = 0  # bytes of the head that is being read; -1: it is whole
        self._began = False
        self._last: Request | None = None  # the only one that was whole in what came last
        self._body: list[bytes] = []
        self._size = 0
        self._seen = 0.0
        self._paused = False
        self._full = False
        self._ending = False
        self._arrived = 0

    # -- asyncio --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._send = sender(self._transport)
        self._seen = monotonic_ns() / 1e9
        self._open.add(self)
        if len(self._open) > self._open.most:
            self._refuse(Refusal("busy", f"{self._open.most} connections are open, as many as may be"))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._open.discard(self)
        self._transport = None
        self._request = None
        self._drop_body()
        for each in self._asked:
            each.leave()
        self._asked.clear()

    def data_received(self, data: bytes) -> None:
        if self._ending:
            return
        self._arrived = monotonic_ns()
        self._seen = self._arrived / 1e9
        between = self._request is None
        if between and self._is_known(data):
            return
        self._began = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # it is answered as if it had not been asked for, and nothing is read on
            self._end_reading()
            self.flush()
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, Refusal) else Refusal("malformed", "the request is no HTTP"))
        except httptools.HttpParserError:
            self._refuse(Refusal("malformed", "the request is no HTTP"))
        else:
            if self._request is not None and self._head >= 0 and not self._began:
                self._head += len(data)  # the parser keeps a line until it is whole, however long it is
                if self._head > LARGEST_HEAD:
                    self._refuse(_head_too_large())
            elif between and self._last is not None:
                self._learn(data, self._last)
        self._last = None  # its body is nobody's any more

    def _is_known(self, data: bytes) -> bool:
        """Take a request whose head was read before, if it is all that came; False: it is to be read."""
        end = data.find(b"\r\n\r\n") + 4
        head = self._open.heads.get(data[:end]) if end <= LARGEST_KNOWN else None
        if head is None or len(data) != end + head.length or self._open.held + head.length > self._open.most_held:
            self._last = None
            return False
        method, path, query, headers, length = head
        if self._open.book is not None:
            try:
                self._open.book.require(method, path, headers)  # a token that was valid may be so no more
            except Refusal:
                self._last = None
                return False
        self._open.held += length
        asked = _Asked(self, True, False, length)
        self._asked.append(asked)
        if len(self._asked) >= MOST_PIPELINED:
            self._pause()
        self._handle(Request(self._arrived, method, path, query, headers, data[end:]), asked)
        return True

    def _learn(self, data: bytes, request: Request) -> None:
        """Know a head again, if what came was it and the body that it announced, and nothing else."""
        end = data.find(b"\r\n\r\n") + 4
        if not request.keep or request.method == "HEAD" or end > LARGEST_KNOWN or _OWN_WAYS & request.headers.keys():
            return
        if len(data) == end + len(request.body):
            if len(self._open.heads) >= MOST_KNOWN:
                self._open.heads.clear()
            self._open.heads[data[:end]] = _Head(
                request.method, request.path, request.query, request.headers, len(request.body)
            )

    def eof_received(self) -> bool:
        """Who sends no more has gone: nobody waits for what is still to come."""
        return False

    def pause_writing(self) -> None:
        self._full = True
        self._pause()

    def resume_writing(self) -> None:
        self._full = False
        self._seen = monotonic_ns() / 1e9
        self.flush()

    # -- httptools ------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._request = Request(self._arrived)
        self._began = True
        self._url, self._head, self._body, self._size = b"", 0, [], 0

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        request = self._request
        assert request is not None
        if self._head < 0:  # behind the body: nothing there may change how it is read
            return
        self._count_head(len(name) + len(value) + 4)
        name = name.lower()
        if name in _ONCE and name in request.headers:
            raise Refusal("malformed", f"the header {name.decode('latin-1')} is there twice")
        request.headers[name] = value

    def on_headers_complete(self) -> None:
        request = self._request
        assert request is not None
        self._head = -1
        request.method = self._parser.get_method().decode("ascii")
        request.keep = self._parser.should_keep_alive()
        path, _, query = self._url.decode("latin-1").partition("?")
        request.path, request.query = path, query
        headers = request.headers
        if b"host" not in headers and self._parser.get_http_version() == "1.1":
            raise Refusal("malformed", "the header Host is missing")
        check(headers, self._open.hosts)
        if self._open.book is not None:
            self._open.book.require(request.method, path, headers)
        if int(headers.get(b"content-length", b"0")) > self._open.largest:
            raise Refusal("too_large", f"a body may have {self._open.largest} bytes")
        if headers.get(b"expect", b"").lower() == b"100-continue" and self._transport is not None and not self._asked:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        size = len(body)
        self._size += size
        self._open.held += size
        if self._size > self._open.largest:
            raise Refusal("too_large", f"a body may have {self._open.largest} bytes")
        if self._open.held > self._open.most_held:
            raise Refusal("busy", "too much is being sent to this server at present", retry_after_s=1)
        self._body.append(body)

    def on_message_complete(self) -> None:
        request, self._request = self._request, None
        assert request is not None
        self._last = request if self._last is None and self._began else None
        request.body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        asked = _Asked(self, request.keep, request.method == "HEAD", self._size)
        self._body, self._size = [], 0  # what was kept of it is the request's now
        self._asked.append(asked)
        if len(self._asked) >= MOST_PIPELINED:
            self._pause()
        coding = request.headers.get(b"content-encoding")
        if coding is None:
            self._handle(request, asked)
            return
        try:
            body = decompressed(request.body, coding.decode("latin-1").lower(), self._open.largest, LARGEST_ASIDE)
        except Refusal as refusal:
            asked.answer(Answer.to(refusal))
            return
        if body is None:
            task = asyncio.ensure_future(self._handle_large(request, asked, coding.decode("latin-1").lower()))
            asked.withdraw = task.cancel
        else:
            request.body = body
            self._handle(request, asked)

    async def _handle_large(self, request: Request, asked: _Asked, coding: str) -> None:
        """A body that would hold up everybody else while it is decompressed."""
        try:
            body = await asyncio.to_thread(decompressed, request.body, coding, self._open.largest)
        except Refusal as refusal:
            asked.answer(Answer.to(refusal))
            return
        assert body is not None
        request.body = body
        asked.take(len(body))
        self._handle(request, asked)

    def _handle(self, request: Request, asked: _Asked) -> None:
        try:
            asked.withdraw = self._handler(request, asked.answer)
        except Refusal as refusal:
            asked.answer(Answer.to(refusal))
        except Exception:  # a fault of ours: it costs one request, neither the connection nor the others
            _log.exception("%s %s", request.method, request.path[:200])
            asked.answer(Answer.to(Refusal("failed", "this server has a fault; its log has more")))

    def _count_head(self, size: int) -> None:
        self._head += size
        if self._head > LARGEST_HEAD:
            raise _head_too_large()

    # -- answers --------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Send the answers that are there, in the order of the requests, to a client that takes them."""
        transport = self._transport
        if transport is None:
            return
        while self._asked and not self._full and self._asked[0].said is not None:
            asked = self._asked.popleft()
            self._write(transport, asked)
            if not asked.keep:
                self._end_reading()
                for each in self._asked:
                    each.leave()
                self._asked.clear()
                break
        if self._ending and not self._asked:
            self._end(transport)
        elif self._paused and not self._full and len(self._asked) < MOST_PIPELINED:
            self._paused = False
            transport.resume_reading()

    def _write(self, transport: asyncio.Transport, asked: _Asked) -> None:
        answer = asked.said
        assert answer is not None
        size = sum([len(each) for each in answer.parts])
        statuses = self._open.statuses
        statuses[answer.status] = statuses.get(answer.status, 0) + 1
        head = b"%bcontent-type: %b\r\ncontent-length: %d\r\n%b%b\r\n" % (
            _STATUS_LINES[answer.status],
            answer.type,
            size,
            answer.headers,
            b"" if asked.keep else b"connection: close\r\n",
        )
        if asked.is_head:
            transport.write(head)
        elif size < LARGEST_HEAD:
            self._send(b"".join((head, *answer.parts)))
        else:
            transport.writelines([head, *answer.parts])

    def _pause(self) -> None:
        if self._transport is not None and not self._paused and not self._ending:
            self._paused = True
            self._transport.pause_reading()

    def _refuse(self, refusal: Refusal) -> None:
        """What was sent cannot be read on: this is the last answer."""
        self._request = None
        self._drop_body()
        if self._transport is None or self._ending:
            return
        asked = _Asked(self, keep=False)
        self._asked.append(asked)
        self._end_reading()
        asked.answer(Answer.to(refusal))

    def _end_reading(self) -> None:
        """What was asked is answered; what is sent still is thrown away."""
        if self._transport is not None and not self._ending:
            self._ending = True
            self._request = None
            self._seen = monotonic_ns() / 1e9
            if self._asked:
                self._asked[-1].keep = False
            if self._paused:
                self._paused = False
                self._transport.resume_reading()

    def _end(self, transport: asyncio.Transport) -> None:
        """Tell that there is no more; a client that still sends would not read it if the connection ended at once."""
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()

    def _drop_body(self) -> None:
        self._open.held -= self._size
        self._body, self._size = [], 0

    def look(self, now: float) -> None:
        """Give up a connection on which nothing happens; *now* in seconds (monotonic)."""
        transport, silent = self._transport, now - self._seen
        if transport is None:
            return
        if self._full:
            if silent > STALLED:
                transport.abort()
        elif self._asked:
            return
        elif self._ending:
            if silent > (STALLED if transport.get_write_buffer_size() else LINGER):
                transport.abort()
        elif self._request is not None:
            taken = now - self._request.arrived / 1e9
            if silent > STALLED or taken > STALLED + self._size / LEAST_RATE:
                self._refuse(Refusal("slow", "the request came too slowly"))
                self.flush()
        elif silent > IDLE:
            transport.close()

    def close(self) -> None:
        """No more requests; what was asked is answered."""
        self._end_reading()
        self.flush()
        if self._transport is not None and not self._asked:
            self._transport.close()


@dataclass(slots=True, eq=False)
class _Asked:
    """A request of a connection that waits for its answer."""

    connection: Connection
    keep: bool
    is_head: bool = False
    held: int = 0
    said: Answer | None = None
    gone: bool = False
    withdraw: Callable[[], Any] | None = None

    def answer(self, answer: Answer) -> None:
        if self.said is None and not self.gone:
            self.said = answer
            self.connection._open.held -= self.held
            self.held = 0
            self.connection.flush()

    def take(self, size: int) -> None:
        """More of it is kept, or less."""
        self.held += size
        self.connection._open.held += size

    def leave(self) -> None:
        """The client is gone."""
        self.gone = True
        self.take(-self.held)
        if self.said is None and self.withdraw is not None:
            self.withdraw()


def _head_too_large() -> Refusal:
    return Refusal("too_large", f"the head of a request may have {LARGEST_HEAD} bytes")
