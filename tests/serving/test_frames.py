"""Frames between controller and worker: whole, in pieces, and what is none."""

from __future__ import annotations

import struct

import pytest

from clx.serving.frames import Done, FrameError, Infer, Reader, Spec, frame, specs, tensors
from clx.serving.tensors import Tensor

TENSORS = [Tensor("a", "INT8", (2,), b"\1\2"), Tensor("b", "FP32", (0,), b""), Tensor("c", "BYTES", (), b"\0\0\0\0")]


def test_a_frame_is_read_as_it_was_written_however_it_comes() -> None:
    sent = b"".join(frame(Infer(7, "m", specs(TENSORS)), [each.data for each in TENSORS])) * 2
    for step in (1, 5, len(sent)):
        reader, found = Reader(), []
        for at in range(0, len(sent), step):
            found += list(reader.feed(sent[at : at + step]))
        assert len(found) == 2
        for message, rest in found:
            assert isinstance(message, Infer)
            assert tensors(message.inputs, rest) == TENSORS


@pytest.mark.parametrize(
    "sent",
    [
        struct.pack("<II", 1 << 31, 0),
        struct.pack("<II", 4, 0) + b"\xff\xff\xff\xff",
        struct.pack("<II", 1, 0) + b"\x01",
        struct.pack("<II", 9, 0) + b"\x92\xa5other\x01\x02",
    ],
)
def test_what_is_no_frame_is_told(sent: bytes) -> None:
    with pytest.raises(FrameError):
        list(Reader().feed(sent))


@pytest.mark.parametrize("rest", [b"123", b"12345"])
def test_tensors_that_are_not_as_long_as_the_head_says_are_told(rest: bytes) -> None:
    said = Done(1, 1, [Spec("y", "FP32", (1,), 4)])
    with pytest.raises(FrameError):
        tensors(said.outputs, memoryview(rest))
