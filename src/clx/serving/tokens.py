"""Who may ask a server that others than its own machine reach: bearers of tokens, each what its role lets it.

The tokens are those of the job table, as ``clx server`` takes them, and are read anew every second: a request is told
from what is in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from time import time
from typing import Final

from clx.db.tokens import Role, Token, digest_of, may
from clx.serving.failures import Refusal

_ANYBODY: Final = frozenset({"/v2/health/live", "/v2/health/ready"})
"""What those ask who only want to know whether it is there."""
_CHANGES = "/v2/repository/models/"


class Book:
    """The tokens that are valid.

    Attributes:
        used: those that somebody has shown since they were last noted.
    """

    def __init__(self, tokens: Iterable[Token] = ()) -> None:
        self.used: dict[str, Token] = {}
        self.take(tokens)

    def take(self, tokens: Iterable[Token]) -> None:
        """These are valid from now on, and no others."""
        self._known = {each.digest: each for each in tokens}

    def require(self, method: str, path: str, headers: Mapping[bytes, bytes]) -> None:
        """See that a request may be made.

        Raises:
            Refusal: it has no token that is valid, or one of another role.
        """
        needed = role_for(method, path)
        if needed is None:
            return
        kind, _, secret = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        token = self._known.get(digest_of(secret.strip())) if kind.lower() == "bearer" else None
        if token is None or (token.expires_at is not None and token.expires_at <= time() * 1000):
            raise Refusal("unauthorized", "a token is needed: send Authorization: Bearer TOKEN")
        if not may(token.role, needed):
            raise Refusal("forbidden", f"a token of the role {needed} is needed, and this one is {token.role}")
        self.used[token.digest] = token


def role_for(method: str, path: str) -> Role | None:
    """The role that a request needs; None: none."""
    if path.startswith(_CHANGES):
        return "admin"
    if method in ("GET", "HEAD"):
        return None if path.rstrip("/") in _ANYBODY else "read"
    return "read" if path.rstrip("/") == "/v2/repository/index" else "work"
