"""What is sent arrives whole and in order, whatever the loop, and however slowly it is taken."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest

from clx.serving.sending import sender

PIECES = [b"first", b"x" * (4 << 20), b"second", b"third"]


async def to_the_other_end() -> tuple[bytes, bytes]:
    """What has arrived before the loop did anything else, and in the end."""
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    with theirs:
        theirs.setblocking(False)
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        send = sender(transport)
        send(PIECES[0])
        at_once = theirs.recv(100)
        for each in PIECES[1:]:
            send(each)
        found = at_once
        while len(found) < sum(map(len, PIECES)):
            found += await loop.sock_recv(theirs, 1 << 20)
        transport.abort()
        send(b"nobody")
        await asyncio.sleep(0)
        return at_once, found


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_what_is_sent_leaves_at_once_and_arrives_in_order(loop: str) -> None:
    run: Callable[[Any], tuple[bytes, bytes]] = asyncio.run
    if loop == "uvloop":
        if sys.platform == "win32":
            pytest.skip("there is no uvloop for Windows")
        import uvloop

        run = uvloop.run
    assert run(to_the_other_end()) == (PIECES[0], b"".join(PIECES))
