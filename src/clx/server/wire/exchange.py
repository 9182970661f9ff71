"""How clients of Workflow are answered: a table of calls, each run in a thread for the table.

An answer that takes something away, a work that is withdrawn, is taken back where nobody can read it any more.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from clx import __version__
from clx.db.jobs import Queue
from clx.db.tokens import Role, may
from clx.db.works.table import Works
from clx.errors import ClxError, QueueError
from clx.server.answers import JSON, Refusal
from clx.server.api.bodies import AT_ONCE, LARGEST_QUESTION, BodyMemory
from clx.server.threads import DatabaseThreads
from clx.server.wire.deposits import Deposits
from clx.server.wire.holder import Holder

log = logging.getLogger("clx.server")

_SLASHES = re.compile(r"^/*(?:(v2)/+)?")
_CORE_HEADER = "x-workflow-core-version"
_TAKEN_BACK_AGAIN = 5
"""Times that it is tried to take an answer back, a second apart."""


class Asked(NamedTuple):
    """What somebody asks.

    Attributes:
        holder: who holds what is withdrawn.
        deposits: those that were answered lately.
        path: what stands in the path.
        query: names and values behind it.
        body: what was sent.
        is_core: whether ``workflow-core`` asks, the newest of the clients.
        caller: the address that it comes from.
        arrived: when it was there, by the clock of *deposits*.
    """

    works: Works
    holder: Holder
    deposits: Deposits
    path: Mapping[str, str]
    query: Sequence[tuple[str, str]]
    body: Any
    is_core: bool
    caller: str
    arrived: float


class Pages(NamedTuple):
    """An answer that is a list which need not fit into memory.

    Attributes:
        next: gives the next part of it; None after the last one. Asks the table.
    """

    next: Callable[[], Sequence[Any] | None]


class Told(NamedTuple):
    """An answer of which it matters whether somebody reads it.

    Attributes:
        undo: takes back what was done, where nobody can read it any more. Asks the table.
        done: called when it was written as a whole.
    """

    answer: Any
    undo: Callable[[], object] | None = None
    done: Callable[[], None] | None = None


class Answer(NamedTuple):
    """An answer with a status of its own; without a body it has none."""

    status: int
    body: Any


class Call(NamedTuple):
    """One call.

    Attributes:
        role: which one it needs.
        run: does it, and returns the answer.
        writes: whether it changes the table.
        has_body: whether it takes one.
    """

    method: str
    path: str
    role: Role
    run: Callable[[Asked], Any]
    writes: bool = False
    has_body: bool = False


def version(_asked: Any) -> dict[str, str]:
    """Which version this is."""
    return {"version": __version__}


class Exchange:
    """Some calls as an ASGI application.

    Args:
        queue: the jobs.
        threads: what asks the table.
        memory: what bodies have.
        calls: what there is, beside ``/version``.
        holder: who holds what is withdrawn here.
    """

    def __init__(
        self, queue: Queue, threads: DatabaseThreads, memory: BodyMemory, calls: Sequence[Call], holder: Holder
    ) -> None:
        self._works, self.threads, self.memory, self._holder = queue.works, threads, memory, holder
        self.deposits = Deposits()
        places: dict[str, list[Call]] = {}
        for each in calls:
            places.setdefault(each.path, []).append(each)
        self._router = Router(
            [
                *(Route(path, self._look, methods=["GET"]) for path in ("/version", "/v2/version", "/")),
                *(Route(path, _Place(self, there)) for path, there in places.items()),
            ],
            redirect_slashes=False,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; a base URL with a slash at its end makes two of them."""
        root, path = scope.get("root_path", ""), scope["path"]
        below = path.removeprefix(root)
        if not below or "//" in below[: len("//v2//")]:
            scope = {**scope, "path": root + _SLASHES.sub(lambda found: f"/{found[1]}/" if found[1] else "/", below)}
        await self._router(scope, receive, send)

    def asked(self, request: Request, query: Sequence[tuple[str, str]], body: Any, arrived: float) -> Asked:
        """What a request asks."""
        is_core = _CORE_HEADER in request.headers
        return Asked(
            self._works, self._holder, self.deposits, request.path_params, query, body, is_core, _caller(request),
            arrived,
        )  # fmt: skip

    async def _look(self, request: Request) -> Response:
        """Whether there is a server: clients ask this before all else, and the table is not asked."""
        self.deposits.note_looked(_caller(request))
        return JSON(version(None))


def _caller(request: Request) -> str:
    return request.client.host if request.client is not None else ""


class _Place:
    """What is at one path: a call for each method."""

    def __init__(self, exchange: Exchange, calls: Sequence[Call]) -> None:
        self._exchange = exchange
        self._calls = {each.method: each for each in calls}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = self._calls.get(scope["method"])
        if call is None:
            allowed = ", ".join(sorted(self._calls))
            raise Refusal(405, "This address does not take that method.", f"It takes {allowed}.", allow=allowed)
        request = Request(scope, receive, send)
        if not may(request.user.role, call.role):
            raise Refusal(403, f"The role {request.user.role} may not do this.", f"It needs the role {call.role}.")
        query = _query(request.scope["query_string"])
        with self._exchange.memory.room() as room:
            largest = LARGEST_QUESTION if call.role == "read" else None
            body = await room.read(request, largest) if call.has_body else b""
            read = _decode(body) if call.has_body and len(body) <= AT_ONCE else None
            answer = _Answer(self._exchange, call, lambda: read if read is not None else _decode(body), request, query)
            await answer.give(scope, receive, send)


class _Answer:
    """One call, from what is asked to its answer."""

    def __init__(
        self,
        exchange: Exchange,
        call: Call,
        body: Callable[[], Any],
        request: Request,
        query: Sequence[tuple[str, str]],
    ) -> None:
        self._exchange, self._call, self._body = exchange, call, body
        self._request, self._query = request, query
        self._lock = threading.Lock()
        self._arrived = exchange.deposits.now()
        self._told: Told | None = None
        self._is_void = False
        self._status = 200

    async def give(self, scope: Scope, receive: Receive, send: Send) -> None:
        threads = self._exchange.threads
        try:
            found = await (threads.write if self._call.writes else threads.read)(self._run)
        except BaseException:
            await self._void()
            raise
        if self._told is not None:
            await self._hand_over(found, send)
        elif isinstance(found, Pages):
            await StreamingResponse(self._parts(found), media_type="application/json")(scope, receive, send)
        else:
            await Response(found, self._status, media_type="application/json")(scope, receive, send)

    def _run(self) -> Any:
        """Do it; its answer as JSON, or its pages."""
        body = self._body() if self._call.has_body else None
        asked = self._exchange.asked(self._request, self._query, body, self._arrived)
        try:
            answer = self._call.run(asked)
        except QueueError as error:
            raise Refusal(400, error.fact, error.next_step) from error
        if isinstance(answer, Pages):
            return answer
        if isinstance(answer, Told):
            with self._lock:
                if self._is_void and answer.undo is not None:
                    answer.undo()
                self._told = answer
            answer = answer.answer
        if isinstance(answer, Answer):
            self._status = answer.status
            if answer.body is None:
                return b""
            answer = answer.body
        return msgspec.json.encode(answer, enc_hook=str)

    async def _void(self) -> None:
        """What was done, or is yet, is taken back."""
        with self._lock:
            self._is_void = True
            undo = None if self._told is None else self._told.undo
        if undo is None:
            return
        for attempt in range(_TAKEN_BACK_AGAIN):
            try:
                await asyncio.shield(self._exchange.threads.write(undo))
            except (Refusal, ClxError) as error:
                log.warning("a work cannot be handed back: %s", error, extra={"action": "work_kept"})
                await asyncio.sleep(min(1, attempt))
            else:
                log.info("a work was handed back: nobody was there to take it", extra={"action": "work_handed_back"})
                return

    async def _hand_over(self, body: bytes, send: Send) -> None:
        """Send an answer but for its last byte, and that once it is sure that somebody is there yet."""
        head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        try:
            if not await self._is_gone():
                await send({"type": "http.response.start", "status": 200, "headers": head})
                await send({"type": "http.response.body", "body": body[:-1], "more_body": True})
                # uvicorn waits for a slow reader before it sends what comes next
                await send({"type": "http.response.body", "body": b"", "more_body": True})
                if not await self._is_gone():
                    await send({"type": "http.response.body", "body": body[-1:], "more_body": False})
                    if self._told is not None and self._told.done is not None:
                        self._told.done()
                    return
        except BaseException:
            await self._void()
            raise
        await self._void()

    async def _is_gone(self) -> bool:
        return await self._request.is_disconnected()

    async def _parts(self, pages: Pages) -> AsyncIterator[bytes]:
        """A list as JSON, part by part."""
        begun = False
        while (page := await self._exchange.threads.read(lambda: _encoded(pages.next()))) is not None:
            if page:
                yield (b"," if begun else b"[") + page
                begun = True
        yield b"]" if begun else b"[]"


def _encoded(page: Sequence[Any] | None) -> bytes | None:
    return None if page is None else msgspec.json.encode(page, enc_hook=str)[1:-1]


def _query(text: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text.decode("ascii"), keep_blank_values=True, strict_parsing=bool(text), errors="strict")
    except ValueError:
        raise Refusal(400, "The query of the address cannot be read.", "Write name=value&name=value.") from None


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Refusal(400, f"The body is no JSON: {error}.", "Send what the client sends.") from None
