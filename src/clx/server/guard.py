"""What stands before all that is served: the role that a caller needs, bodies no larger or slower than they may be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from types import MappingProxyType

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clx.db.tokens import Role, may
from clx.server.answers import Refusal

SLOW_BODY = 20.0
"""Seconds within which the next part of a body must have come."""
_LEAST_RATE = 4096
"""Bytes in a second that a body must come with, once :data:`SLOW_BODY` are over."""


class RoleGuard:
    """ASGI middleware: lets nobody through whose role does not let them.

    Args:
        app: what it leads to.
        role: which one is needed for methods that *roles* does not name.
        roles: method → which one is needed.
    """

    def __init__(self, app: ASGIApp, role: Role, roles: Mapping[str, Role] = MappingProxyType({})) -> None:
        self.app = app
        self._role = role
        self._roles = roles

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        role, needed = scope["user"].role, self._roles.get(scope["method"], self._role)
        if not may(role, needed):
            raise Refusal(403, f"The role {role} may not do this.", f"It needs the role {needed}.")
        await self.app(scope, receive, send)


class BodyGuard:
    """ASGI middleware: a body is no larger, and comes no slower, than it may.

    Args:
        app: what it leads to.
        largest: bytes that a body may have; None: *app* bounds it.
    """

    def __init__(self, app: ASGIApp, largest: int | None) -> None:
        self.app = app
        self._largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        length = Headers(scope=scope).get("content-length", "0")
        if self._largest is not None and length.isdecimal() and int(length) > self._largest:
            raise _too_large(self._largest)
        await self.app(scope, _Body(receive, self._largest), send)


class _Body:
    __slots__ = ("_begun", "_is_whole", "_largest", "_receive", "_size")

    def __init__(self, receive: Receive, largest: int | None) -> None:
        self._receive = receive
        self._largest = largest
        self._size = 0
        self._begun = 0.0
        self._is_whole = False

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
