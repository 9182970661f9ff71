"""The server as one ASGI application: what is served where, by whom it is asked, and every refusal."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence

from starlette import routing
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clx import __version__
from clx.artifacts.store import ArtifactStore
from clx.db.jobs import Queue
from clx.db.tokens import TokenTable
from clx.errors import ClxError
from clx.server.access import LOOPBACK_NAMES, Access, TokenBook
from clx.server.answers import JSON, SECURITY, Refusal, answer_to, log
from clx.server.api.interface import OPERATIONS
from clx.server.api.operations import Operation
from clx.server.api.routes import Api
from clx.server.artifacts import Artifacts
from clx.server.guard import BodyGuard, RoleGuard
from clx.server.mounts import Mount
from clx.server.place import Place
from clx.server.prompt import Prompt
from clx.server.sweeping import Sweep
from clx.server.threads import DatabaseThreads
from clx.server.views.events import Events
from clx.server.views.live import Live
from clx.server.views.metrics import Metrics, Requests
from clx.server.views.page import Pages
from clx.server.views.rendering import Renderer
from clx.server.views.sections import Parts, Section
from clx.server.views.standard import SECTIONS
from clx.server.wire import buckets, pipelines, ports, results
from clx.server.wire.exchange import Exchange
from clx.server.wire.holder import Holder

SWEEP = 1.0
"""Seconds between two looks for schedules that are due."""


class Application(Starlette):
    """A server of *queue* as an ASGI application.

    Args:
        operations: those of ``/api/v1``.
        mounts: what is served besides.
        sections: what the page consists of.
        patience: seconds that a call waits for the table.
        maintains: whether works are audited and moved on though nobody asks (``work.maintenance``).

    Attributes:
        prompt: what answers some calls before they come to it.
    """

    def __init__(
        self,
        queue: Queue,
        place: Place,
        *,
        operations: Sequence[Operation] = OPERATIONS,
        mounts: Sequence[Mount] = (),
        sections: Sequence[Section] = SECTIONS,
        patience: float = 8.0,
        maintains: bool = True,
    ) -> None:
        self._maintains = maintains
        writers = (
            4 if queue.database.sql.locking else 1
        )  # a file takes one writer at a time, a server waits for its disk
        self._queue = queue
        self._threads = DatabaseThreads(queue.database, patience=patience, writers=writers)
        self._events = Events(queue, self._threads)
        requests = Requests()
        self.api = Api(queue, self._threads, operations, self._events)
        access = _access(queue, place, self._threads)
        api = Mount("/api/v1", self.api.router, role="read")
        self.prompt = Prompt(access, [(api, self.api.short)], requests, place.port)
        self.artifacts = Artifacts(ArtifactStore(queue.database.state.shared / "artifacts"))
        mounted = [
            *mounts,
            *self._wire(queue),
            Mount("/cas", self.artifacts, role="work", largest=None),
            api,
        ]
        looks = [Middleware(RoleGuard, role="read")]
        self.renderer = Renderer(queue, sections)
        self._live = Live(queue, self._threads, self.renderer)
        pages = Pages(queue.database.name, mounted, self.renderer, self._threads)
        super().__init__(
            routes=[
                Route("/healthz", _healthy),
                *(_mounted(each) for each in mounted),
                Route("/metrics", Metrics(queue, self._threads, requests).answer, middleware=looks),
                Route("/version", _version, middleware=looks),
                Route("/live", self._live, methods=["GET"], middleware=looks),
                *pages.routes(Parts(queue, self._threads)),
            ],
            middleware=[
                *([Middleware(ports.Ports, main=place.port)] if place.workflow_ports else []),
                Middleware(Frame, requests=requests),
                Middleware(ExceptionMiddleware, handlers={Exception: pages.refuse}),
                Middleware(AuthenticationMiddleware, backend=access),
            ],
            exception_handlers={HTTPException: _refuse},
            lifespan=_live,
        )
        self.router.redirect_slashes = False

    def _wire(self, queue: Queue) -> list[Mount]:
        """What clients of Workflow call; each call says which role it needs."""
        holder = Holder(queue)
        served = ((ports.BUCKETS, buckets.CALLS), (ports.RESULTS, results.CALLS), (ports.PIPELINES, pipelines.CALLS))
        return [
            Mount(path, Exchange(queue, self._threads, self.api.memory, calls, holder), role="read")
            for path, calls in served
        ]

    def stop(self) -> None:
        """End what has no end by itself: the server was told to end."""
        self._events.end()
        self._live.end()

    async def fire_schedules(self) -> None:
        """Fire what is due, as every consumer and worker of the table does: a read a second."""
        sweep = Sweep(self._queue, maintains=self._maintains)
        while True:
            try:
                await self._threads.write(sweep.look)
            except (Refusal, ClxError) as error:
                log.warning("schedules wait: %s", error, extra={"action": "schedules_wait"})
            except Exception:  # one that nobody foresaw is no reason to fire none any more
                log.exception("schedules wait", extra={"action": "schedules_wait"})
            await asyncio.sleep(SWEEP)

    def close(self) -> None:
        """Take no more calls of the table."""
        self.stop()
        self._threads.close()


@contextlib.asynccontextmanager
async def _live(app: Application) -> AsyncIterator[None]:
    """The life of the server."""
    tasks = [asyncio.create_task(app.fire_schedules()), asyncio.create_task(asyncio.to_thread(app.renderer.prepare))]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        app.close()


def _access(queue: Queue, place: Place, threads: DatabaseThreads) -> Access:
    book = TokenBook(TokenTable(queue.database), threads) if place.tokens else None
    hosts = LOOPBACK_NAMES | {place.host.lower()} if place.is_loopback and not place.behind_proxy else None
    if hosts is not None and place.workflow_ports:
        hosts |= ports.ALSO_CALLED
    return Access(book, hosts=hosts, behind_proxy=place.behind_proxy, cookie=f"clx-{place.port}")


def _mounted(mount: Mount) -> routing.Mount:
    guards = [
        Middleware(RoleGuard, role=mount.role, roles=mount.roles),
        Middleware(BodyGuard, largest=mount.largest),
    ]
    return routing.Mount(mount.path, mount.app, middleware=guards)


async def _refuse(_request: Request, error: Exception) -> Response:
    return answer_to(error)


async def _healthy(_request: Request) -> Response:
    return JSON({"status": "ok"})


async def _version(_request: Request) -> Response:
    """Which CLX this is, whatever the table does."""
    return JSON({"version": __version__})


class Frame:
    """ASGI middleware around all else: counts requests, and gives every answer the headers of :data:`SECURITY`."""

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, begun = 0, time.perf_counter()

        async def framed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", ()))
                there = {name for name, _ in headers}
                message["headers"] = headers + [each for each in SECURITY if each[0] not in there]
            await send(message)

        try:
            await self._app(scope, receive, framed)
        except Exception as error:  # it is cut off: nothing else could say that it is not whole
            log.warning("an answer was cut off: %r", error.__cause__ or error, extra={"action": "answer_cut"})
            raise
        finally:
            self._requests.note(scope["method"], status, time.perf_counter() - begun)
