"""What a server is made of: mounts, each with the role that its caller needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.types import ASGIApp

from clx.db.tokens import Role

LARGEST_BODY = 32 * 1024 * 1024
"""Bytes of a request's body, where nothing else is said."""


@dataclass(frozen=True, slots=True)
class Mount:
    """Something that a server serves below a path.

    Attributes:
        path: what the path of a request begins with, ``/cas`` say; it is taken off before *app* sees it
            (``root_path`` has it).
        app: an ASGI application. Its caller has a token, and the role; its bodies are bounded.
        role: which one is needed for methods that *roles* does not name.
        roles: method → which one is needed.
        largest: bytes that a body may have; None: the application bounds it.
        title: how the page names it, where it is something to look at.
    """

    path: str
    app: ASGIApp
    role: Role = "admin"
    roles: Mapping[str, Role] = field(default_factory=dict)
    largest: int | None = LARGEST_BODY
    title: str = ""
