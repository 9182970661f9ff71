"""A controller whose worker is a thread of the test, with models of Python; connections without a network."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from clx.serving.catalogue import Catalogue
from clx.serving.controller import Controller
from clx.serving.frames import Spec
from clx.serving.http import Connection, Connections
from clx.serving.messages import Handler
from clx.serving.served import Served
from clx.serving.tensors import DATATYPES, Tensor
from clx.serving.worker.files import Files
from clx.serving.worker.models import ModelError
from clx.serving.worker.process import Worker


@dataclass
class Twin:
    """A model that gives ``y`` what it is given as ``x``: any number of rows of *width* numbers.

    Attributes:
        fails: what it says instead.
        held: whether it waits, until somebody sets :attr:`go`.
    """

    datatype: str = "FP32"
    width: int = 2
    largest: int = 8
    fails: str = ""
    wrong_rows: bool = False
    held: bool = False
    go: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)

    inputs: list[Spec] = field(init=False)
    outputs: list[Spec] = field(init=False)

    def __post_init__(self) -> None:
        self.inputs = [Spec("x", self.datatype, (-1, self.width))]
        self.outputs = [Spec("y", self.datatype, (-1, self.width))]

    def run(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        if self.held:
            self.begun.set()
            self.go.wait(30)
        if self.fails:
            raise ModelError(self.fails)
        (given,) = tensors
        rows = 7 if self.wrong_rows else given.shape[0]
        return [Tensor("y", given.datatype, (rows, self.width), bytes(given.data))]

    def sample(self, rows: int) -> list[Tensor]:
        size = DATATYPES[self.datatype].size
        return [Tensor("x", self.datatype, (rows, self.width), bytes(rows * self.width * size))]


@contextmanager
def thread_of_a_worker() -> Iterator[socket.socket]:
    """The controller's end of a socket at whose other end a worker runs."""
    ours, theirs = socket.socketpair()

    def run() -> None:
        with theirs:
            Worker(theirs, Files()).run()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield ours
    finally:
        with ours:
            ours.close()
        thread.join(30)


async def served_by(controller: Controller, catalogue: Catalogue, ours: socket.socket, *names: str) -> None:
    """Have a worker hold models; their files are looked for by no one."""
    await asyncio.get_running_loop().create_connection(lambda: controller.link(0), sock=ours)
    for name in names:
        await catalogue.put(Served(name, "1", name))


class Transport:
    """A transport that keeps what is written.

    Attributes:
        written: bytes.
        ended: ``eof``, ``close`` or ``abort``; empty: none of them.
        reading: whether it would hand on what comes.
    """

    def __init__(self) -> None:
        self.written = b""
        self.ended = ""
        self.reading = True

    def write(self, data: bytes) -> None:
        self.written += data

    def writelines(self, parts: Iterable[bytes]) -> None:
        self.written += b"".join(parts)

    def close(self) -> None:
        self.ended = self.ended or "close"

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = self.ended or "eof"

    def abort(self) -> None:
        self.ended = "abort"

    def is_closing(self) -> bool:
        return bool(self.ended)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, _name: str, default: Any = None) -> Any:
        return default


def connected(handler: Handler, **options: Any) -> tuple[Connection, Transport]:
    """A connection without a network."""
    connection, transport = Connection(handler, Connections(**options)), Transport()
    connection.connection_made(cast("asyncio.Transport", transport))
    return connection, transport


@dataclass(frozen=True)
class Told:
    """An answer as a client has it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


def answers(written: bytes) -> list[Told]:
    """Bytes that came over a connection, answer by answer."""
    found = []
    while written:
        head, _, written = written.partition(b"\r\n\r\n")
        line, *rest = head.decode("latin-1").split("\r\n")
        headers = dict(each.split(": ", 1) for each in rest)
        size = int(headers.get("content-length", "0"))
        found.append(Told(int(line.split()[1]), headers, written[:size]))
        written = written[size:]
    return found
