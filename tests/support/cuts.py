"""A link between a caller and a server that is cut: a TCP proxy that ends connections after so many bytes."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator


class Link:
    """Passes bytes on to a port of this machine.

    Attributes:
        url: where callers reach the server by it.
        cuts: what is left to be cut: ``(direction, bytes)`` of the next connections, ``up`` or ``down``; a connection
            on which that many bytes did not go keeps its cut for the next one.
        passed: bytes that went up and down.
        connections: how many there were.
    """

    def __init__(self, port: int, cuts: list[tuple[str, int]]) -> None:
        self.cuts = cuts
        self.passed = {"up": 0, "down": 0}
        self.connections = 0
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="link")
        self._thread.start()

    def close(self) -> None:
        self._wake.send(b"x")
        self._thread.join()
        for each in (self._listener, self._wake, self._woken):
            each.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector, contextlib.ExitStack() as open_:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._woken:
                        return
                    if key.fileobj is self._listener:
                        self._connect(selector, open_)
                    elif key.fileobj in selector.get_map():
                        self._pass(selector, key)

    def _connect(self, selector: selectors.BaseSelector, open_: contextlib.ExitStack) -> None:
        self.connections += 1
        caller = open_.enter_context(self._listener.accept()[0])
        server = open_.enter_context(socket.create_connection(("127.0.0.1", self._port)))
        selector.register(caller, selectors.EVENT_READ, ("up", server, [0]))
        selector.register(server, selectors.EVENT_READ, ("down", caller, [0]))

    def _pass(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        direction, to, gone = key.data
        origin = key.fileobj
        assert isinstance(origin, socket.socket)
        with contextlib.suppress(OSError):
            if data := origin.recv(1 << 16):
                is_cut = bool(self.cuts) and self.cuts[0][0] == direction
                left = max(0, self.cuts[0][1] - gone[0]) if is_cut else len(data) + 1
                data = data[:left]  # not a byte more: an answer may come as a whole
                to.sendall(data)
                gone[0] += len(data)
                self.passed[direction] += len(data)
                if len(data) < left:
                    return
                self.cuts.pop(0)
        for each in (origin, to):
            selector.unregister(each)
            each.close()


@contextlib.contextmanager
def link(port: int, *cuts: tuple[str, int]) -> Iterator[Link]:
    """A link to *port* with these cuts."""
    made = Link(port, list(cuts))
    try:
        yield made
    finally:
        made.close()
