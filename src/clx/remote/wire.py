"""HTTP/1.1 for many small calls of one server: connections that are kept, and little done for each call.

What :mod:`http.client` does with headers takes half as long as everything else of a call; of an answer only three of
them matter here.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any
from urllib.parse import SplitResult

from urllib3.util import wait_for_read

CONNECT_TIME = 10.0
"""Seconds within which a connection must be made."""
_MOST_KEPT = 16
_PAUSES = (0.0, 0.1, 0.2)
"""Seconds before each attempt to reach a server: nothing was sent where nobody was."""
_PART, _LARGE = 16 << 10, 1 << 20
"""Bytes that are read at a time."""
_SHORT, _MOST_KNOWN = 2048, 64
"""Bytes of a head of an answer that is remembered, and how many are."""
_MOST_HEADERS = 100
_LONGEST_LINE = 65536
_ASKED_TWICE = frozenset({"GET", "HEAD"})
FAILURES = (OSError, http.client.HTTPException)
"""What a call fails with to which no answer came: :class:`ssl.SSLError` and :class:`TimeoutError` are of the first."""


class NotReached(OSError):
    """There is no connection, so nothing was sent."""


class _Answer(http.client.HTTPResponse):
    """An answer, of whose headers the last of each name is kept."""

    def begin(self) -> None:
        """Read the status and the headers."""
        while True:
            version, status, reason = self._read_status()  # type: ignore[attr-defined]
            headers = self._read_headers()
            if status != http.client.CONTINUE:
                break
        if not version.startswith("HTTP/1."):
            raise http.client.UnknownProtocol(version)
        self.code = self.status = status
        self.reason = reason.strip()
        self.version = 10 if version == "HTTP/1.0" else 11
        self.headers = self.msg = headers  # type: ignore[assignment]
        self.chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = None
        length = headers.get("content-length", "")
        self.length = int(length) if length.isdecimal() and not self.chunked else None
        if status in (204, 304):
            self.length = 0
        said = headers.get("connection", "").lower()
        kept = "keep-alive" in said if self.version == 10 else "close" not in said
        self.will_close = not kept or (self.length is None and not self.chunked)

    def _read_headers(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for _ in range(_MOST_HEADERS):
            line = self.fp.readline(_LONGEST_LINE + 1)
            if len(line) > _LONGEST_LINE:
                raise http.client.LineTooLong("header line")
            if line in (b"\r\n", b"\n"):
                return found
            if not line:
                raise http.client.RemoteDisconnected("it ended in the middle of an answer")
            name, _, value = line.decode("latin-1").partition(":")
            found[name.lower()] = value.strip()
        raise http.client.HTTPException("an answer with too many headers")


class _Begun(io.RawIOBase):
    """A connection whose first bytes were read already, as :class:`http.client.HTTPResponse` wants it."""

    def __init__(self, data: bytes, connection: socket.socket | None = None) -> None:
        super().__init__()
        self._data = data
        self._connection = connection

    def makefile(self, _mode: str) -> io.BufferedReader:
        """It as a file."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes."""
        if self._data:
            size = min(len(buffer), len(self._data))
            buffer[:size], self._data = self._data[:size], self._data[size:]
            return size
        return 0 if self._connection is None else self._connection.recv_into(buffer)


def _read(connection: socket.socket, method: str) -> tuple[int, bytes, bool]:
    """An answer: its status, its body, and whether another may follow by this connection."""
    data = connection.recv(_PART)
    size = data.find(b"\r\n\r\n") + 4
    plain = _plain(data[:size]) if 4 <= size <= _SHORT and method != "HEAD" else None
    if plain is None:
        with _Answer(_Begun(data, connection), method=method) as answer:  # type: ignore[arg-type]
            answer.begin()
            return answer.status, answer.read(), not answer.will_close
    status, length = plain
    parts, left = [data[size:]], length - (len(data) - size)
    while left > 0:
        part = connection.recv(max(_PART, min(left, _LARGE)))
        if not part:
            raise http.client.IncompleteRead(b"".join(parts), left)
        parts.append(part)
        left -= len(part)
    return status, b"".join(parts)[:length], left == 0  # what comes beyond it nobody has asked for


@lru_cache(_MOST_KNOWN)
def _plain(head: bytes) -> tuple[int, int] | None:
    """The status of an answer that begins so, and how long its body is; None where that is not said, or its end ends
    the connection. Those of one server are nearly all the same.
    """
    try:
        with _Answer(_Begun(head)) as answer:  # type: ignore[arg-type]
            answer.begin()
            return None if answer.length is None or answer.will_close else (answer.status, answer.length)
    except http.client.HTTPException:
        return None


class Wire:
    """Connections to one server. Usable from several threads: each call takes a connection that is free.

    Args:
        parts: of its URL.
        headers: of every call.
        trusted: whom to believe what server it is; None: whom the system does.
    """

    def __init__(self, parts: SplitResult, headers: Mapping[str, str], trusted: ssl.SSLContext | None) -> None:
        self._place = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        self._trusted = (trusted or ssl.create_default_context()) if parts.scheme == "https" else None
        host = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
        lines = {"host": host, **headers}
        self._head = "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode("latin-1")
        self._free: deque[socket.socket] = deque()
        self._lock = threading.Lock()
        self._is_closed = False
        weakref.finalize(self, _close_all, self._free)  # where nobody closes it

    def call(self, method: str, target: str, body: bytes | None, timeout: float) -> tuple[int, bytes]:
        """The status and the body of the answer to one call; what only reads is sent again where that was lost.

        Args:
            target: path and query, quoted.
            body: JSON.
            timeout: seconds within which an answer, and each part of it, must come.

        Raises:
            OSError, HTTPException: there was none.
        """
        told = b"" if body is None else b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body)
        request = b"".join((f"{method} {target} HTTP/1.1\r\n".encode("ascii"), self._head, told, b"\r\n", body or b""))
        try:
            return self._one(method, request, timeout)
        except NotReached:
            raise
        except FAILURES:
            if method not in _ASKED_TWICE:
                raise
        return self._one(method, request, timeout)

    def _one(self, method: str, request: bytes, timeout: float) -> tuple[int, bytes]:
        connection = self._take()
        is_kept = False
        try:
            if connection.gettimeout() != timeout:
                connection.settimeout(timeout)
            connection.sendall(request)
            status, data, is_kept = _read(connection, method)
        finally:
            if not is_kept or not self._keep(connection):
                connection.close()
        return status, data

    def _take(self) -> socket.socket:
        while True:
            try:
                connection = self._free.pop()  # the one that was used last
            except IndexError:
                return self._connect()
            if not wait_for_read(connection, 0):  # else the server has closed it, or said what nobody asked for
                return connection
            connection.close()

    def _keep(self, connection: socket.socket) -> bool:
        with self._lock:
            if self._is_closed or len(self._free) >= _MOST_KEPT:
                return False
            self._free.append(connection)
        return True

    def _connect(self) -> socket.socket:
        last: Exception | None = None
        for pause in _PAUSES:
            time.sleep(pause)
            try:
                return self._connected()
            except OSError as error:
                last = error
        assert last is not None
        raise NotReached(*last.args) from last

    def _connected(self) -> socket.socket:
        made = socket.create_connection(self._place, CONNECT_TIME)
        try:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return made if self._trusted is None else self._trusted.wrap_socket(made, server_hostname=self._place[0])
        except BaseException:
            made.close()
            raise

    def close(self) -> None:
        """Close those that are free, and keep no others."""
        with self._lock:
            self._is_closed = True
        _close_all(self._free)


def _close_all(connections: deque[socket.socket]) -> None:
    while connections:
        with suppress(IndexError, OSError):
            connections.pop().close()
