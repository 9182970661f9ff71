"""A connection of HTTP without a network: what it reads, in which order it answers, and when it ends."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from typing import cast

import pytest
from tests.support.models_here import Transport, answers, connected

from clx.serving.http import (
    IDLE,
    LARGEST_ASIDE,
    LARGEST_HEAD,
    MOST_KNOWN,
    MOST_PIPELINED,
    STALLED,
    Connection,
    Connections,
)
from clx.serving.messages import Answer, Reply, Request


def echo(request: Request, reply: Reply) -> None:
    reply(Answer(200, (request.method.encode(), b" ", request.path.encode(), b" ", request.body)))


def request(path: str = "/", body: bytes = b"", *lines: str, method: str = "POST") -> bytes:
    head = "".join(f"{each}\r\n" for each in (f"{method} {path} HTTP/1.1", "Host: localhost", *lines))
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def test_a_request_is_answered_however_it_comes() -> None:
    sent = request("/a?q=1", b"body")
    for step in (1, 7, len(sent)):
        connection, transport = connected(echo)
        for at in range(0, len(sent), step):
            connection.data_received(sent[at : at + step])
        assert [each.body for each in answers(transport.written)] == [b"POST /a body"]
        assert transport.ended == ""


def test_answers_go_out_in_the_order_of_the_requests() -> None:
    replies: list[Reply] = []
    connection, transport = connected(lambda _request, reply: replies.append(reply))
    connection.data_received(request() * 3)
    replies[2](Answer(200, (b"3",)))
    replies[1](Answer(200, (b"2",)))
    assert transport.written == b""
    replies[0](Answer(200, (b"1",)))
    assert [each.body for each in answers(transport.written)] == [b"1", b"2", b"3"]


def test_an_answer_that_is_said_twice_goes_out_once() -> None:
    replies: list[Reply] = []
    connection, transport = connected(lambda _request, reply: replies.append(reply))
    connection.data_received(request())
    replies[0](Answer(200))
    replies[0](Answer(504))
    assert [each.status for each in answers(transport.written)] == [200]


def test_no_more_is_read_of_a_client_that_has_asked_enough() -> None:
    replies: list[Reply] = []
    connection, transport = connected(lambda _request, reply: replies.append(reply))
    connection.data_received(request() * MOST_PIPELINED)
    assert not transport.reading
    replies[0](Answer(200))
    assert transport.reading


def test_a_connection_that_is_not_to_be_kept_ends_behind_its_answer() -> None:
    connection, transport = connected(echo)
    connection.data_received(request("/", b"", "Connection: close"))
    assert answers(transport.written)[0].headers["connection"] == "close"
    assert transport.ended == "eof"


@pytest.mark.parametrize(
    "sent",
    [
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_is_the_last_of_its_connection(sent: bytes) -> None:
    connection, transport = connected(echo)
    connection.data_received(sent)
    connection.data_received(request())
    (told,) = answers(transport.written)
    assert (told.status, told.document["code"], transport.ended) == (400, "malformed", "eof")


def test_heads_and_bodies_are_bounded() -> None:
    for sent in (
        request("/" + "a" * LARGEST_HEAD),
        request("/", b"", "X: " + "a" * LARGEST_HEAD),
        request("/", bytes(101)),
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n"
        + bytes(101)
        + b"\r\n0\r\n\r\n",
        request("/", gzip.compress(bytes(101)), "Content-Encoding: gzip"),
    ):
        connection, transport = connected(echo, largest=100)
        connection.data_received(sent)
        assert [each.status for each in answers(transport.written)] == [413]


def test_bodies_in_chunks_are_put_together() -> None:
    connection, transport = connected(echo)
    connection.data_received(
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n"
    )
    assert answers(transport.written)[0].body == b"POST / abc"


def test_a_client_that_stalls_is_given_up_and_one_that_waits_for_its_answer_is_not() -> None:
    connection, transport = connected(lambda _request, _reply: None)
    now = connection._seen
    connection.data_received(request()[:20])
    connection.look(now + STALLED / 2)
    assert transport.ended == ""
    connection.look(now + STALLED + 5)
    assert [each.status for each in answers(transport.written)] == [408]
    assert transport.ended == "eof"
    connection.look(now + STALLED + 60)
    assert transport.ended == "abort"

    connection, transport = connected(lambda _request, _reply: None)
    connection.look(connection._seen + IDLE + 5)
    assert transport.ended == "close"

    connection, transport = connected(lambda _request, _reply: None)
    connection.data_received(request())
    connection.look(connection._seen + IDLE + 5)
    assert transport.ended == ""


def test_a_request_that_comes_byte_by_byte_is_not_waited_for_for_ever() -> None:
    connection, transport = connected(echo)
    connection.data_received(request("/", bytes(2000))[:-1500])
    began = connection._seen
    written = []
    for second in range(1, 60):
        connection._seen = began + second  # something has just come
        connection.look(began + second)
        written.append(transport.written)
    assert written[int(STALLED) - 1] == b""
    assert [each.status for each in answers(written[int(STALLED) + 1])] == [408]


def test_who_sends_no_more_has_gone_and_withdraws_what_was_asked() -> None:
    withdrawn = []
    replies: list[Reply] = []

    def handler(_request: Request, reply: Reply) -> Callable[[], None]:
        replies.append(reply)
        return lambda: withdrawn.append(len(replies))

    connection, transport = connected(handler)
    connection.data_received(request("/", b"body"))
    assert connection._open.held == 4
    assert not connection.eof_received()
    connection.connection_lost(None)
    assert withdrawn == [1]
    assert connection._open.held == 0
    replies[0](Answer(200))
    assert transport.written == b""


def test_a_client_that_takes_no_answers_is_read_no_more_and_then_given_up() -> None:
    connection, transport = connected(echo)
    connection.pause_writing()
    seen = [transport.reading]
    connection.data_received(request() * 3)
    assert transport.written == b""
    connection.resume_writing()
    assert len(answers(transport.written)) == 3
    assert [*seen, transport.reading] == [False, True]
    connection.pause_writing()
    connection.look(connection._seen + STALLED + 1)
    assert transport.ended == "abort"


def test_who_asks_for_the_head_gets_the_length_and_nothing_more() -> None:
    connection, transport = connected(echo)
    connection.data_received(request("/a", method="HEAD"))
    head, _, rest = transport.written.partition(b"\r\n\r\n")
    assert b"content-length: 8" in head
    assert rest == b""


def test_http_1_0_ends_unless_it_asks_to_be_kept() -> None:
    for line, ended in ((b"", "eof"), (b"Connection: keep-alive\r\n", "")):
        connection, transport = connected(echo)
        connection.data_received(b"GET / HTTP/1.0\r\n" + line + b"\r\n")
        assert transport.written.startswith(b"HTTP/1.1 200")
        assert transport.ended == ended


def test_an_upgrade_is_not_done_and_the_request_is_answered_all_the_same() -> None:
    connection, transport = connected(echo)
    connection.data_received(request("/a", b"", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"))
    connection.data_received(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert [each.status for each in answers(transport.written)] == [200]
    assert transport.ended == "eof"


def test_a_body_is_asked_for_by_who_waits_to_send_it() -> None:
    connection, transport = connected(echo)
    sent = request("/a", b"body", "Expect: 100-continue")
    connection.data_received(sent[:-4])
    assert transport.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.data_received(sent[-4:])
    assert transport.written.endswith(b"POST /a body")


def test_a_header_behind_the_body_changes_nothing() -> None:
    seen: list[dict[bytes, bytes]] = []
    connection, _ = connected(lambda request, _reply: seen.append(request.headers))
    connection.data_received(
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nab\r\n0\r\nContent-Encoding: gzip\r\n\r\n"
    )
    assert b"content-encoding" not in seen[0]


def test_a_line_that_never_ends_is_refused() -> None:
    connection, transport = connected(echo)
    connection.data_received(b"GET / HTTP/1.1\r\nX: ")
    for _ in range(100):
        connection.data_received(b"a" * 1000)
    assert [each.status for each in answers(transport.written)] == [413]


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (("Origin: http://localhost",), 200),
        (("Sec-Fetch-Site: same-origin",), 200),
        (("Origin: http://evil.example",), 403),
        (("Origin: null",), 403),
        (("Origin: http://[",), 403),
        (("Sec-Fetch-Site: cross-site",), 403),
        (("Sec-Fetch-Site: same-site",), 403),
        (("Host: localhost",), 400),
        (("Content-Encoding: gzip", "Content-Encoding: identity"), 400),
    ],
)
def test_pages_of_other_sites_may_not_ask(lines: tuple[str, ...], status: int) -> None:
    connection, transport = connected(echo)
    connection.data_received(request("/", b"", *lines))
    assert [each.status for each in answers(transport.written)] == [status]


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:8000", 200), ("LOCALHOST:1", 200), ("[::1]:8000", 200), ("rebound.example:8000", 403), ("a b", 403)],
)
def test_a_server_of_this_machine_answers_to_its_own_names_only(host: str, status: int) -> None:
    connection, transport = connected(echo)
    connection.data_received(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert [each.status for each in answers(transport.written)] == [status]


def test_a_request_that_says_no_host_is_no_http_1_1() -> None:
    connection, transport = connected(echo)
    connection.data_received(b"GET / HTTP/1.1\r\n\r\n")
    assert [each.status for each in answers(transport.written)] == [400]


def test_more_connections_than_there_may_be_are_told_so() -> None:
    open_ = Connections(most=1)
    first, second = Transport(), Transport()
    for each in (first, second):
        Connection(echo, open_).connection_made(cast("asyncio.Transport", each))
    assert first.written == b""
    assert [each.status for each in answers(second.written)] == [503]


def test_bodies_of_all_connections_together_are_bounded() -> None:
    open_ = Connections(most_held=10)
    transports = [Transport(), Transport()]
    for each in transports:
        connection = Connection(echo, open_)
        connection.connection_made(cast("asyncio.Transport", each))
        connection.data_received(request("/", b"123456789")[:-1])
    assert [each.status for each in answers(transports[1].written)] == [503]
    assert open_.held == 8


def test_a_large_compressed_body_holds_nobody_up() -> None:
    async def ask() -> None:
        connection, transport = connected(echo)
        body = bytes(LARGEST_ASIDE + 1)
        connection.data_received(request("/a", gzip.compress(body), "Content-Encoding: gzip") + request("/b"))
        assert transport.written == b""
        while not transport.written:
            await asyncio.sleep(0)
        first, second = answers(transport.written)
        assert first.body == b"POST /a " + body
        assert second.body == b"POST /b "
        assert connection._open.held == 0

    asyncio.run(ask())


def test_a_client_that_is_gone_is_told_nothing() -> None:
    replies: list[Reply] = []
    connection, transport = connected(lambda _request, reply: replies.append(reply))
    connection.data_received(request())
    connection.connection_lost(None)
    replies[0](Answer(200))
    assert transport.written == b""


def test_a_fault_of_ours_costs_one_request(caplog: pytest.LogCaptureFixture) -> None:
    def handler(request: Request, reply: Reply) -> None:
        if request.path == "/bad":
            raise ZeroDivisionError
        echo(request, reply)

    connection, transport = connected(handler)
    connection.data_received(request("/bad") + request("/good"))
    assert [each.status for each in answers(transport.written)] == [500, 200]
    assert "ZeroDivisionError" in caplog.text


def test_a_head_that_was_read_before_says_the_same_with_another_body() -> None:
    seen: list[Request] = []

    def handler(asked: Request, reply: Reply) -> None:
        seen.append(asked)
        echo(asked, reply)

    connection, transport = connected(handler)
    for body in (b"one", b"two", b"six"):
        connection.data_received(request("/a?q=1", body))
    assert [each.body for each in answers(transport.written)] == [b"POST /a one", b"POST /a two", b"POST /a six"]
    assert seen[1].headers is seen[2].headers
    assert (seen[2].query, seen[2].keep) == ("q=1", True)
    assert connection._last is None  # no body is kept by who waits for another request
    assert connection._open.held == 0


@pytest.mark.parametrize("rest", [b"on", b"oneGET / HTTP/1.1\r\n"])
def test_a_known_head_with_less_or_more_behind_it_is_read_on(rest: bytes) -> None:
    connection, transport = connected(echo)
    whole = request("/", b"one")
    connection.data_received(whole)
    connection.data_received(whole[:-3] + rest)
    connection.data_received(b"e" if rest == b"on" else b"host: localhost\r\n\r\n")
    assert [each.body for each in answers(transport.written)][1] == b"POST / one"
    assert len(answers(transport.written)) == (2 if rest == b"on" else 3)


@pytest.mark.parametrize("lines", [("Connection: close",), ("Expect: 100-continue",), ("Content-Encoding: identity",)])
def test_heads_that_have_their_own_ways_are_read_each_time(lines: tuple[str, ...]) -> None:
    connection, _ = connected(echo)
    connection.data_received(request("/", b"one", *lines))
    assert connection._open.heads == {}


def test_as_many_heads_as_there_may_be_are_known() -> None:
    connection, _ = connected(echo)
    for number in range(MOST_KNOWN + 3):
        connection.data_received(request(f"/{number}"))
    assert len(connection._open.heads) == 3
