"""Connections are bounded: who is slow, endless, no HTTP, or one too many is cut off, and everybody else is served."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import time
from collections.abc import Iterator

import pytest
import urllib3
from tests.support.serving import Listening, listening

from clx.db.jobs import Queue
from clx.server import guard, protocol

_BAD = 100_000 if os.environ.get("CLX_SOAK") else 10_000


@pytest.fixture
def server(queue: Queue) -> Iterator[Listening]:
    with listening(queue) as found:
        yield found


def connect(server: Listening) -> socket.socket:
    found = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return found


def all_of(connection: socket.socket) -> bytes:
    """What comes until the other side ends."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def answer_of(connection: socket.socket) -> bytes:
    """One whole answer; head and body may come one after the other."""
    found = b""
    while b"\r\n\r\n" not in found:
        found += connection.recv(1) or pytest.fail(f"it ended: {found!r}")
    length = int(found.lower().partition(b"content-length:")[2].split()[0])
    return found + connection.recv(length, socket.MSG_WAITALL)


def is_alive(server: Listening) -> bool:
    with urllib3.PoolManager() as pool:
        return pool.request("GET", f"{server.url}/healthz", timeout=60).status == 200


def test_who_says_nothing_is_cut_off(server: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 0.1)
    with connect(server) as connection:
        assert all_of(connection) == b""


def test_who_sends_headers_slowly_is_told_and_cut_off(server: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 0.2)
    with connect(server) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        answer = all_of(connection)
    assert answer.startswith(b"HTTP/1.1 408")
    assert set(json.loads(answer.rpartition(b"\r\n\r\n")[2])) == {"error", "next_step"}


def test_a_second_request_of_a_kept_connection_is_bounded_too(
    server: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 0.3)
    with connect(server) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer_of(connection).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /heal")
        assert b"HTTP/1.1 408" in all_of(connection)


def test_headers_without_end_are_refused(server: Listening) -> None:
    with connect(server) as connection:
        try:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
            for n in range(2000):
                connection.sendall(b"X-%d: " % n + b"y" * 100 + b"\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = all_of(connection)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431")
    assert is_alive(server)


def test_a_body_that_comes_slowly_is_refused(server: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "SLOW_BODY", 0.2)
    token = server.secrets["work"].encode()
    with connect(server) as connection:
        connection.sendall(
            b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n"
            b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{" % token
        )
        answer = all_of(connection)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"too slowly" in answer


def test_a_drop_a_second_is_too_slow_in_the_end(server: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "SLOW_BODY", 0.3)
    token = server.secrets["work"].encode()
    with connect(server) as connection:
        head = (
            b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\nContent-Length: 9999\r\n\r\n"
        )
        connection.sendall(head % token)
        begun = time.monotonic()
        connection.settimeout(0.05)
        answer = b""
        while not answer and time.monotonic() - begun < 30:
            try:
                connection.sendall(b" ")
                answer = connection.recv(65536)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408")


def test_a_body_without_end_is_refused(server: Listening) -> None:
    token = server.secrets["work"].encode()
    head = b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n" % token
    for how in (b"Content-Length: 99999999999\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"):
        with connect(server) as connection:
            try:
                connection.sendall(head + how)
                for _ in range(40):
                    connection.sendall(b"100000\r\n" + b" " * 0x100000 + b"\r\n")
            except (BrokenPipeError, ConnectionResetError):
                pass
            answer = all_of(connection)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 413")
    assert is_alive(server)


ENDLESS = b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_the_rest_of_a_body_keeps_no_connection_once_it_was_answered(
    server: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "REST_SECONDS", 0.2)
    with connect(server) as connection:
        connection.sendall(ENDLESS)
        assert answer_of(connection).startswith(b"HTTP/1.1 401")
        assert _is_cut_off(connection, b"1\r\nx\r\n")


def test_a_body_that_comes_after_its_answer_is_let_pass(server: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "REST_SECONDS", 60)
    with connect(server) as connection:
        connection.sendall(b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
        assert answer_of(connection).startswith(b"HTTP/1.1 401")
        connection.sendall(b"x" * 100_000 + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer_of(connection).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("begin", [ENDLESS, ENDLESS.replace(b"/healthz", b"/login")])
@pytest.mark.parametrize("stray", [b"X: " + b"y" * 1000 + b"\r\n", b"X" * 1000])
def test_trailers_without_end_are_cut_off_and_not_kept(server: Listening, begin: bytes, stray: bytes) -> None:
    with connect(server) as connection:
        connection.sendall(begin + b"0\r\n")
        assert _is_cut_off(connection, stray, 1000)
    assert is_alive(server)


def test_another_protocol_gets_one_answer_and_no_line_in_the_log(
    server: Listening, caplog: pytest.LogCaptureFixture
) -> None:
    token = server.secrets["read"].encode()
    head = b"GET /version HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n" % token
    for name in (b"websocket", b"h2c"):
        with connect(server) as connection:
            connection.sendall(head + b"Connection: Upgrade\r\nUpgrade: %b\r\n\r\n" % name)
            assert all_of(connection).startswith(b"HTTP/1.1 200")
    with connect(server) as connection:
        connection.sendall(b"no HTTP at all\r\n\r\n")
        assert all_of(connection).startswith(b"HTTP/1.1 400")
    assert not caplog.records  # whoever reaches the port would fill the disk


def _is_cut_off(connection: socket.socket, data: bytes, times: int = 10_000) -> bool:
    """Whether who sends *data* again and again is cut off."""
    try:
        for _ in range(times):
            connection.sendall(data)
            connection.settimeout(0.01)
            with contextlib.suppress(TimeoutError):
                if connection.recv(65536) == b"":
                    return True
            connection.settimeout(60)
    except (BrokenPipeError, ConnectionResetError):
        return True
    return False


def test_who_does_not_read_is_cut_off(server: Listening, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "STILL_SECONDS", 0.2)
    token = server.secrets["read"].encode()
    with connect(server) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        ask = b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n\r\n" % token
        ends_at = time.monotonic() + 60
        try:
            while time.monotonic() < ends_at:
                connection.sendall(ask)
        except (ConnectionResetError, BrokenPipeError):
            cut_off = True
        except TimeoutError:
            cut_off = False
    assert cut_off
    assert is_alive(server)


def test_one_too_many_is_refused_and_the_others_are_served(server: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MOST_CONNECTIONS", 3)
    kept = [connect(server) for _ in range(3)]
    for connection in kept:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer_of(connection).startswith(b"HTTP/1.1 200")
    with connect(server) as beyond:
        assert all_of(beyond).startswith(b"HTTP/1.1 503")
    kept[0].sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer_of(kept[0]).startswith(b"HTTP/1.1 200")
    for connection in kept:
        connection.close()


def spoiled(data: bytes, chance: random.Random) -> bytes:
    """*data* with some bytes changed, lost or put in."""
    found = bytearray(data)
    for _ in range(chance.randrange(1, 12)):
        place = chance.randrange(len(found) + 1)
        match chance.randrange(4):
            case 0:
                found[place : place + 1] = chance.randbytes(1)
            case 1:
                del found[place : place + chance.randrange(1, 40)]
            case 2:
                found[place:place] = chance.randbytes(chance.randrange(1, 30))
            case 3:
                found[place:place] = chance.choice((b"\r\n", b"%00", b"Origin: x\r\n", b"Host: y\r\n", b"{" * 300))
    return bytes(found)


def test_thousands_of_bad_requests_leave_it_answering(server: Listening, queue: Queue) -> None:
    """What is no HTTP, half of it, of another site, by another name, without a token, or cut off in the middle."""
    chance = random.Random(7)
    token = server.secrets["work"].encode()
    good = (
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\nConnection: close\r\n"
        b'Content-Length: 20\r\n\r\n{"type": "t","key":1' % token
    )
    for n in range(_BAD):
        with connect(server) as connection:
            connection.sendall(spoiled(good, chance))
            if n % 2:  # the others are gone before they hear anything
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(0.02)
                with contextlib.suppress(TimeoutError, ConnectionResetError):
                    assert b"Traceback" not in connection.recv(65536)
        if n % 500 == 0:
            assert is_alive(server)
    assert is_alive(server)
    assert queue.search() == []
