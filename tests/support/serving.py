"""A server that listens on a socket, in a thread of this process."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from clx.db.jobs import Queue
from clx.db.tokens import TokenTable
from clx.server.application import Application
from clx.server.place import Place, url_of
from clx.server.serving import Server, bound, configured


class Listening:
    """A server, and a token of each role.

    Attributes:
        url: where it is.
        application: what answers.
    """

    def __init__(self, queue: Queue, place: Place, server: Server, application: Application) -> None:
        self.application = application
        self.url = url_of(place)
        self.port = place.port
        self.server = server
        tokens = TokenTable(queue.database)
        self.secrets = {role: tokens.add(f"a {role}", role) for role in ("read", "work", "admin")}


@contextlib.contextmanager
def listening(queue: Queue, *, host: str = "127.0.0.1", **options: Any) -> Iterator[Listening]:
    """Serve *queue* at a port of its own as long as it lasts; at another *host* as if a proxy stood before it."""
    place = Place(host, 0, behind_proxy=host != "127.0.0.1")
    with bound(place) as listener:
        place = replace(place, port=listener.getsockname()[1])
        served = Application(queue, place, **options)
        server = Server(configured(served, place, served.prompt), served.stop)
        thread = threading.Thread(target=server.run, args=([listener],), name="server")
        thread.start()
        try:
            yield Listening(queue, place, server, served)
        finally:
            server.should_exit = True
            thread.join()
