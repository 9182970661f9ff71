"""``/api/v1``: takes a request apart, runs its operation in a thread for the table, and puts the answer together."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from clx.db.jobs import Queue
from clx.db.tokens import may
from clx.server.answers import Refusal, send_bytes
from clx.server.api.documents import MOST
from clx.server.api.openapi import document
from clx.server.api.operations import Call, Operation
from clx.server.api.waiters import Waiters
from clx.server.mounts import App, Receive, Scope, Send
from clx.server.threads import DatabaseThreads

_NUMBER = re.compile(r"[0-9]{1,19}")
_encode = msgspec.json.Encoder(enc_hook=str).encode
"""What is no JSON in a row, another program's, is shown as the text that it is."""
_AT_ONCE = 64 * 1024
"""Bytes of a body that the thread of the event loop reads by itself; larger ones would hold up others."""


_LARGEST_QUESTION = 4 * 1024 * 1024
"""Bytes of the body of a call that only looks; read, names and numbers take twenty times as much."""
_MOST_HELD = 128 * 1024 * 1024
"""Bytes of large bodies that may be here at a time."""


class _Place(NamedTuple):
    """What is at one path: operations by method, each with what decodes its body."""

    operations: dict[str, tuple[Operation, msgspec.json.Decoder[Any] | None]]


class Api:
    """The interface as an ASGI application.

    Args:
        queue: the jobs.
        threads: what asks the table.
        operations: what there is.
        streams: path → an application besides, for what is no call and answer (``/events``), with its summary.
    """

    def __init__(
        self,
        queue: Queue,
        threads: DatabaseThreads,
        operations: Sequence[Operation],
        streams: dict[str, App] | None = None,
    ) -> None:
        self._queue = queue
        self._threads = threads
        self.operations = operations
        self._streams = streams or {}
        self._waiters = Waiters(queue, threads)
        self._room = _Room()
        self._places: dict[str, _Place] = {}
        for each in operations:
            place = self._places.setdefault(each.path, _Place({}))
            place.operations[each.method] = (each, msgspec.json.Decoder(each.body) if each.body else None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        path = scope["path"][len(scope["root_path"]) :]
        method = scope["method"]
        if path in self._streams and method == "GET":
            await self._streams[path](scope, receive, send)
            return
        if path == "/openapi.json" and method in ("GET", "HEAD"):
            await send_bytes(send, 200, self._document if method == "GET" else b"")
            return
        operation, decoder, id_ = self._find(path, method)
        caller = scope["state"]["caller"]
        if not may(caller.role, operation.role):
            raise Refusal(
                403, f"The role {caller.role} may not do this: {operation.name}.", f"It needs {operation.role}."
            )
        query = _query(operation, scope["query_string"])
        largest = _LARGEST_QUESTION if operation.role == "read" else None
        with self._room.for_body(largest) as place:
            body = await _read(receive, place) if decoder is not None else b""
            answer = await self._run(operation, decoder, id_, query, body)
        await send_bytes(send, operation.status, answer)

    @cached_property
    def _document(self) -> bytes:
        return msgspec.json.encode(document(self.operations))

    def _find(self, path: str, method: str) -> tuple[Operation, msgspec.json.Decoder[Any] | None, int]:
        """The operation for a request, and the number in its path."""
        place, id_ = self._places.get(path), 0
        if place is None or method not in place.operations:
            shape, number = _shape_of(path)
            other = self._places.get(shape) if number else None
            if other is not None and (place is None or method in other.operations):
                place, id_ = other, number
        if place is None or (path in self._streams and method != "GET"):
            if path in self._streams or path == "/openapi.json":
                raise Refusal(405, "This address does not take that method.", "Type GET.", allow="GET")
            raise Refusal(404, "There is nothing at this address.", "See /api/v1/openapi.json for what there is.")
        if method not in place.operations:
            allowed = ", ".join(sorted(place.operations))
            raise Refusal(405, "This address does not take that method.", f"It takes {allowed}.", allow=allowed)
        return (*place.operations[method], id_)

    async def _run(
        self, operation: Operation, decoder: msgspec.json.Decoder[Any] | None, id_: int, query: Any, body: bytes
    ) -> bytes:
        """Do it; reading a large body and writing the answer are left to the thread too."""
        read: Callable[[], Any] = lambda: None if decoder is None else _decoded(decoder, body)  # noqa: E731
        call = Call(self._queue, id_, query, read()) if len(body) <= _AT_ONCE else None
        if operation.wait is not None:
            call = call or Call(self._queue, id_, query, read())
            await self._waiters.wait(*operation.wait(call))

        def run() -> bytes:
            return _encode(operation.run(call or Call(self._queue, id_, query, read())))

        return await (self._threads.write(run) if operation.writes else self._threads.read(run))


def _shape_of(path: str) -> tuple[str, int]:
    """A path with its number taken out, and that number; 0 where there is none."""
    parts = path.split("/")
    for index, part in enumerate(parts):
        if _NUMBER.fullmatch(part) and 1 <= int(part) <= MOST:
            return "/".join([*parts[:index], "{id}", *parts[index + 1 :]]), int(part)
    return path, 0


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
        return msgspec.convert(found, operation.query, strict=False)
    except msgspec.ValidationError as error:
        raise Refusal(422, f"The query of the address is not possible: {error}.", _HOW) from None


_HOW = "See /api/v1/openapi.json for what is."


def _decoded(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Refusal(422, f"The body is not possible: {error}.", _HOW) from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Refusal(400, f"The body is no JSON: {error}.", _HOW) from None


class _Room:
    """Room in memory for large bodies, of all that are here together; small ones have it always."""

    def __init__(self) -> None:
        self.held = 0

    def for_body(self, largest: int | None) -> _BodyRoom:
        """Room for one of at most *largest* bytes; None: it is bounded already."""
        return _BodyRoom(self, largest)


class _BodyRoom:
    """Room for one body, until it was used."""

    def __init__(self, room: _Room, largest: int | None) -> None:
        self._room = room
        self._largest = largest
        self._size = 0

    def __enter__(self) -> _BodyRoom:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._room.held -= self._counted()

    def take(self, size: int) -> None:
        """Make room for *size* more bytes.

        Raises:
            Refusal: it may not be as large, or too much is here already.
        """
        self._room.held -= self._counted()
        self._size += size
        self._room.held += self._counted()
        if self._largest is not None and self._size > self._largest:
            raise Refusal(413, f"The body is larger than {self._largest} bytes.", "Ask for less at a time.")
        if self._counted() and self._room.held > _MOST_HELD:
            raise Refusal(503, "Too many send large bodies.", "Try again in 5 s.", retry_after="5")

    def _counted(self) -> int:
        return self._size if self._size > _AT_ONCE else 0


async def _read(receive: Receive, room: _BodyRoom) -> bytes:
    """A whole body, whose size is bounded already."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refusal(400, "The body ends too early.", "Send as much as Content-Length says.")
        parts.append(message.get("body", b""))
        room.take(len(parts[-1]))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)
