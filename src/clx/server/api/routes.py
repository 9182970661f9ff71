"""``/api/v1``: takes a request apart, runs its operation in a thread for the table, and puts the answer together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from clx.db.jobs import Queue
from clx.db.tokens import may
from clx.server.answers import JSON, Refusal, encode
from clx.server.api.bodies import AT_ONCE, LARGEST_QUESTION, BodyMemory
from clx.server.api.documents import MOST
from clx.server.api.openapi import document
from clx.server.api.operations import FEW, Call, Operation
from clx.server.api.takers import Takers
from clx.server.api.waiters import BoundedWaiters
from clx.server.paths import ID
from clx.server.threads import DatabaseThreads

_HOW = "See /api/v1/openapi.json for what is."


class Api:
    """The interface.

    Args:
        queue: the jobs.
        threads: what asks the table.
        operations: what there is.
        events: the stream of ``/events``, which is no call and answer.

    Attributes:
        router: it as an ASGI application.
        takers: who waits for a work.
        memory: what the bodies of calls have.
        short: method and path → what may be done in the step of the event loop that has read it.
    """

    def __init__(
        self, queue: Queue, threads: DatabaseThreads, operations: Sequence[Operation], events: ASGIApp
    ) -> None:
        self._queue = queue
        self._threads = threads
        self._operations = operations
        self._waiters = BoundedWaiters(queue, threads)
        self.takers = Takers(queue, threads)
        self.memory = BodyMemory()
        places: dict[str, list[Operation]] = {}
        for each in operations:
            places.setdefault(each.path, []).append(each)
        made = {path: [Endpoint(self, each) for each in there] for path, there in places.items()}
        self.short = {
            (each.operation.method, path): each for path, there in made.items() for each in there if each.is_short
        }
        self.router = _Paths(
            {path: _Place(there) for path, there in made.items() if "{id}" not in path},
            Router(
                [
                    Route("/events", events, methods=["GET"]),
                    Route("/openapi.json", self._openapi),
                    *(
                        Route(path.replace("{id}", f"{{id:{ID}}}"), _Place(there))
                        for path, there in made.items()
                        if "{id}" in path
                    ),
                ],
                redirect_slashes=False,
            ),
        )

    async def _openapi(self, _request: Request) -> Response:
        return Response(self._document, media_type=JSON.media_type)

    @cached_property
    def _document(self) -> bytes:
        return msgspec.json.encode(document(self._operations))

    async def run(
        self, operation: Operation, id_: int, query: Any, body: bytes, read: Callable[[], Any], request: Request
    ) -> Response:
        """Do it; reading a large body and writing the answer are left to the thread too."""
        call = Call(self._queue, id_, query, read()) if len(body) <= AT_ONCE else None
        if operation.attended is not None:
            call = call or Call(self._queue, id_, query, read())
            taken = await self.takers.take(partial(operation.run, call), operation.attended(call), request)
            return JSON(taken, operation.status)
        if operation.wait is not None:
            call = call or Call(self._queue, id_, query, read())
            seconds, ids = operation.wait(call)
            await self._waiters.wait(seconds, await self._threads.read(ids) if callable(ids) else ids)

        def run() -> Response:
            return JSON(operation.run(call or Call(self._queue, id_, query, read())), operation.status)

        if not operation.writes:
            return await self._threads.read(run)
        return await self._threads.write(run, is_short=operation.is_short and len(body) <= FEW)

    def run_here(self, operation: Operation, body: Any) -> tuple[Any] | None:
        """Do it in this thread; None, and nothing was done, where that takes more than moments."""
        call = Call(self._queue, body=body)
        if operation.attended is None:
            return self._threads.write_here(partial(operation.run, call))
        asked = operation.attended(call)
        if not asked.is_short:
            return None
        done = self._threads.write_here(partial(operation.run, call))
        return None if done is None or (asked.seconds > 0 and asked.is_in_vain(done[0])) else done


class Endpoint:
    """One operation, and what decodes its body.

    Attributes:
        is_short: whether :meth:`answer_here` may have an answer.
    """

    def __init__(self, api: Api, operation: Operation) -> None:
        self._api = api
        self.operation = operation
        self._decoder = msgspec.json.Decoder(operation.body) if operation.body else None
        self.is_short = "{id}" not in operation.path and operation.query is None and self._decoder is not None
        self.is_short &= operation.is_short or operation.attended is not None

    def answer_here(self, role: str, body: bytes) -> bytes | None:
        """The answer to a body of at most :data:`FEW` bytes, as JSON, where it can be had in moments.

        None, and nothing was done: :meth:`answer` has it, or tells why there is none.

        Args:
            role: its caller's.

        Raises:
            ClxError: what *operation* raises.
        """
        assert self._decoder is not None
        if not may(role, self.operation.role):
            return None
        try:
            asked = self._decoder.decode(body)
        except (ValueError, RecursionError):
            return None
        done = self._api.run_here(self.operation, asked)
        return None if done is None else encode(done[0])

    async def answer(self, request: Request) -> Response:
        """One request."""
        operation, role, id_ = self.operation, request.user.role, request.path_params.get("id", 1)
        if not may(role, operation.role):
            needed = f"It needs the role {operation.role}."
            raise Refusal(403, f"The role {role} may not do this: {operation.name}.", needed)
        if not 1 <= id_ <= MOST:
            raise Refusal(404, "There is nothing at this address.", "Ids begin with 1.")
        query = _query(operation, request.scope["query_string"])
        largest = LARGEST_QUESTION if operation.role == "read" else None
        with self._api.memory.room() as room:
            body = await room.read(request, largest) if self._decoder is not None else b""
            return await self._api.run(operation, id_, query, body, lambda: self._decoded(body), request)

    def _decoded(self, body: bytes) -> Any:
        if self._decoder is None:
            return None
        try:
            return self._decoder.decode(body)
        except msgspec.ValidationError as error:
            raise Refusal(422, f"The body is not possible: {error}.", _HOW) from None
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise Refusal(400, f"The body is no JSON: {error}.", _HOW) from None


class _Paths:
    """What is at paths that are plain texts, which are looked up, and all others, whose patterns are tried in turn."""

    def __init__(self, plain: Mapping[str, ASGIApp], others: ASGIApp) -> None:
        self._plain = plain
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = (
            self._plain.get(scope["path"].removeprefix(scope.get("root_path", ""))) if scope["type"] == "http" else None
        )
        await (app or self._others)(scope, receive, send)


class _Place:
    """What is at one path: an operation for each method."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._endpoints = {each.operation.method: each for each in endpoints}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get(scope["method"])
        if endpoint is None:
            allowed = ", ".join(sorted(self._endpoints))
            raise Refusal(405, "This address does not take that method.", f"It takes {allowed}.", allow=allowed)
        answer = await endpoint.answer(Request(scope, receive, send))
        await answer(scope, receive, send)


def _query(operation: Operation, text: bytes) -> Any:
    """The query parameters; one that may be given several times becomes a list."""
    try:
        pairs = parse_qsl(text.decode("ascii"), keep_blank_values=True, strict_parsing=bool(text), errors="strict")
    except ValueError:
        raise Refusal(400, "The query of the address cannot be read.", "Write name=value&name=value.") from None
    if operation.query is None:
        if pairs:
            raise Refusal(422, f"There is no parameter {pairs[0][0]}: this takes none.", "Leave it out.")
        return None
    lists = {field.name for field in msgspec.structs.fields(operation.query) if isinstance(field.default_factory, type)}
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in lists:
            found.setdefault(name, []).append(value)
        elif name in found:
            raise Refusal(422, f"The parameter {name} is given twice.", "Give it once.")
        else:
            found[name] = value
    try:
        asked = msgspec.convert(found, operation.query, strict=False)
    except msgspec.ValidationError as error:
        raise Refusal(422, f"The query of the address is not possible: {error}.", _HOW) from None
    for name, value in found.items():
        if getattr(asked, name) is None:  # the word null, where a number is wanted
            raise Refusal(422, f"The parameter {name} cannot be {value}.", "Leave it out.")
    return asked
