"""Workers of other machines, as the controller sees them: sought until they are there, and again when lost."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from clx.serving.handshake import Met, Unmet, keep_alive, seek

PIECE = 256 << 10
"""Bytes of a file that are sent at once: what is served meanwhile waits no longer than for one."""
RESTS = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds before the next try to reach a worker."""


class Address(NamedTuple):
    """Where a worker waits."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


async def reach(address: Address, token: bytes, tell: Callable[[str], None]) -> tuple[socket.socket, Met]:
    """Try until the worker at an address is there; what stands in the way is told once.

    Args:
        address: where it waits.
        token: what both know.
        tell: is given a line about what is wrong.
    """
    tries, told = 0, ""
    while True:
        try:
            return await _reach(address, token)
        except (Unmet, OSError, TimeoutError) as error:
            text = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or "it says nothing"
        if text != told:
            tell(f"Worker {address} cannot be reached: {text}. Trying on.")
            told = text
        await asyncio.sleep(RESTS[min(tries, len(RESTS) - 1)])
        tries += 1


async def _reach(address: Address, token: bytes) -> tuple[socket.socket, Met]:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(5):
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    family, kind, protocol, _, where = found[0]
    with contextlib.ExitStack() as stack:
        link = stack.enter_context(socket.socket(family, kind, protocol))
        link.setblocking(False)
        async with asyncio.timeout(5):
            await loop.sock_connect(link, where)
        keep_alive(link)
        met = await seek(link, token)
        stack.pop_all()
        return link, met


def digest_of(path: str) -> tuple[str, int]:
    """SHA-256 and size of a file.

    Raises:
        OSError: it cannot be read.
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()


def piece_of(path: str, at: int) -> bytes:
    """Bytes of a file from *at* on; none if it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            file.seek(at)
            return file.read(PIECE)
    except OSError:
        return b""
