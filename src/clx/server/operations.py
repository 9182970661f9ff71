"""What a server is made of: operations of its interface, and mounts, each with the role that its caller needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from clx.db.tokens import Role

if TYPE_CHECKING:
    from clx.db.jobs import Queue

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LARGEST_BODY = 32 * 1024 * 1024
"""Bytes of a request's body, where nothing else is said."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operation.

    Attributes:
        id: the number in its path; 0 where there is none.
        query: its query parameters, checked; None where it takes none.
        body: its body, checked; None where it takes none.
    """

    queue: Queue
    id: int = 0
    query: Any = None
    body: Any = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the interface: the route table and the OpenAPI document are made of these.

    Attributes:
        name: its ``operationId``.
        path: below ``/api/v1``; ``{id}`` is a number.
        role: what its caller must be.
        run: what it does, in a thread for the table; a mapping or a structure becomes the answer.
        query, body, answer: what it takes and gives.
        writes: whether it writes to the table.
        status: of its answer.
        wait: how many seconds to wait for which jobs before *run*; None: it waits for none.
        errors: the statuses of its refusals, beside those that every operation has.
    """

    name: str
    method: str
    path: str
    role: Role
    summary: str
    run: Callable[[Call], Any]
    answer: Any
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    writes: bool = False
    status: int = 200
    wait: Callable[[Call], tuple[float, list[int]]] | None = None
    errors: tuple[int, ...] = ()


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
