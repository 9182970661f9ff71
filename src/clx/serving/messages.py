"""Requests and answers of HTTP, as whoever answers them knows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from clx.serving.failures import Refusal

_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Request:
    """A request, whole.

    Attributes:
        arrived: nanoseconds (monotonic) at which its first byte was read.
        path: as it was sent, without the query; escapes are not undone.
        headers: names in small letters; of several of a name the last one.
    """

    arrived: int
    method: str = ""
    path: str = ""
    query: str = ""
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    keep: bool = True


@dataclass(slots=True)
class Answer:
    """An answer.

    Attributes:
        parts: of the body.
        headers: lines that end in ``\\r\\n``, besides length and type.
        type: of the body.
    """

    status: int = 200
    parts: Sequence[bytes | memoryview] = ()
    headers: bytes = b""
    type: bytes = b"application/json"

    @classmethod
    def of(cls, document: Any, status: int = 200, headers: bytes = b"") -> Answer:
        """A document as JSON."""
        return cls(status, (_encode(document),), headers)

    @classmethod
    def to(cls, refusal: Refusal) -> Answer:
        """What a refusal is told as."""
        wait, allow = refusal.more.get("retry_after_s"), refusal.more.get("allow")
        headers = b"" if wait is None else b"retry-after: %d\r\n" % max(1, round(wait))
        if allow is not None:
            headers += b"allow: %b\r\n" % allow.encode("ascii")
        return cls.of(refusal.document(), refusal.status, headers)


Reply = Callable[[Answer], None]
Withdraw = Callable[[], None]
Handler = Callable[[Request, Reply], Withdraw | None]
"""Answers a request, now or later; what it gives back is called if the client is gone before."""
