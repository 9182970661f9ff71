"""A withdrawal whose answer nobody can read is none: the work waits again, and the attempt does not count."""

from __future__ import annotations

import contextlib
import json
import socket
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.cuts import Link
from tests.support.scene import until
from tests.support.serving import Listening, listening
from tests.support.sqlite import file_of

from clx import Queue
from clx.db.works.searching import Search
from clx.server.wire.dialects import dialect_of

AT = "/workflow/buckets"


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with Queue.open(tmp_path / "jobs.db") as opened:
        yield opened


@pytest.fixture
def server(queue: Queue) -> Iterator[Listening]:
    with listening(queue, maintains=False) as found:  # whose looks would have the one thread that writes
        told(ask(found, "/work/withdraw", {"pipeline": "none"}))  # the use of its token is noted
        yield found


def ask(server: Listening, path: str, body: object, port: int = 0) -> socket.socket:
    """A call that nobody waits for yet."""
    text = json.dumps(body).encode()
    head = f"POST {AT}{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
    head += f"x-access-token: {server.secrets['work']}\r\n"
    caller = socket.create_connection(("127.0.0.1", port or server.port), timeout=60)
    caller.sendall(f"{head}content-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n".encode() + text)
    return caller


def told(caller: socket.socket) -> bytes:
    """All that is answered until the connection ends."""
    found = b""
    with caller:
        while part := caller.recv(65536):
            found += part
    return found


@contextlib.contextmanager
def locked(queue: Queue) -> Iterator[None]:
    """Nobody else can write meanwhile."""
    connection = sqlite3.connect(file_of(queue).path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    yield
    connection.execute("ROLLBACK")
    connection.close()


def state(queue: Queue) -> tuple[str, int]:
    (found,) = queue.works.find(Search()).works
    return found.document["status"], found.document["attempt"]


def test_who_has_hung_up_before_the_answer_gets_none(
    queue: Queue, server: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_asked = threading.Event()

    def dialect(**said: Any) -> Any:
        is_asked.set()
        return dialect_of(**said)

    monkeypatch.setattr("clx.server.wire.buckets.dialect_of", dialect)
    queue.works.deposit([{"pipeline": "p"}])
    with locked(queue):
        caller = ask(server, "/work/withdraw", {"pipeline": "p"})
        assert is_asked.wait(60)
        caller.close()
    until(lambda: _runs(queue) == ["released"])
    assert state(queue) == ("queued", 0)
    answer = told(ask(server, "/work/withdraw", {"pipeline": "p"}))
    assert b'"attempt":1' in answer
    assert state(queue) == ("running", 1)


def _runs(queue: Queue) -> list[str]:
    (found,) = queue.works.find(Search()).works
    return [each["outcome"] for each in queue.works.runs(found.document["id"])]


def test_an_answer_that_is_read_is_given_once(queue: Queue, server: Listening) -> None:
    queue.works.deposit([{"pipeline": "p", "parameters": {"large": "x" * 3_000_000}}])
    with ask(server, "/work/withdraw", {"pipeline": "p"}) as caller:
        size = 0
        while size < 3_000_000:
            size += len(caller.recv(65536))
    assert state(queue) == ("running", 1)
    assert _runs(queue) == []


def test_who_hangs_up_within_a_long_answer_has_not_got_it(queue: Queue, server: Listening) -> None:
    queue.works.deposit([{"pipeline": "p", "parameters": {"large": "x" * 30_000_000}}])
    with ask(server, "/work/withdraw", {"pipeline": "p"}) as caller:
        assert caller.recv(4096)
    until(lambda: _runs(queue) == ["released"])
    assert state(queue) == ("queued", 0)


def test_a_deposit_whose_answer_is_cut_off_may_be_sent_again(queue: Queue, server: Listening) -> None:
    link = Link(server.port, [("down", 20)])
    try:
        port = int(link.url.rpartition(":")[2])
        sent = [{"pipeline": "p", "creation": 1_796_000_000.25, "parameters": {"a": 1}}]
        for _ in range(3):
            told(ask(server, "/work", sent, port))
    finally:
        link.close()
    assert queue.works.count(Search()) == 1
