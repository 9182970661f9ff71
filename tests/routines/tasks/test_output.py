"""What is kept of a run's output, and the messages between a worker and its child."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from clx.artifacts.store import ArtifactStore
from clx.routines.tasks.output import HALF, SHORT, Output, Stream
from clx.routines.tasks.wire import Wire
from clx.workers.run_logs import live_log, named, naming


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def test_nothing_said_is_nothing_kept(tmp_path: Path, store: ArtifactStore) -> None:
    assert Output().keep(store) is None


def test_a_short_output_is_kept_as_it_is_but_for_what_no_table_takes(tmp_path: Path, store: ArtifactStore) -> None:
    said = Output()
    said.add("ü\n".encode() + b"\0\xff")
    assert said.keep(store) == "ü\n��"
    assert not store.root.exists()


def test_a_long_one_is_an_artifact_that_the_row_names(tmp_path: Path, store: ArtifactStore) -> None:
    said = Output()
    said.add(b"x" * SHORT + b"end")
    told = said.keep(store)
    assert told is not None
    digest = named(told)
    assert digest is not None
    assert store.get_bytes(digest) == b"x" * SHORT + b"end"
    assert told.endswith("xend")
    assert naming(digest, SHORT + 3, told.partition("\n")[2]) == told
    assert named("x" + told) is None


@pytest.mark.parametrize("chunk", [1000, HALF, 3 * HALF])
@pytest.mark.parametrize("size", [0, 1, HALF - 1, 2 * HALF - 1, 2 * HALF, 2 * HALF + 1, 7 * HALF + 3])
def test_beginning_and_end_stay_whatever_the_size(tmp_path: Path, chunk: int, size: int) -> None:
    data = os.urandom(size)
    said = Output()
    for start in range(0, size, chunk):
        said.add(data[start : start + chunk])
    if size <= 2 * HALF:
        assert said.data() == data
    else:
        between = f"\n... {size - 2 * HALF} bytes were left out here ...\n".encode()
        assert said.data() == data[:HALF] + between + data[-HALF:]
    assert len(said._tail) <= 2 * HALF


def test_it_can_be_followed_once_it_lasts_and_its_file_goes_in_the_end(tmp_path: Path, store: ArtifactStore) -> None:
    said, file = Output(), live_log(tmp_path, 7, 2)
    said.add(b"first\n")
    said.show(file)
    said.show(file)
    assert file.read_bytes() == b"first\n"
    said.add(b"second\n")
    said.show(file)
    assert file.read_bytes() == b"first\nsecond\n"
    said.add(b"x" * 3 * HALF)
    for _ in range(3):
        said.show(file)
    assert len(file.read_bytes()) < HALF + 100
    said.keep(store)
    assert not file.exists()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_a_stream_is_cut_where_a_run_has_ended_wherever_a_read_ends(size: int) -> None:
    stream = Stream(b"\0mark\n")
    whole = b"one\0mark\n\0mark\nthr\0ma\0mark\nfour\0"
    for start in range(0, len(whole), size):
        stream.add(whole[start : start + size])
    ended = [each.data() for each in iter(stream.take, None)]
    assert ended == [b"one", b"", b"thr\0ma"]
    assert stream.output.data() == b"four"
    stream.add(b"more")
    assert stream.output.data() == b"four\0more"


def test_messages_come_whole_and_in_order_however_they_are_cut() -> None:
    here, there = map(Wire, socket.socketpair())
    big = os.urandom(3_000_000)

    def send() -> None:
        for number in range(3):
            here.send("a", number, big)

    sending = threading.Thread(target=send)
    sending.start()
    assert [there.receive() for _ in range(3)] == [["a", number, big] for number in range(3)]
    sending.join()
    here.close()
    assert there.receive() is None
    there.close()


def test_descriptors_come_with_their_message() -> None:
    mine, its = socket.socketpair()
    here, there = Wire(mine), Wire(its, takes_descriptors=True)
    reading, writing = os.pipe()
    here.send("before")
    here.send("with", descriptors=[writing])
    here.send("after")
    assert [there.receive() for _ in range(3)] == [["before"], ["with"], ["after"]]
    assert there.descriptors is not None
    (found,) = there.descriptors
    os.write(found, b"x")
    assert os.read(reading, 1) == b"x"
    for each in (reading, writing, found):
        os.close(each)
    here.close()
    there.close()
