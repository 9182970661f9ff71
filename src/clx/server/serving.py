"""Putting a server together, and being it until somebody ends it."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from clx.db.database import Database
from clx.db.jobs import Queue
from clx.db.tokens import TokenTable, find
from clx.errors import EXIT_DONE, StartupError, UsageError
from clx.regular import read_regular
from clx.server.application import Application
from clx.server.mounts import Mount
from clx.server.place import Place, url_of
from clx.server.prompt import Prompt
from clx.server.protocol import BoundedProtocol
from clx.server.views.sections import Section
from clx.server.views.standard import SECTIONS
from clx.server.wire.ports import listeners, told

TOKEN_FILE = "server-token"  # noqa: S105  (a file's name)
FIRST = "first"
"""The name of the token that a first start makes."""
_ENDS_IN = 5
"""Seconds that requests have to end once the server was told to."""


class Server(uvicorn.Server):
    """uvicorn, which ends streams when it ends, and is done then, whichever signal asked for it."""

    def __init__(self, config: uvicorn.Config, stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop = stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End in order: streams would otherwise be waited for."""
        self._stop()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Heed INT and TERM; having done so is a good end."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()


def serve(
    database: Database,
    place: Place,
    say: Callable[[str], None],
    *,
    mounts: Sequence[Mount] = (),
    sections: Sequence[Section] = SECTIONS,
    as_service: bool = False,
    maintains: bool = True,
) -> int:
    """Be a server of *database* until INT or TERM; returns the exit code.

    Args:
        say: told where it is, before it answers.
        mounts: what is served besides.
        sections: what the page consists of.
        maintains: whether works are audited and moved on though nobody asks.
        as_service: whether nobody reads what is said but a log, which is told no token.

    Raises:
        StartupError: the port is taken.
        UsageError: there is no such host, or the certificate cannot be used.
    """
    with bound(place) as listener, _others(listener, place) as others:
        port = listener.getsockname()[1]
        place = replace(place, port=port)
        served = Application(Queue(database), place, mounts=mounts, sections=sections, maintains=maintains)
        server = Server(configured(served, place, served.prompt), served.stop)
        if as_service:
            threading.Thread(target=_end_with_parent, args=[server], daemon=True).start()
        for line in _announced(database, place, as_service=as_service):
            say(line)
        server.run(sockets=[listener, *others])
    return EXIT_DONE


def _others(main: socket.socket, place: Place) -> AbstractContextManager[list[socket.socket]]:
    return listeners(main) if place.workflow_ports else nullcontext([])


def _end_with_parent(server: Server) -> None:
    """Let *server* end when the other end of standard input is closed: by the supervisor, or because that is gone."""
    with contextlib.suppress(OSError, ValueError):
        while os.read(0, 4096):
            pass
    server.should_exit = True


def configured(served: ASGIApp, place: Place, prompt: Prompt | None = None) -> uvicorn.Config:
    """How uvicorn serves *served*: bounded connections, no log of requests, TLS where *place* has a certificate.

    Raises:
        UsageError: the certificate cannot be used.
    """
    # what others send wrongly is told to them; a line for each would let whoever reaches the port fill the disk
    more: dict[str, Any] = {"log_level": "error"}
    if place.certfile is not None:
        more["ssl_certfile"] = str(place.certfile)
        more["ssl_keyfile"] = str(place.keyfile) if place.keyfile else None
    connections = cast("type[BoundedProtocol]", partial(BoundedProtocol, prompt=prompt))
    config = uvicorn.Config(
        served, http=connections, ws="none", lifespan="on", log_config=None, access_log=False, server_header=False,
        proxy_headers=place.behind_proxy, forwarded_allow_ips="*" if place.behind_proxy else None,
        timeout_keep_alive=75, timeout_graceful_shutdown=_ENDS_IN, **more,
    )  # fmt: skip
    try:
        config.load()
    except (ssl.SSLError, OSError) as error:
        raise UsageError(
            f"{place.certfile} with its key cannot be used: {error.strerror or error}.",
            "Both must be PEM files that belong together, and readable: --ssl-certfile FILE --ssl-keyfile FILE",
        ) from error
    return config


@contextlib.contextmanager
def bound(place: Place) -> Iterator[socket.socket]:
    """A socket that listens there."""
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise UsageError(f"There is no address {place.host} here: {error.strerror}.", "Correct --host.") from error
    family, _, _, _, address = found[0]
    try:
        listener = socket.create_server(address, family=family, backlog=2048)
    except OSError as error:
        raise _not_bound(place, error) from error
    with listener:
        listener.setblocking(False)
        yield listener


def _not_bound(place: Place, error: OSError) -> StartupError | UsageError:
    if error.errno == errno.EADDRINUSE:
        return StartupError(
            f"Port {place.port} of {place.host} is taken: another program listens there, perhaps another server.",
            f"Name another one: --port {place.port + 1 if place.port < 65535 else 8004}; 0 takes any that is free.",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return UsageError(f"This machine has no address {place.host}.", "Correct --host.")
    return StartupError(
        f"Nobody can listen at {place.host}, port {place.port}: {error.strerror}.", "Name another port."
    )


def _announced(database: Database, place: Place, *, as_service: bool) -> Iterator[str]:
    """Where it is, and how one gets in."""
    yield f"CLX serves {database.name} at {url_of(place)} (pid {os.getpid()}); Ctrl-C ends it."
    if place.workflow_ports:
        yield told()
    if not place.tokens:
        yield "Whoever is on this machine may do everything: no token is wanted."
        return
    tokens, file = TokenTable(database), database.state.path / TOKEN_FILE
    valid = tokens.valid()
    if not valid and place.is_loopback:
        text = tokens.add(FIRST, "admin")
        _keep(file, text)
        yield f"Its token is in {file}." if as_service else f"The page: {url_of(place)}/?token={text}"
    elif not valid:
        yield "Nobody has a token yet: clx server token add NAME --role R"
    elif _first(file) and find(valid, _first(file)):
        yield f"Its token is in {file}; others: clx server token add NAME --role R"
    else:  # the file was removed, or its token revoked; or a server was killed before it had written one
        yield "No token that it takes is kept here; make one: clx server token add NAME --role R"


def _keep(file: Path, text: str) -> None:
    """Write a token where its owner alone can read it, from the first moment on."""
    temporary = file.with_name(f".{file.name}.{os.urandom(8).hex()}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as stream:
        stream.write(f"{text}\n")
    temporary.replace(file)


def _first(file: Path) -> str:
    try:
        return read_regular(file).decode("ascii", "replace").strip()
    except OSError:
        return ""
