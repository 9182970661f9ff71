"""Large JSON is read and written by a process beside the controller, which has requests of others to answer meanwhile.

A thread would not do: whoever reads JSON has the interpreter for himself until all of it is read. The process begins
with the first large body; it knows nothing of models, and what it is asked depends on nothing before.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from clx.serving.failures import Refusal
from clx.serving.frames import Spec, specs
from clx.serving.protocol import Inference, Wanted, answer, inference
from clx.serving.tensors import Tensor

LARGE = 128 << 10
"""Bytes of JSON from which on it is read here; below, some milliseconds at most are saved by asking nobody."""
MOST_WAITING = 32 << 20
"""Bytes of bodies that may wait to be read, some seconds' worth: who asks for an answer in time is not kept longer."""
MANY = 1 << 14
"""Elements of outputs from which on they are written as JSON here."""
_HEAD = 12
"""Bytes before a message: those of its head, four, and those of what is behind it, eight."""


class Reading(msgspec.Struct, tag="reading", array_like=True):
    """Read a request, which is behind the head."""

    header: int | None


class Writing(msgspec.Struct, tag="writing", array_like=True):
    """Write an answer, whose tensors are behind the head."""

    model: str
    version: str
    id: str
    binary: bool
    wanted: list[tuple[str, bool]]
    outputs: list[Spec]


class Read(msgspec.Struct, tag="read", array_like=True):
    """A request; its tensors are behind the head."""

    inputs: list[Spec]
    wanted: list[tuple[str, bool]]
    id: str
    binary: bool
    timeout: int
    priority: int


class Written(msgspec.Struct, tag="written", array_like=True):
    """The body of an answer is behind the head; *size*: bytes of its JSON, where tensors follow."""

    size: int | None


class Refused(msgspec.Struct, tag="refused", array_like=True):
    """It cannot be done; as :class:`Refusal`."""

    code: str
    text: str


_Message = Reading | Writing | Read | Written | Refused
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Message).decode


# -- the process ------------------------------------------------------------------------------------------


def done(asked: Reading | Writing, rest: memoryview) -> tuple[_Message, Sequence[bytes | memoryview]]:
    """What a message is answered with, and what is behind that."""
    try:
        if isinstance(asked, Reading):
            found = inference(bytes(rest), asked.header)
            wanted = [(each.name, each.binary) for each in found.outputs]
            said = Read(specs(found.inputs), wanted, found.id, found.binary, found.timeout, found.priority)
            return said, [each.data for each in found.inputs]
        request = Inference([], [Wanted(*each) for each in asked.wanted], asked.id, asked.binary)
        size, parts = answer(request, asked.model, asked.version, _tensors(asked.outputs, rest))
    except Refusal as refusal:
        return Refused(refusal.code, refusal.text), []
    return Written(size), parts


def _tensors(said: Sequence[Spec], rest: memoryview) -> list[Tensor]:
    found, at = [], 0
    for each in said:
        found.append(Tensor(each.name, each.datatype, each.shape, rest[at : at + each.size]))
        at += each.size
    return found


def serve(link: socket.socket) -> None:
    """Answer messages until the other end is gone."""
    with link, contextlib.suppress(ConnectionError, EOFError), link.makefile("rb") as stream:
        while True:
            head = _exactly(stream, _HEAD)
            message = _decode(_exactly(stream, int.from_bytes(head[:4], "little")))
            rest = memoryview(_exactly(stream, int.from_bytes(head[4:], "little")))
            assert isinstance(message, Reading | Writing)
            for each in _message(*done(message, rest)):
                link.sendall(each)


def _exactly(stream: Any, size: int) -> bytes:
    found: bytes = stream.read(size)
    if len(found) < size:
        raise EOFError
    return found


def _message(head: _Message, parts: Sequence[bytes | memoryview]) -> list[bytes | memoryview]:
    said = _encode(head)
    return [len(said).to_bytes(4, "little") + sum(map(len, parts)).to_bytes(8, "little") + said, *parts]


# -- the controller ---------------------------------------------------------------------------------------


class Aside:
    """The process, as the controller has it: begun when it is needed, and again if it has ended."""

    def __init__(self) -> None:
        self._one = asyncio.Lock()
        self._waiting = 0  # bytes of bodies that wait to be read
        self._process: subprocess.Popen[bytes] | None = None
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def read(self, body: bytes, header: int | None) -> Inference:
        """The request that a body is; see :func:`clx.serving.protocol.inference`.

        Raises:
            Refusal: names what is wrong.
        """
        if self._waiting and self._waiting + len(body) > MOST_WAITING:
            raise Refusal(
                "busy", "too many large requests are being read: send tensors as binary data", retry_after_s=1
            )
        self._waiting += len(body)
        try:
            said, rest = await self._ask(Reading(header), [body])
        finally:
            self._waiting -= len(body)
        assert isinstance(said, Read)
        wanted = [Wanted(*each) for each in said.wanted]
        return Inference(_tensors(said.inputs, rest), wanted, said.id, said.binary, said.timeout, said.priority)

    async def write(
        self, asked: Inference, model: str, version: str, outputs: Sequence[Tensor]
    ) -> tuple[int | None, list[Any]]:
        """What goes out; see :func:`clx.serving.protocol.answer`.

        Raises:
            Refusal: an output was asked for that there is not.
        """
        wanted = [(each.name, each.binary) for each in asked.outputs]
        message = Writing(model, version, asked.id, asked.binary, wanted, specs(outputs))
        said, rest = await self._ask(message, [each.data for each in outputs])
        assert isinstance(said, Written)
        return said.size, [rest]

    async def _ask(self, message: _Message, parts: Sequence[bytes | memoryview]) -> tuple[_Message, memoryview]:
        async with self._one:
            whole = False
            try:
                reader, writer = self._streams or await self._start()
                writer.writelines(_message(message, parts))
                await writer.drain()
                head = await reader.readexactly(_HEAD)
                said = _decode(await reader.readexactly(int.from_bytes(head[:4], "little")))
                rest = memoryview(await reader.readexactly(int.from_bytes(head[4:], "little")))
                whole = True
            except (OSError, EOFError):
                raise Refusal(
                    "busy", "what reads large requests has ended; it is begun anew", retry_after_s=1
                ) from None
            finally:
                if not whole:  # whatever is still to come is of nobody
                    self.end()
        if isinstance(said, Refused):
            raise Refusal(said.code, said.text)
        return said, rest

    async def _start(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", "-m", "clx.serving.reading", str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        self._streams = await asyncio.open_connection(sock=ours)
        return self._streams

    def end(self) -> None:
        """End the process, if there is one."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def is_large(body: bytes, header: int | None) -> bool:
    """Whether a request has so much JSON that it is read by another process."""
    return (len(body) if header is None else header) > LARGE


def is_much(asked: Inference, outputs: Sequence[Tensor]) -> bool:
    """Whether an answer has so many elements as JSON that it is written by another process."""
    if sum([len(each.data) for each in outputs]) <= MANY * 4 or (not asked.outputs and asked.binary):
        return False
    binary = {each.name for each in asked.outputs if each.binary}
    return sum(len(each.data) for each in outputs if each.name not in binary) > MANY * 4
