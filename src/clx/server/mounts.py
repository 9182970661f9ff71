"""What a server is made of: mounts, each with the role that its caller needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from clx.db.tokens import Role

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LARGEST_BODY = 32 * 1024 * 1024
"""Bytes of a request's body, where nothing else is said."""


@dataclass(frozen=True, slots=True)
class Mount:
    """Something that a server serves below a path.

    Attributes:
        path: what the path of a request begins with, ``/cas`` say; it is taken off before *app* sees it
            (``root_path`` has it). ``""`` is what no other mount takes.
        app: an ASGI application. Its caller has a token, and the role; its bodies are bounded.
        role: which one is needed for methods that *roles* does not name.
        roles: method → which one is needed.
        largest: bytes that a body may have; None: the application bounds it.
        title: how the page names it, where it is something to look at.
    """

    path: str
    app: App
    role: Role = "admin"
    roles: Mapping[str, Role] = field(default_factory=dict)
    largest: int | None = LARGEST_BODY
    title: str = ""

    def takes(self, path: str) -> bool:
        """Whether a request for *path* is its."""
        return path == self.path or path.startswith(f"{self.path}/")

    def needs(self, method: str) -> Role:
        """Which role a caller with *method* must have."""
        return self.roles.get(method, self.role)
