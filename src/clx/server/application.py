"""The server as one ASGI application: who calls, which mount takes it, how much may be sent, and every refusal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from clx.db.tokens import may
from clx.server.access import Access
from clx.server.answers import SECURITY, Refusal, log, send_bytes, send_error
from clx.server.metrics import Requests
from clx.server.mounts import Message, Mount, Receive, Scope, Send

SLOW_BODY = 20.0
"""Seconds within which the next part of a body must have come."""
_LARGEST_FORM = 4096
_LEAST_RATE = 4096
"""Bytes in a second that a body must come with, once :data:`SLOW_BODY` are over."""


class Application:
    """Answers ``/healthz`` to everybody, and leads all else to its mount once its caller is known.

    Args:
        access: who may call.
        mounts: what there is; the first that takes a path gets it.
        requests: counts them.
        begins: called when the server begins, in its loop.
        stops: called when the server is told to end, to end what has no end by itself.
        ends: called when it has ended.
    """

    def __init__(
        self,
        access: Access,
        mounts: Sequence[Mount],
        requests: Requests,
        *,
        begins: Callable[[], Awaitable[None]] | None = None,
        stops: Callable[[], None] = lambda: None,
        ends: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._access = access
        self._mounts = mounts
        self._requests = requests
        self.stop = stops
        self._begins = begins
        self._ends = ends

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the life of the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1003})
            return
        answer = _Answer(send)
        begun = time.perf_counter()
        try:
            await self._answer(scope, receive, answer)
        except Exception as error:
            if answer.status:  # it is cut off: nothing else could say that it is not whole
                log.warning("an answer was cut off: %r", error, extra={"action": "answer_cut"})
                raise
            await send_error(answer, error)
        finally:
            self._requests.note(scope["method"], answer.status, time.perf_counter() - begun)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if path == "/healthz" and method in ("GET", "HEAD"):
            await send_bytes(send, 200, b'{"status":"ok"}' if method == "GET" else b"")
            return
        headers = _told(scope)
        mount = next((each for each in self._mounts if each.takes(path)), None)
        scope.setdefault("state", {})["access"] = self._access
        try:
            caller = await self._access.caller(scope, headers)
        except Refusal as refusal:
            page = getattr(mount and mount.app, "refuse", None)  # the page asks people for their token
            if (
                refusal.status == 401
                and page is not None
                and await page(scope, _Body(receive, headers, _LARGEST_FORM), send, headers)
            ):
                return
            raise
        if mount is None:
            raise Refusal(404, "There is nothing at this address.", "See /api/v1/openapi.json for what there is.")
        needed = mount.needs(method)
        if not may(caller.role, needed):
            raise Refusal(403, f"The role {caller.role} may not do this.", f"It needs the role {needed}.")
        scope["state"]["caller"] = caller
        scope["root_path"] = scope.get("root_path", "") + mount.path
        await mount.app(scope, _Body(receive, headers, mount.largest), send)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            call = self._begins if message["type"] == "lifespan.startup" else self._ends
            if call is not None:
                await call()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return


class _Answer:
    """Sends an answer, and knows whether it has begun; every one has the headers of :data:`SECURITY`."""

    __slots__ = ("_send", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            given = {name.lower() for name, _ in headers}
            message = {**message, "headers": [*headers, *(each for each in SECURITY if each[0] not in given)]}
        await self._send(message)


class _Body:
    """Receives a body that is no larger, and comes no slower, than it may."""

    __slots__ = ("_begun", "_is_whole", "_largest", "_receive", "_size")

    def __init__(self, receive: Receive, headers: dict[str, str], largest: int | None) -> None:
        self._receive = receive
        self._largest = largest
        self._size = 0
        self._begun = 0.0
        self._is_whole = False
        length = headers.get("content-length", "0")
        if largest is not None and length.isdecimal() and int(length) > largest:
            raise _too_large(largest)

    async def __call__(self) -> Message:
        if self._is_whole:  # who asks now wants to hear that the caller has gone
            return await self._receive()
        now = time.monotonic()
        self._begun = self._begun or now
        allowed = SLOW_BODY + self._size / _LEAST_RATE
        try:
            # not for a moment more than the rate allows: a byte every ten seconds would keep a connection for ever
            async with asyncio.timeout(min(SLOW_BODY, max(0.0, self._begun + allowed - now))):
                message = await self._receive()
        except TimeoutError:
            raise Refusal(408, "The body comes too slowly.", "Send it again over a faster connection.") from None
        self._size += len(message.get("body", b""))
        if self._largest is not None and self._size > self._largest:
            raise _too_large(self._largest)
        self._is_whole = not message.get("more_body", False)
        return message


def _too_large(largest: int) -> Refusal:
    return Refusal(413, f"The body is larger than {largest} bytes.", "Send less at a time.")


def _told(scope: Scope) -> dict[str, str]:
    """The headers of a request by name.

    Raises:
        Refusal: one that must be there once is there twice.
    """
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        if key in found and key in ("host", "authorization", "content-length", "origin"):
            raise Refusal(400, f"The header {key} is there twice.", "Send it once.")
        text = value.decode("latin-1")
        found[key] = f"{found[key]}; {text}" if key == "cookie" and key in found else text
    return found
