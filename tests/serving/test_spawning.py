"""Processes of workers, begun before the server that will have them."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from clx.cli.serve_start import token_of
from clx.errors import UsageError
from clx.serving.frames import Hello, Reader
from clx.serving.spawning import How, Spawned, end, spawn_all

HEADS = "kind\toutcome\tmodel\trows\ttook_ns\n"


@pytest.fixture
def times(tmp_path: Path) -> Path:
    file = tmp_path / "actions.tsv"
    file.write_text(f"{HEADS}infer\tsuccess\ta\t1\t1000\n", encoding="utf-8")
    return file


def hello(link: socket.socket) -> Hello:
    reader = Reader()
    while True:
        for message, _ in reader.feed(link.recv(4096)):
            assert isinstance(message, Hello)
            return message


def test_simulated_workers_are_one_process_with_a_link_each_that_ends_with_the_links(times: Path) -> None:
    (spawned,) = spawn_all(How(simulated=times), 3)
    assert [hello(each).pid for each in spawned.links] == [spawned.process.pid] * 3
    for each in spawned.links:
        each.close()
    assert spawned.process.wait(20) == 0


def test_workers_that_are_not_needed_after_all_are_ended(times: Path) -> None:
    spawned = [*spawn_all(How(simulated=times), 1), *spawn_all(How(simulated=times), 1)]
    end(spawned)
    assert all(each.process.returncode is not None for each in spawned)
    assert all(link.fileno() == -1 for each in spawned for link in each.links)
    end(spawned)  # also where they have ended by themselves


def test_real_ones_are_a_process_each() -> None:
    spawned = spawn_all(How(), 2)
    try:
        assert len({hello(link).pid for each in spawned for link in each.links}) == 2
    finally:
        end(spawned)
    assert spawn_all(How(), 0) == spawn_all(How(simulated=Path("none")), 0) == list[Spawned]()


def test_a_token_is_needed_where_others_reach_a_worker(tmp_path: Path) -> None:
    assert token_of(None, ["127.0.0.1", "::1"]) == b""
    with pytest.raises(UsageError, match=r"reaches 10\.0\.0\.7"):
        token_of(None, ["127.0.0.1", "10.0.0.7"])
    file = tmp_path / "token"
    file.write_text("short\n", encoding="ascii")
    with pytest.raises(UsageError, match="can be guessed"):
        token_of(file, [])
    file.write_text(" 0123456789abcdef\n", encoding="ascii")
    assert token_of(file, ["10.0.0.7"]) == b"0123456789abcdef"
