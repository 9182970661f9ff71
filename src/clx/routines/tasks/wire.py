"""Messages over a socket: their length, then MessagePack."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from typing import Any

import msgspec

_CHUNK = 1 << 16  # more is mapped anew for each message
_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder().decode


class Wire:
    """One end of a connection within this machine; messages are lists.

    Args:
        end: its socket, which blocks.
        takes_descriptors: whether what comes may bring some.

    Attributes:
        descriptors: those that have come.
    """

    def __init__(self, end: socket.socket, *, takes_descriptors: bool = False) -> None:
        self._socket = end
        self.descriptors: list[int] | None = [] if takes_descriptors else None
        self._buffer = bytearray()
        self._lock = threading.Lock()

    def fileno(self) -> int:
        """What becomes readable."""
        return self._socket.fileno()

    def send(self, *message: Any, descriptors: Sequence[int] = ()) -> None:
        """Send one message, and with it *descriptors*; any thread may.

        Raises:
            OSError: the other end is gone.
        """
        told = _encode(message)
        told = len(told).to_bytes(4, "little") + told
        with self._lock:
            if descriptors:
                told = told[socket.send_fds(self._socket, [told], descriptors) :]
            self._socket.sendall(told)

    def receive(self) -> list[Any] | None:
        """The next message, waited for; None when the other end is gone."""
        while (found := self.next()) is None:
            if not self.fill():
                return None
        return found

    def fill(self, *, wait: bool = True) -> bool:
        """Take what has come; false when the other end is gone.

        Args:
            wait: until something has come; else it is true also where nothing has.
        """
        try:
            if not wait:
                chunk = self._socket.recv(_CHUNK, socket.MSG_DONTWAIT)
            elif self.descriptors is None:
                chunk = self._socket.recv(_CHUNK)
            else:
                chunk, found, _, _ = socket.recv_fds(self._socket, _CHUNK, 8)
                self.descriptors += found
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        self._buffer += chunk
        return bool(chunk)

    def next(self) -> list[Any] | None:
        """The next message that has come whole."""
        size = int.from_bytes(self._buffer[:4], "little")
        if len(self._buffer) < 4 or len(self._buffer) < 4 + size:
            return None
        found: list[Any] = _decode(memoryview(self._buffer)[4 : 4 + size])
        del self._buffer[: 4 + size]
        return found

    def close(self) -> None:
        """Be gone to the other end."""
        self._socket.close()
