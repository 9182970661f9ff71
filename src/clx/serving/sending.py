"""Bytes that leave at once.

uvloop keeps what is written until it has seen to everybody who has sent something: in a burst, an answer that is ready
would wait for hundreds of requests to be read.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable


def sender(transport: asyncio.Transport) -> Callable[[bytes], None]:
    """What sends to a transport: at once what the other end takes; what is left waits in the transport."""
    if not type(transport).__module__.startswith("uvloop"):  # asyncio's own send at once
        return transport.write
    number = transport.get_extra_info("socket").fileno()

    def send(data: bytes) -> None:
        sent = 0
        if not transport.is_closing() and not transport.get_write_buffer_size():
            try:
                sent = os.write(number, data)
            except OSError:  # full, or gone: the transport finds that out, too
                sent = 0
        if sent < len(data):
            transport.write(data[sent:])

    return send
