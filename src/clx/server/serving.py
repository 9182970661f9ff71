"""Putting a server together, and being it until somebody ends it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from clx import __version__
from clx.artifacts.store import ArtifactStore
from clx.db.database import Database
from clx.db.jobs import Queue
from clx.db.tokens import TokenTable, find
from clx.errors import EXIT_DONE, ClxError, StartupError, UsageError
from clx.regular import read_regular
from clx.server.access import LOOPBACK_NAMES, Access, TokenBook
from clx.server.answers import Refusal, log, send_bytes
from clx.server.api.interface import OPERATIONS
from clx.server.api.operations import Operation
from clx.server.api.routes import Api
from clx.server.application import Application
from clx.server.artifacts import Artifacts
from clx.server.events import Events
from clx.server.metrics import Metrics, Requests
from clx.server.mounts import Mount, Receive, Scope, Send
from clx.server.page import Pages
from clx.server.protocol import BoundedProtocol
from clx.server.sweeping import Sweep
from clx.server.threads import DatabaseThreads

TOKEN_FILE = "server-token"  # noqa: S105  (a file's name)
FIRST = "first"
"""The name of the token that a first start makes."""
SWEEP = 1.0
"""Seconds between two looks for schedules that are due."""
_ENDS_IN = 5
"""Seconds that requests have to end once the server was told to."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server listens, and who may be there.

    Attributes:
        port: 0 for any that is free.
        tokens: whether a caller must have one.
        behind_proxy: whether a proxy before it speaks TLS, and tells who calls.
        certfile, keyfile: the server's own certificate and its key.
    """

    host: str = "127.0.0.1"
    port: int = 8004
    tokens: bool = True
    behind_proxy: bool = False
    certfile: Path | None = None
    keyfile: Path | None = None

    def __post_init__(self) -> None:
        if not self.tokens and (not self.is_loopback or self.behind_proxy):
            raise UsageError(
                "Without tokens only this machine may be answered: --no-token goes with --host 127.0.0.1 alone.",
                "Leave out --no-token, and make tokens: clx server token add NAME --role R",
            )
        if not (self.is_loopback or self.certfile or self.behind_proxy):
            raise UsageError(
                f"At {self.host} everybody on the way could read tokens and jobs.",
                "Give --ssl-certfile and --ssl-keyfile, or --behind-proxy where a proxy before it speaks TLS.",
            )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def application(
    queue: Queue,
    place: Place,
    *,
    operations: Sequence[Operation] = OPERATIONS,
    mounts: Sequence[Mount] = (),
    patience: float = 8.0,
) -> Application:
    """A server of *queue* as an ASGI application.

    Args:
        operations: those of ``/api/v1``.
        mounts: what is served besides, before the page, which takes what is left.
        patience: seconds that a call waits for the table.
    """
    writers = 4 if queue.database.sql.locking else 1  # a file takes one writer at a time, a server waits for its disk
    threads, requests = DatabaseThreads(queue.database, patience=patience, writers=writers), Requests()
    events = Events(queue, threads)
    api = Api(queue, threads, operations, {"/events": events})
    store = ArtifactStore(queue.database.state.shared / "artifacts")
    inner = [
        *mounts,
        Mount("/cas", Artifacts(store), role="work", largest=None),
        Mount("/api/v1", api, role="read"),
        Mount("/metrics", Metrics(queue, threads, requests), role="read", largest=0),
        Mount("/version", _version, role="read", largest=0),
    ]
    page = Mount("", Pages(queue.database.name, inner), role="read", largest=4096)
    book = TokenBook(TokenTable(queue.database), threads) if place.tokens else None
    hosts = LOOPBACK_NAMES | {place.host.lower()} if place.is_loopback and not place.behind_proxy else None
    access = Access(book, hosts=hosts, behind_proxy=place.behind_proxy, cookie=f"clx-{place.port}")

    sweeping: list[asyncio.Task[None]] = []

    async def begins() -> None:
        sweeping.append(asyncio.create_task(_fire_schedules(queue, threads)))

    async def ends() -> None:
        for task in sweeping:
            task.cancel()
        events.end()
        threads.close()

    return Application(access, [*inner, page], requests, begins=begins, stops=events.end, ends=ends)


async def _fire_schedules(queue: Queue, threads: DatabaseThreads) -> None:
    """Fire what is due and give on what the dead held, as everybody who works on the table does: reads, a second."""
    sweep = Sweep(queue)
    while True:
        try:
            await threads.write(sweep.look)
        except (Refusal, ClxError) as error:
            log.warning("schedules wait: %s", error, extra={"action": "schedules_wait"})
        except Exception:  # one that nobody foresaw is no reason to fire none any more
            log.exception("schedules wait", extra={"action": "schedules_wait"})
        await asyncio.sleep(SWEEP)


async def _version(scope: Scope, _receive: Receive, send: Send) -> None:
    """Which CLX this is, whatever the table does."""
    body = msgspec.json.encode({"version": __version__})
    await send_bytes(send, 200, body if scope["method"] == "GET" else b"")


class Server(uvicorn.Server):
    """uvicorn, which ends streams when it ends, and is done then, whichever signal asked for it."""

    def __init__(self, config: uvicorn.Config, served: Application) -> None:
        super().__init__(config)
        self._served = served

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End in order: streams would otherwise be waited for."""
        self._served.stop()
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
    as_service: bool = False,
) -> int:
    """Be a server of *database* until INT or TERM; returns the exit code.

    Args:
        say: told where it is, before it answers.
        mounts: what is served besides.
        as_service: whether nobody reads what is said but a log, which is told no token.

    Raises:
        StartupError: the port is taken.
        UsageError: there is no such host, or the certificate cannot be used.
    """
    with bound(place) as listener:
        port = listener.getsockname()[1]
        place = Place(place.host, port, place.tokens, place.behind_proxy, place.certfile, place.keyfile)
        served = application(Queue(database), place, mounts=mounts)
        server = Server(configured(served, place), served)
        if as_service:
            threading.Thread(target=_end_with_parent, args=[server], daemon=True).start()
        for line in _announced(database, place, as_service=as_service):
            say(line)
        server.run(sockets=[listener])
    return EXIT_DONE


def _end_with_parent(server: Server) -> None:
    """Let *server* end when the other end of standard input is closed: by the supervisor, or because that is gone."""
    with contextlib.suppress(OSError, ValueError):
        while os.read(0, 4096):
            pass
    server.should_exit = True


def configured(served: Application, place: Place) -> uvicorn.Config:
    # what others send wrongly is told to them; a line for each would let whoever reaches the port fill the disk
    more: dict[str, Any] = {"log_level": "error"}
    if place.certfile is not None:
        more["ssl_certfile"] = str(place.certfile)
        more["ssl_keyfile"] = str(place.keyfile) if place.keyfile else None
    config = uvicorn.Config(
        served, http=BoundedProtocol, ws="none", lifespan="on", log_config=None, access_log=False, server_header=False,
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


def url_of(place: Place) -> str:
    """Where the server is called, as far as this machine can say."""
    host = f"[{place.host}]" if ":" in place.host else place.host
    return f"{'https' if place.certfile else 'http'}://{host}:{place.port}"


def _announced(database: Database, place: Place, *, as_service: bool) -> Iterator[str]:
    """Where it is, and how one gets in."""
    yield f"CLX serves {database.name} at {url_of(place)} (pid {os.getpid()}); Ctrl-C ends it."
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
