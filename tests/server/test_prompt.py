"""What is answered before it comes to the application is answered as the application does, and nothing else is."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from tests.support.serving import Listening, listening

from clx.db.jobs import Queue
from clx.db.sqlite.driver import driver
from clx.db.tokens import TokenTable
from clx.server import access, application
from clx.server.api.routes import Endpoint
from clx.server.prompt import Prompt
from clx.server.protocol import BoundedProtocol

WORK = {"pipeline": "p", "creation": 1_700_000_000.5, "user": "u"}


@pytest.fixture
def server(queue: Queue) -> Iterator[Listening]:
    with listening(queue) as found:
        yield found


@pytest.fixture
def quiet(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listening]:
    """A server in which nothing happens but what is asked, once it was asked something."""
    monkeypatch.setattr(access, "FRESH", 3600.0)
    monkeypatch.setattr(application, "SWEEP", 3600.0)
    with listening(queue) as found:
        for _ in range(2):  # the first one waits for what happens at the beginning, and has its token noted
            ask(found, request(found, {"works": []}, path="/api/v1/works?"))
        yield found


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The addresses whose heads were looked at."""
    return _noted(monkeypatch, Prompt, "look", lambda _prompt, _method, target, _headers: target)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of operations that came to the application."""
    return _noted(monkeypatch, Endpoint, "answer", lambda endpoint, _request: endpoint.operation.name)


def _noted(monkeypatch: pytest.MonkeyPatch, kind: type, name: str, what: Callable[..., Any]) -> list[Any]:
    found: list[Any] = []
    real = getattr(kind, name)

    def noting(*arguments: Any) -> Any:
        found.append(what(*arguments))
        return real(*arguments)

    monkeypatch.setattr(kind, name, noting)
    return found


@contextmanager
def connected(server: Listening) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


def request(server: Listening, body: Any, *more: str, path: str = "/api/v1/works", role: str = "work") -> bytes:
    """A request; *more* are lines of its head, of which the first may name another host."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", *more, f"content-length: {len(sent)}"]
    names = [line.partition(":")[0].lower() for line in more]
    if "host" not in names:
        lines.insert(1, f"host: 127.0.0.1:{server.port}")
    if "authorization" not in names:
        lines.insert(1, f"authorization: Bearer {server.secrets[role]}")
    return "\r\n".join([*lines, "", ""]).encode() + sent


def answer(connection: socket.socket) -> tuple[bytes, list[bytes], Any]:
    """Status line, headers in their order, and the document of one answer."""
    found = b""
    while b"\r\n\r\n" not in found:
        found += connection.recv(1) or pytest.fail(f"it ended: {found!r}")
    first, *headers = found.split(b"\r\n")[:-2]
    (length,) = [int(each.partition(b":")[2]) for each in headers if each.lower().startswith(b"content-length:")]
    body = connection.recv(length, socket.MSG_WAITALL) if length else b"null"
    told = sorted(each for each in headers if not each.lower().startswith((b"content-length:", b"date:")))
    return first, told, json.loads(body)


def ask(server: Listening, sent: bytes, times: int = 1) -> list[tuple[bytes, list[bytes], Any]]:
    with connected(server) as connection:
        found = []
        for _ in range(times):
            connection.sendall(sent)
            found.append(answer(connection))
        return found


def requests_of(server: Listening) -> list[bytes]:
    """Good ones, and such as are refused: each for another reason."""
    deposit = {"works": [WORK]}
    withdrawal = {"pipelines": ["p"], "worker": 1}
    end = {"id": "0" * 24, "pipeline": "p", "status": "success"}
    return [
        request(server, deposit),
        request(server, {"works": [{"pipeline": "p", "timeout": -1}]}),
        request(server, {"works": [{"pipeline": "p", "id": "1" * 24}] * 2}),
        request(server, {"works": []}),
        request(server, {"works": 7}),
        request(server, {"unknown": 1}),
        request(server, b"{"),
        request(server, b"\xff"),
        request(server, b""),
        request(server, deposit, role="read"),
        request(server, deposit, "authorization: Bearer clx_none"),
        request(server, deposit, "authorization: Basic 8"),
        request(server, deposit, "authorization:"),
        request(server, deposit, "host: elsewhere.example"),
        request(server, deposit, "host: localhost", "host: localhost"),
        request(server, deposit, "origin: http://elsewhere.example"),
        request(server, deposit, "sec-fetch-site: cross-site"),
        request(server, deposit, "content-length: 7"),
        request(server, deposit, "authorization:", f"cookie: clx-{server.port}={server.secrets['work']}"),
        request(server, deposit, "expect: 100-continue", path="/api/v1/nothing"),
        request(server, deposit, path="/api/v1/works?x=1"),
        request(server, {"works": [{"pipeline": "p", "parameters": {"a": "x" * 5000}}]}),
        request(server, withdrawal, path="/api/v1/works/withdraw"),
        request(server, {**withdrawal, "worker": 7}, path="/api/v1/works/withdraw"),
        request(server, {**withdrawal, "worker": 0}, path="/api/v1/works/withdraw"),
        request(server, {"pipelines": ["none"], "worker": 1}, path="/api/v1/works/withdraw"),
        request(server, {"type": "t", "key": "k"}, path="/api/v1/jobs"),
        request(server, {"type": "t", "key": "k", "on_conflict": "raise"}, path="/api/v1/jobs"),
        request(server, {"type": "t", "needs": [700]}, path="/api/v1/jobs"),
        request(server, {"works": [end]}, path="/api/v1/works/update"),
        request(server, {"works": [{**end, "status": "no such"}]}, path="/api/v1/works/update"),
    ]


def test_what_is_answered_at_once_is_answered_as_by_the_application(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    answers = []
    for folder, is_prompt in (("at_once", True), ("usual", False)):
        if not is_prompt:
            monkeypatch.setattr(Prompt, "serves", lambda *_: False)
        with Queue.open(tmp_path / folder / "jobs.db") as queue, listening(queue) as server:
            queue.worker_for(["work:p"])
            found = []
            for each in requests_of(server):
                with connected(server) as connection:
                    connection.sendall(each)
                    found.append(_anonymous(answer(connection), server.port))
            answers.append(found)
    assert {told[0].split()[1] for told in answers[1]} == {
        b"200",
        b"201",
        b"400",
        b"401",
        b"403",
        b"404",
        b"409",
        b"422",
    }
    assert answers[0] == answers[1]


def _anonymous(told: tuple[bytes, list[bytes], Any], port: int) -> tuple[bytes, list[bytes], Any]:
    """An answer without what is another one in every table."""
    first, headers, document = told
    if "ids" in document:
        document["ids"] = [len(each) for each in document["ids"]]
    if document.get("work"):
        document["work"] = {name: value for name, value in document["work"].items() if name not in ("id", "start")}
    text = json.dumps(document).replace("/at_once/", "/usual/").replace(str(port), "PORT")
    return first, headers, json.loads(text)


def test_short_calls_do_not_come_to_the_application(quiet: Listening, asked: list[str]) -> None:
    ask(quiet, request(quiet, {"works": [WORK]}))
    assert asked == []
    ask(quiet, request(quiet, {"works": [WORK]}, path="/api/v1/works?"))
    assert asked == ["deposit_works"], "what it tells of is seen"


def test_a_head_that_was_read_before_is_not_read_again(
    quiet: Listening, queue: Queue, looks: list[bytes], asked: list[str]
) -> None:
    with connected(quiet) as connection:
        for n in (1, 2, 3, 10):
            connection.sendall(request(quiet, {"works": [{**WORK, "parameters": {"a": n}}]}))
            assert answer(connection)[0] == b"HTTP/1.1 201 Created"
    assert asked == []
    assert looks == [b"/api/v1/works"] * 2, "the last one has another length"
    assert queue.works.status("p")["queued"] == 4


def test_a_token_that_was_revoked_is_refused_on_a_connection_that_is_kept(
    server: Listening, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = request(server, {"works": [WORK]})
    with connected(server) as connection:
        for _ in range(3):
            connection.sendall(sent)
            assert answer(connection)[0].split()[1] == b"201"
        TokenTable(queue.database).revoke("a work")
        monkeypatch.setattr(access, "FRESH", 0.0)
        connection.sendall(sent)
        assert answer(connection)[0].split()[1] == b"401"


def test_a_request_that_comes_in_parts_is_one(server: Listening, queue: Queue) -> None:
    sent = request(server, {"works": [WORK]})
    ask(server, sent)
    with connected(server) as connection:
        for size in (1, 40, len(sent) - 3, len(sent) - 30):
            connection.sendall(sent[:size])
            threading.Event().wait(0.05)
            connection.sendall(sent[size:])
            assert answer(connection)[0].split()[1] == b"201"
    assert queue.works.status("p")["queued"] == 1


def test_several_that_come_together_are_answered_in_their_order(server: Listening, queue: Queue) -> None:
    sent = [request(server, {"works": [{**WORK, "parameters": {"a": n}}]}) for n in range(3)]
    with connected(server) as connection:
        connection.sendall(sent[0])
        ids = [answer(connection)[2]["ids"]]
        connection.sendall(b"".join(sent))
        ids = ids + [answer(connection)[2]["ids"] for _ in sent]
        assert ids[0] == ids[1]
        connection.sendall(b"\r\n" + sent[1] + request(server, b"{") + sent[2])
        assert [answer(connection)[2].get("ids") for _ in range(3)] == [ids[2], None, ids[3]]
    assert queue.works.status("p")["queued"] == 3


def test_where_another_writes_it_is_waited_for(server: Listening, queue: Queue) -> None:
    ask(server, request(server, {"works": []}))
    with (
        closing(driver.connect(str(queue.database.path), isolation_level=None)) as other,
        connected(server) as connection,
    ):
        other.execute("BEGIN IMMEDIATE")
        connection.sendall(request(server, {"works": [WORK]}))
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        other.execute("ROLLBACK")
        connection.settimeout(60)
        assert answer(connection)[0].split()[1] == b"201"


def test_what_is_answered_at_once_is_counted(server: Listening, queue: Queue) -> None:
    ask(server, request(server, {"works": [WORK]}), times=5)
    with connected(server) as connection:
        told = request(server, b"", path="/metrics", role="admin").replace(b"POST", b"GET", 1)
        connection.sendall(told + b"")
        counted = b""
        while b"clx_http_request_duration_seconds_count" not in counted:
            counted += connection.recv(65536)
    assert b'clx_http_requests_total{method="POST",status="201"} 5' in counted


def test_a_connection_by_which_only_known_heads_come_is_kept_while_they_do(quiet: Listening) -> None:
    sent = request(quiet, {"works": [WORK]})
    with connected(quiet) as connection:
        for _ in range(3):
            connection.sendall(sent)
            answer(connection)
        (kept,) = [each for each in quiet.server.server_state.connections if isinstance(each, BoundedProtocol)]
        kept.loop.call_soon_threadsafe(kept.timeout_keep_alive_handler)
        connection.sendall(sent)
        assert answer(connection)[0].split()[1] == b"201"
        kept._used_at = -1e9
        kept.loop.call_soon_threadsafe(kept.timeout_keep_alive_handler)
        assert connection.recv(1) == b""


def test_other_ports_mean_something_else() -> None:
    prompt = Prompt.__new__(Prompt)
    prompt._port = 8004
    assert prompt.serves(("127.0.0.1", 8004))
    assert not prompt.serves(("127.0.0.1", 8000))
    assert not prompt.serves(None)
