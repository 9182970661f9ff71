"""What a controller and a worker say to each other: frames with a length, a head, and tensors behind it.

A frame is two little-endian numbers of four bytes (bytes of the head, bytes of everything behind it), the head as
MessagePack, and the bytes of the tensors. Nothing in a frame is ever unpickled or imported.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import msgspec

from clx.serving.tensors import Tensor

LARGEST_FRAME = 1 << 30
VERSION = 1
"""Of what is said; both ends have to be of the same."""
_lengths = struct.Struct("<II")


class Spec(msgspec.Struct, array_like=True, frozen=True):
    """A tensor of a frame, or an input or output of a model; a dimension of -1 is free."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    size: int = 0


class Load(msgspec.Struct, tag="load", array_like=True):
    """To a worker: hold a model.

    Attributes:
        model: its name.
        path: a file; of a worker of this machine any, of another one below its own directory. Empty: by its digest.
        largest: rows of its largest batch; 0: as it says.
        digest: SHA-256 of the file; what the worker does not have, it asks for by :class:`Wanted`.
        size: bytes of that file.
    """

    model: str
    path: str
    largest: int = 0
    options: dict[str, str] = {}
    digest: str = ""
    size: int = 0


class Piece(msgspec.Struct, tag="piece", array_like=True):
    """To a worker: bytes of a file that it wanted, from *at* on, behind the head; none: they cannot be had."""

    model: str
    at: int


class Unload(msgspec.Struct, tag="unload", array_like=True):
    """To a worker: hold a model no longer."""

    model: str


class Warm(msgspec.Struct, tag="warm", array_like=True):
    """To a worker: run a model with a sample of *size* rows, at most so often, and not much longer than a moment."""

    model: str
    size: int
    times: int


class Infer(msgspec.Struct, tag="infer", array_like=True):
    """To a worker: run a batch."""

    batch: int
    model: str
    inputs: list[Spec]


class Wanted(msgspec.Struct, tag="wanted", array_like=True):
    """From a worker that loads a model by its digest: a piece of its file is missing, from *at* on."""

    model: str
    at: int


class Hello(msgspec.Struct, tag="hello", array_like=True):
    """From a worker, first of all."""

    version: int
    pid: int
    runtime: str


class Loaded(msgspec.Struct, tag="loaded", array_like=True):
    """From a worker: it holds a model; *grown*: bytes that its memory has grown by."""

    model: str
    inputs: list[Spec]
    outputs: list[Spec]
    largest: int
    grown: int


class LoadFailed(msgspec.Struct, tag="load failed", array_like=True):
    """From a worker: it cannot hold a model."""

    model: str
    text: str


class Measured(msgspec.Struct, tag="measured", array_like=True):
    """From a worker: how many nanoseconds runs with a sample took, one at least; none: it is not held any more."""

    model: str
    size: int
    runs: list[int]


class Done(msgspec.Struct, tag="done", array_like=True):
    """From a worker: a batch has run."""

    batch: int
    took: int
    outputs: list[Spec]


class Failed(msgspec.Struct, tag="failed", array_like=True):
    """From a worker: a batch could not be run."""

    batch: int
    text: str


Message = Load | Piece | Unload | Warm | Infer | Wanted | Hello | Loaded | LoadFailed | Measured | Done | Failed
_encoder = msgspec.msgpack.Encoder()
_decode = msgspec.msgpack.Decoder(Message).decode


class FrameError(Exception):
    """The other end says what is no frame."""


def specs(tensors: Sequence[Tensor]) -> list[Spec]:
    """What a frame's head says of tensors."""
    return [Spec(each.name, each.datatype, each.shape, len(each.data)) for each in tensors]


def frame(message: Message, parts: Sequence[bytes | memoryview] = ()) -> list[bytes | memoryview]:
    """The bytes of a frame, in pieces."""
    head = _encoder.encode(message)
    return [_lengths.pack(len(head), sum(map(len, parts))), head, *parts]


def tensors(said: Sequence[Spec], rest: memoryview) -> list[Tensor]:
    """The tensors behind a frame's head.

    Raises:
        FrameError: they are not as long as it says.
    """
    found, at = [], 0
    for each in said:
        found.append(Tensor(each.name, each.datatype, each.shape, rest[at : at + each.size]))
        at += each.size
    if at != len(rest):
        raise FrameError(f"{len(rest)} bytes behind a head that speaks of {at}")
    return found


class Reader:
    """Bytes as they come to frames."""

    __slots__ = ("_have", "_wanted")

    def __init__(self) -> None:
        self._have = bytearray()
        self._wanted = 0  # bytes of the frame that it has begun; 0: that is not known yet

    def feed(self, data: bytes | memoryview) -> Iterator[tuple[Message, memoryview]]:
        """The frames that are whole now; what is behind their heads may be a part of *data*, and lives as long.

        Raises:
            FrameError: what came is none.
        """
        whole: bytes | bytearray | memoryview = data
        if self._have:
            self._have += data
            if len(self._have) < self._wanted:
                return
            whole, self._have = self._have, bytearray()
        view, at, end = memoryview(whole), 0, len(whole)
        while end - at >= _lengths.size:
            head, rest = _lengths.unpack_from(view, at)
            if head + rest > LARGEST_FRAME:
                raise FrameError("a frame that is too large")
            self._wanted = _lengths.size + head + rest
            if end - at < self._wanted:
                break
            begin = at + _lengths.size
            at += self._wanted
            try:
                message = _decode(view[begin : begin + head])
            except msgspec.MsgspecError as error:
                raise FrameError(f"a head that is none: {error}") from None
            yield message, view[begin + head : at]
        else:
            self._wanted = 0
        if at < end:
            self._have = bytearray(view[at:])
