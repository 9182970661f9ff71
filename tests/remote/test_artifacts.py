"""Artifacts of another machine: sent and fetched whole, whatever is cut on the way; what is refused is told."""

from __future__ import annotations

import hashlib
import io
import random
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.support.cuts import Link, link
from tests.support.scene import until
from tests.support.serving import Listening

from clx.artifacts import uploads
from clx.artifacts.store import ArtifactStore
from clx.db.jobs import Queue
from clx.errors import AccessError, ArtifactError, ArtifactMissingError, ServerError, UsageError
from clx.remote.artifacts import ArtifactServer

DATA = random.Random(2).randbytes(8 << 20)
DIGEST = hashlib.sha256(DATA).hexdigest()
NOBODY = "0" * 64


@pytest.fixture
def kept(queue: Queue) -> ArtifactStore:
    """What the server keeps them in."""
    return ArtifactStore(queue.database.state.shared / "artifacts")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    return path


def fetched(server: ArtifactServer, digest: str = DIGEST) -> bytes:
    stream = io.BytesIO()
    server.get(digest, stream)
    return stream.getvalue()


@pytest.fixture
def there(served: Listening) -> Iterator[ArtifactServer]:
    found = ArtifactServer(served.url, served.secrets["work"])
    yield found
    found.close()


def test_what_was_sent_can_be_fetched(there: ArtifactServer, kept: ArtifactStore, file: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    nothing = hashlib.sha256(b"").hexdigest()
    assert there.missing([DIGEST, nothing, NOBODY]) == {DIGEST, nothing, NOBODY}
    there.put([(DIGEST, file), (nothing, empty)])
    assert there.missing([DIGEST, nothing, NOBODY]) == {NOBODY}
    assert (fetched(there), fetched(there, nothing)) == (DATA, b"")
    assert kept.get_bytes(DIGEST) == DATA
    there.put([(DIGEST, file)])
    assert there.sent == len(DATA), "what is there is not sent again"


def test_what_is_nowhere_is_told(there: ArtifactServer) -> None:
    with pytest.raises(ArtifactMissingError, match="Artifact 000000000000 is not on http://127"):
        fetched(there, NOBODY)


@pytest.fixture
def linked(served: Listening) -> Iterator[Callable[..., tuple[Link, ArtifactServer]]]:
    """Makes links with cuts to the server, and callers by them."""
    open_: list[Any] = []

    def one(*cuts: tuple[str, int], **more: Any) -> tuple[Link, ArtifactServer]:
        context = link(served.port, *cuts)
        found = context.__enter__()
        caller = ArtifactServer(found.url, served.secrets["work"], **more)
        open_.append((context, caller))
        return found, caller

    one.served = served  # type: ignore[attr-defined]
    yield one
    for context, caller in open_:
        caller.close()
        context.__exit__(None, None, None)


def test_a_transfer_that_is_cut_goes_on_where_it_was(
    linked: Any, kept: ArtifactStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "STILL", 0.0)
    half = len(DATA) // 2
    found, caller = linked(("up", half), ("up", 1 << 20), ("down", half), ("down", 1 << 20))
    caller.put([(DIGEST, file)])
    assert found.passed["up"] < len(DATA) * 1.25 + (1 << 20)
    assert kept.get_bytes(DIGEST) == DATA
    assert fetched(caller) == DATA
    assert found.passed["down"] < len(DATA) * 1.05 + (1 << 20), "what had come is not fetched again"
    assert found.cuts == []


def test_what_somebody_else_is_sending_is_waited_for(linked: Any, kept: ArtifactStore, file: Path) -> None:
    receiving = linked.served.application.artifacts._uploads
    running = receiving.begin(DIGEST, None)
    running.write(DATA[:-1])
    found, caller = linked()
    sending = threading.Thread(target=caller.put, args=([(DIGEST, file)],))
    sending.start()
    until(lambda: found.connections)
    running.write(DATA[-1:])
    assert running.finish()
    receiving.end(running)
    sending.join()
    assert caller.sent == 0


def test_calls_that_only_ask_are_made_again(linked: Any) -> None:
    found, caller = linked(("up", 1), ("down", 1), ("up", 1))
    assert caller.missing([NOBODY]) == {NOBODY}
    assert found.connections >= 4


def test_a_link_that_stays_cut_is_given_up(linked: Any, file: Path) -> None:
    _, caller = linked(*[("up", 1)] * 1000, patience=0.3)
    with pytest.raises(ServerError, match=r"does not give or take artifacts: .*, for 0\.3 s") as raised:
        caller.put([(DIGEST, file)])
    assert "artifacts.patience" in raised.value.next_step
    with pytest.raises(ServerError):
        caller.missing([DIGEST])
    with pytest.raises(ServerError):
        fetched(caller)


def test_nobody_there_is_told(file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ServerError, match="Connection refused"):
        ArtifactServer(f"http://127.0.0.1:{port}", patience=0.1).missing([DIGEST])


def test_who_may_not_is_told_how_to(served: Listening, file: Path) -> None:
    for token in ("", "clx_x", served.secrets["read"]):
        caller = ArtifactServer(served.url, token)
        for call in (
            partial(caller.missing, [DIGEST]),
            partial(caller.put, [(DIGEST, file)]),
            partial(fetched, caller),
        ):
            with pytest.raises(AccessError) as raised:
                call()
            assert "artifacts.token" in raised.value.next_step
            assert token == "" or token not in str(raised.value)


def test_the_token_goes_nowhere_that_others_could_read_it() -> None:
    with pytest.raises(UsageError, match="unencrypted"):
        ArtifactServer("http://192.0.2.1", "clx_x")
    ArtifactServer("http://192.0.2.1", "clx_x", insecure=True)
    ArtifactServer("https://192.0.2.1", "clx_x")
    with pytest.raises(UsageError, match="holds what no token holds"):
        ArtifactServer("https://192.0.2.1", "clx\nx")


def test_a_file_that_changed_is_not_taken(there: ArtifactServer, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"other")
    with pytest.raises(ArtifactError, match="is damaged"):
        there.put([(DIGEST, tmp_path / "other")])


def test_room_is_asked_for_before_large_ones_are_sent(linked: Any, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from clx.server import artifacts

    monkeypatch.setattr(artifacts, "RESERVE", 1 << 60)
    found, caller = linked()
    with pytest.raises(ServerError, match="it has no room"):
        caller.put([(DIGEST, file)])
    assert found.passed["up"] < 4096


class Plain(BaseHTTPRequestHandler):
    """A server of others: it has ``/cas/<sha256>``, verifies nothing and knows no more."""

    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes]
    trouble: list[int]
    cut_at: list[int]

    def _answer(self, status: int, body: bytes = b"") -> None:
        if self.trouble:
            status, body = self.trouble.pop(0), b""
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            if self.cut_at and len(body) > self.cut_at[0]:
                body = body[: self.cut_at.pop(0)]
                self.close_connection = True
            self.wfile.write(body)

    def do_GET(self) -> None:
        found = self.objects.get(self.path)
        self._answer(404 if found is None else 200, found or b"")

    do_HEAD = do_GET  # noqa: N815

    def do_PUT(self) -> None:
        self.objects[self.path] = self.rfile.read(int(self.headers["content-length"]))
        self._answer(204)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer(405)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def plain() -> Iterator[type[Plain]]:
    class Own(Plain):
        objects: dict[str, bytes] = {}  # noqa: RUF012
        trouble: list[int] = []  # noqa: RUF012
        cut_at: list[int] = []  # noqa: RUF012
        url = ""

    with ThreadingHTTPServer(("127.0.0.1", 0), Own) as server:
        Own.url = f"http://127.0.0.1:{server.server_port}/prefix"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Own
        server.shutdown()
        thread.join()


@pytest.fixture
def others(plain: Any) -> Iterator[ArtifactServer]:
    found = ArtifactServer(plain.url, patience=0.5)
    yield found
    found.close()


def test_servers_of_others_will_do(plain: Any, others: ArtifactServer, file: Path) -> None:
    assert others.missing([DIGEST, NOBODY]) == {DIGEST, NOBODY}
    others.put([(DIGEST, file)])
    assert list(plain.objects) == [f"/prefix/cas/{DIGEST}"]
    assert others.missing([DIGEST, NOBODY]) == {NOBODY}
    plain.cut_at += [1000, 2 << 20]
    assert fetched(others) == DATA, "it knows no parts: all of it is fetched again"


def test_what_a_server_sends_is_hashed_here(plain: Any, others: ArtifactServer) -> None:
    plain.objects[f"/prefix/cas/{DIGEST}"] = b"other bytes"
    with pytest.raises(ArtifactError, match="sent other bytes for artifact"):
        fetched(others)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_trouble_that_may_pass_is_waited_for(plain: Any, others: ArtifactServer, file: Path, status: int) -> None:
    plain.trouble += [status, status]
    assert others.missing([DIGEST]) == {DIGEST}
    plain.trouble += [status]
    others.put([(DIGEST, file)])
    plain.trouble += [status]
    assert fetched(others) == DATA


@pytest.mark.parametrize("status", [302, 400, 418, 507])
def test_what_stays_refused_is_told_at_once(plain: Any, others: ArtifactServer, file: Path, status: int) -> None:
    plain.trouble += [status]
    with pytest.raises(ServerError, match="it has no room" if status == 507 else f"it answers {status}"):
        fetched(others)
    plain.trouble += [status]
    with pytest.raises(ServerError, match="it has no room" if status == 507 else f"it answers {status}"):
        others.put([(DIGEST, file)])


def test_an_answer_that_is_none_is_told(plain: Any, others: ArtifactServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        plain,
        "do_POST",
        lambda self: (self.rfile.read(int(self.headers["content-length"])), self._answer(200, b"<html>")),
    )
    with pytest.raises(ServerError, match="not as a server of artifacts"):
        others.missing([DIGEST])
