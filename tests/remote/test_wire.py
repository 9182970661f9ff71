"""Answers however they come; what was lost is asked for again only where that changes nothing."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from clx.remote.wire import FAILURES, NotReached, Wire

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Scripted:
    """A server that gives each connection its answers, one for each request, and then closes it."""

    def __init__(self, *connections: list[bytes]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.requests: list[bytes] = []
        self.closed = threading.Semaphore(0)  # once for each connection
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, args=[connections])
        self._thread.start()

    def _serve(self, connections: tuple[list[bytes], ...]) -> None:
        for answers in connections:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # the test has ended before it came to that
                return
            with connection, suppress(OSError):
                for answer in answers:
                    self.requests.append(connection.recv(65536))
                    connection.sendall(answer)
            self.closed.release()

    def wire(self, **headers: str) -> Wire:
        return Wire(urlsplit(self.url), headers, None)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    made: list[Scripted] = []

    def make(*connections: list[bytes]) -> Scripted:
        made.append(Scripted(*connections))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_call_is_one_request_with_all_headers(scripted: Callable[..., Scripted]) -> None:
    server = scripted([OK])
    wire = server.wire(authorization="Bearer clx_x")
    assert wire.call("POST", "/api?x=%20", b"{}", 10) == (200, b"ok")
    wire.close()
    host = server.url.removeprefix("http://")
    assert server.requests == [
        f"POST /api?x=%20 HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer clx_x\r\n"
        "content-type: application/json\r\ncontent-length: 2\r\n\r\n{}".encode()
    ]


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: Close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\n\r\nok",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 200\r\ncontent-length:2\r\nx-odd\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx-long: " + b"y" * 5000 + b"\r\n\r\nok",
    ],
)
def test_a_body_is_read_as_its_headers_say(scripted: Callable[..., Scripted], answer: bytes) -> None:
    wire = scripted([answer]).wire()
    assert wire.call("POST", "/", b"{}", 10) == (200, b"ok")
    wire.close()


def test_one_connection_serves_call_after_call(scripted: Callable[..., Scripted]) -> None:
    wire = scripted([OK, b"HTTP/1.1 204 None\r\n\r\n", OK]).wire()
    assert [wire.call("POST", "/", b"{}", 10)[0] for _ in range(3)] == [200, 204, 200]
    wire.close()


def test_an_answer_may_come_in_parts_and_be_long(scripted: Callable[..., Scripted]) -> None:
    body = b"x" * 300_000
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n"
    server = scripted([head + body, head, body[:10], body[10:]])
    wire = server.wire()
    assert wire.call("POST", "/", b"1", 10) == (200, body)
    nudge = threading.Timer(0.2, wire._free[0].sendall, [b"2"])  # what the next part waits for
    last = threading.Timer(0.4, wire._free[0].sendall, [b"3"])
    for each in (nudge, last):
        each.start()
    assert wire.call("POST", "/", b"1", 10) == (200, body)
    for each in (nudge, last):
        each.join()
    wire.close()


def test_by_a_connection_that_said_more_than_it_was_asked_nothing_else_is_read(
    scripted: Callable[..., Scripted],
) -> None:
    server = scripted([OK + b"HTTP/1.1 200 OK\r\n"], [OK])
    wire = server.wire()
    assert [wire.call("POST", "/", b"{}", 10) for _ in range(2)] == [(200, b"ok")] * 2
    wire.close()
    assert len(server.requests) == 2


def test_one_that_was_closed_meanwhile_is_not_used_any_more(scripted: Callable[..., Scripted]) -> None:
    server = scripted([OK], [OK])
    wire = server.wire()
    wire.call("POST", "/", b"1", 10)
    server.closed.acquire()
    wire.call("POST", "/", b"2", 10)
    wire.close()
    assert [request[-1:] for request in server.requests] == [b"1", b"2"]


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000 + b"\r\n\r\n",
        b"SSH-2.0 hello\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_asked_for_again_only_where_that_changes_nothing(
    scripted: Callable[..., Scripted], broken: bytes
) -> None:
    server = scripted([broken], [broken], [OK])
    wire = server.wire()
    with pytest.raises(FAILURES):
        wire.call("POST", "/", b"{}", 10)
    assert wire.call("GET", "/", None, 10) == (200, b"ok")
    wire.close()
    assert [request.split()[0] for request in server.requests] == [b"POST", b"GET", b"GET"]


def test_an_answer_that_does_not_come_in_time_is_lost(scripted: Callable[..., Scripted]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        wire = Wire(urlsplit(f"http://127.0.0.1:{silent.getsockname()[1]}"), {}, None)
        with pytest.raises(TimeoutError):
            wire.call("POST", "/", b"{}", 0.01)
        wire.close()


def test_nobody_there_is_no_lost_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(NotReached):
        Wire(urlsplit(f"http://127.0.0.1:{port}"), {}, None).call("GET", "/", None, 10)


def test_failures_are_those_of_sockets_and_of_http() -> None:
    assert issubclass(http.client.IncompleteRead, FAILURES)
    assert issubclass(TimeoutError, FAILURES)
