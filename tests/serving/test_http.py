"""A connection of HTTP without a network: what it reads, in which order it answers, and when it ends."""

from __future__ import annotations

import gzip
import zlib

import pytest
from tests.support.models_here import answers, connected

from clx.serving.failures import Refusal
from clx.serving.http import IDLE, LARGEST_HEAD, MOST_PIPELINED, STALLED, Answer, Reply, Request, decompressed


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
    assert transport.ended == "close"


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
    assert (told.status, told.document["code"], transport.ended) == (400, "malformed", "close")


def test_heads_and_bodies_are_bounded() -> None:
    for sent in (
        request("/" + "a" * LARGEST_HEAD),
        request("/", b"", "X: " + "a" * LARGEST_HEAD),
        request("/", bytes(101)),
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + bytes(101) + b"\r\n0\r\n\r\n",
        request("/", gzip.compress(bytes(101)), "Content-Encoding: gzip"),
    ):
        connection, transport = connected(echo, largest=100)
        connection.data_received(sent)
        assert [each.status for each in answers(transport.written)] == [413]


def test_bodies_in_chunks_are_put_together() -> None:
    connection, transport = connected(echo)
    connection.data_received(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n"
    )
    assert answers(transport.written)[0].body == b"POST / abc"


def test_compressed_bodies_are_what_they_were() -> None:
    raw = zlib.compressobj(wbits=-15)
    packed = raw.compress(b"body") + raw.flush()
    for coding, body in (
        ("gzip", gzip.compress(b"body")),
        ("deflate", zlib.compress(b"body")),
        ("deflate", packed),
        ("identity", b"body"),
    ):
        assert decompressed(body, coding, 100) == b"body"


@pytest.mark.parametrize(
    ("coding", "body"), [("br", b"body"), ("gzip", b"body"), ("gzip", gzip.compress(b"body")[:-1]), ("deflate", b"")]
)
def test_what_is_not_compressed_as_it_says_is_refused(coding: str, body: bytes) -> None:
    with pytest.raises(Refusal) as raised:
        decompressed(body, coding, 100)
    assert raised.value.status == 400


def test_a_client_that_stalls_is_given_up_and_one_that_waits_for_its_answer_is_not() -> None:
    connection, transport = connected(lambda _request, _reply: None)
    now = connection._seen
    connection.data_received(request()[:20])
    connection.look(now + STALLED / 2)
    assert transport.ended == ""
    connection.look(now + STALLED + 5)
    assert transport.ended == "abort"

    connection, transport = connected(lambda _request, _reply: None)
    connection.look(connection._seen + IDLE + 5)
    assert transport.ended == "close"

    connection, transport = connected(lambda _request, _reply: None)
    connection.data_received(request())
    connection.look(connection._seen + IDLE + 5)
    assert transport.ended == ""


def test_what_was_asked_before_the_end_is_answered() -> None:
    replies: list[Reply] = []
    connection, transport = connected(lambda _request, reply: replies.append(reply))
    connection.data_received(request())
    assert connection.eof_received()
    replies[0](Answer(200))
    assert [each.status for each in answers(transport.written)] == [200]
    assert transport.ended == "close"


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
