"""A controller and a worker of another machine meet, or do not; files of models are found. Without processes."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from pathlib import Path

import pytest

from clx.serving import handshake
from clx.serving.frames import VERSION, Load
from clx.serving.handshake import Met, Unmet, keep_alive, receive, seek
from clx.serving.remote import PIECE, Address, digest_of, piece_of, reach
from clx.serving.worker.files import Files
from clx.serving.worker.listening import Listener
from clx.serving.worker.models import ModelError

SECOND = 1_000_000_000


async def meet(ours: bytes, theirs: bytes, busy: str = "") -> list[object]:
    """What comes of it for the controller, and for the worker."""
    one, two = socket.socketpair()
    with one, two:
        for each in (one, two):
            each.setblocking(False)
        return list(await asyncio.gather(seek(one, ours), receive(two, theirs, busy), return_exceptions=True))


def texts(*ends: object) -> list[str]:
    assert all(isinstance(each, Unmet) for each in ends)
    return [str(each) for each in ends]


def test_those_who_know_the_same_token_meet_and_the_distance_of_their_clocks_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter([3600 * SECOND, 0])  # the worker's, then the controller's
    monkeypatch.setattr(handshake, "time_ns", lambda: next(clock))
    met, nothing = asyncio.run(meet(b"token", b"token"))
    assert nothing is None
    assert isinstance(met, Met)
    assert abs(met.ahead - 3600 * SECOND) == met.within


def test_another_token_is_told_at_both_ends() -> None:
    assert texts(*asyncio.run(meet(b"token", b"other"))) == [
        "the worker knows another token",
        "it does not know the token",
    ]


def test_a_worker_that_is_taken_says_so_to_who_knows_the_token_alone() -> None:
    assert texts(*asyncio.run(meet(b"token", b"token", "taken"))) == ["taken", "taken"]
    assert "taken" not in texts(*asyncio.run(meet(b"other", b"token", "taken")))


def test_another_version_is_told_at_both_ends() -> None:
    async def greet() -> list[object]:
        one, two = socket.socketpair()
        with one, two:
            for each in (one, two):
                each.setblocking(False)
            await handshake._send(two, handshake.Greeting(99, "9.0", bytes(32)))
            (ours,) = await asyncio.gather(seek(one, b"token"), return_exceptions=True)
            return [ours, await handshake._receive(two)]

    ours, theirs = asyncio.run(greet())
    assert "it is of CLX 9.0 (frames 99)" in str(ours)
    assert isinstance(theirs, handshake.Denied)
    assert "the controller is of another version" in theirs.text


def test_a_controller_of_another_version_is_told_so() -> None:
    async def ask() -> list[object]:
        one, two = socket.socketpair()
        with one, two:
            for each in (one, two):
                each.setblocking(False)
            task = asyncio.create_task(receive(two, b"token"))
            await handshake._receive(one)
            await handshake._send(one, handshake.Proof(99, "9.0", bytes(32), bytes(32)))
            denied = await handshake._receive(one)
            return [denied, *await asyncio.gather(task, return_exceptions=True)]

    denied, theirs = asyncio.run(ask())
    assert isinstance(denied, handshake.Denied)
    assert "the worker is of another version" in denied.text
    assert "it is of CLX 9.0 (frames 99)" in str(theirs)


@pytest.mark.parametrize("said", [b"\xff\xff\xff\xff", b"\x04\0\0\0GET ", b"GET / HTTP/1.1"])
def test_what_speaks_otherwise_is_no_worker(said: bytes) -> None:
    async def hear() -> None:
        one, two = socket.socketpair()
        with one, two:
            one.setblocking(False)
            two.sendall(said)
            await seek(one, b"token")

    with pytest.raises(Unmet, match="does not speak as CLX does"):
        asyncio.run(hear())


def test_the_token_is_never_sent() -> None:
    async def listen_in() -> bytes:
        one, two = socket.socketpair()
        with one, two:
            for each in (one, two):
                each.setblocking(False)
            loop = asyncio.get_running_loop()
            task = loop.create_task(seek(one, b"a secret"))
            await handshake._send(two, handshake.Greeting(VERSION, "1", bytes(32)))
            said = await loop.sock_recv(two, 4096)
            two.close()
            with pytest.raises(OSError, match="gone"):
                await task
            return said

    assert b"a secret" not in asyncio.run(listen_in())


def test_a_stranger_is_turned_away_by_who_waits_for_controllers(tmp_path: Path) -> None:
    async def come() -> list[str]:
        told: list[str] = []
        listener = Listener(b"token", tmp_path, None, 1, told.append)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.setblocking(False)
            task = asyncio.create_task(listener._accept(listening))
            seen: list[str] = []
            port = listening.getsockname()[1]
            seeking = asyncio.create_task(reach(Address("127.0.0.1", port), b"other", seen.append))
            while not (told and seen):
                await asyncio.sleep(0)
            for each in (task, seeking):
                each.cancel()
            await asyncio.gather(task, seeking, *listener._tasks, return_exceptions=True)
        return [*told[:1], *seen]

    theirs, ours = asyncio.run(come())
    assert theirs == "127.0.0.1 is not taken: it does not know the token."
    assert "cannot be reached: the worker knows another token. Trying on." in ours


def test_a_link_to_a_machine_that_vanished_ends_by_itself() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()) as link:
        keep_alive(link)
        assert link.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert link.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_file_comes_in_pieces_and_is_what_its_digest_says(tmp_path: Path) -> None:
    there = tmp_path / "there.onnx"
    there.write_bytes(bytes(range(256)) * (PIECE // 100))
    digest, size = digest_of(str(there))
    assert (digest, size) == (hashlib.sha256(there.read_bytes()).hexdigest(), there.stat().st_size)
    asked_from: list[int] = []

    def fetch(at: int) -> bytes:
        asked_from.append(at)
        return piece_of(str(there), at)

    files = Files(None, tmp_path / "kept")
    load = Load("m", "", digest=digest, size=size)
    found = Path(files.find(load, fetch))
    assert found.read_bytes() == there.read_bytes()
    assert asked_from == [0, PIECE, 2 * PIECE]
    assert files.find(load, fetch) == str(found)
    assert len(asked_from) == 3  # it is there
    found.write_bytes(b"damaged")
    assert Path(files.find(load, fetch)).read_bytes() == there.read_bytes()


@pytest.mark.parametrize(
    ("load", "text"),
    [
        (Load("m", "", digest="0" * 64, size=4), "its digest is another"),
        (Load("m", "", digest="../../etc/passwd", size=4), "is no digest"),
        (Load("m", "m.onnx"), "it has no directory of models"),
    ],
)
def test_what_a_worker_cannot_have_it_says(tmp_path: Path, load: Load, text: str) -> None:
    with pytest.raises(ModelError, match=text):
        Files(None, tmp_path / "kept").find(load, lambda _at: b"abcd")
    assert not list((tmp_path / "kept").glob("*"))


def test_a_file_that_is_gone_at_the_controller_is_none(tmp_path: Path) -> None:
    assert piece_of(str(tmp_path / "none"), 0) == b""
    with pytest.raises(ModelError, match="cannot be read where the controller is"):
        Files(None, tmp_path).find(Load("m", "", digest="0" * 64, size=4), lambda _at: b"")
