"""Who may call without a token: programs, and pages of this server; no page of another site in somebody's browser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from clx.serving.failures import Refusal

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""What a server is called by that only its own machine reaches."""


def check(headers: Mapping[bytes, bytes], hosts: frozenset[str] | None) -> None:
    """See that a request names this server, and does not come from another site.

    Args:
        headers: names in small letters.
        hosts: what this server is called by, without ports; None: whichever.

    Raises:
        Refusal: it does not, or does.
    """
    host = headers.get(b"host", b"").decode("latin-1").lower()
    if hosts is not None and host and _without_port(host) not in hosts:
        raise Refusal("foreign", "this server is not called by that name: use the address that it printed")
    origin = headers.get(b"origin")
    if origin is not None and _place(origin.decode("latin-1")) != host:
        raise Refusal("foreign", "the request comes from another site")
    if headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site"):
        raise Refusal("foreign", "the request comes from another site")


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


def _place(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
