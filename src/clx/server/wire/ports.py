"""The ports that clients of Workflow call when nobody tells them another, on this machine: no path is needed there."""

from __future__ import annotations

import contextlib
import errno
import re
import socket
from collections.abc import Iterator

from starlette.types import ASGIApp, Receive, Scope, Send

from clx.errors import StartupError

BUCKETS, RESULTS, PIPELINES = "/workflow/buckets", "/workflow/results", "/workflow/pipelines"
PORTS = {8000: BUCKETS, 8004: BUCKETS, 8005: RESULTS, 8001: PIPELINES, 8007: PIPELINES}
"""Port → what clients expect there."""
HOSTS = ("127.0.0.1", "::1")
"""``localhost`` is one of them, or both."""
ALSO_CALLED = frozenset({"0.0.0.0"})  # noqa: S104  (a name, by which some clients call this machine)
_OURS = {
    BUCKETS: re.compile(r"/+(work(/withdraw)?|view|version|status(/.*)?|audit/.*|auth/verify)"),
    RESULTS: re.compile(r"/+(results|view(/count)?|version|status)"),
    PIPELINES: re.compile(r"/+(v2(/.*)?|version)"),
}
_COVERED = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (who listens at the one does so at the other)


class Ports:
    """ASGI middleware: what comes in by one of these ports is meant for what lies below its path.

    Args:
        app: the whole server.
        main: the port at which it is called besides: only what clients call there is theirs.
    """

    def __init__(self, app: ASGIApp, main: int) -> None:
        self._app = app
        self._main = main

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http":
            port = (scope.get("server") or ("", 0))[1]
            place, path = PORTS.get(port or 0), scope["path"]
            if place and not path.startswith("/workflow/") and (port != self._main or _OURS[place].fullmatch(path)):
                scope = {**scope, "path": f"{place}{path}"}
        await self._app(scope, receive, send)


@contextlib.contextmanager
def listeners(main: socket.socket) -> Iterator[list[socket.socket]]:
    """Sockets that listen at these ports, but for where *main* does already.

    Raises:
        StartupError: one is taken.
    """
    host, port = main.getsockname()[:2]
    there = {(each, port) for each in (host, _COVERED.get(host))}
    with contextlib.ExitStack() as stack:
        found = []
        for place in HOSTS:
            for number in PORTS:
                if (place, number) not in there and (made := _listener(place, number)) is not None:
                    found.append(stack.enter_context(made))
        yield found


def told() -> str:
    """Where clients find what, in words."""
    return "Workflow clients find buckets at ports 8000 and 8004, results at 8005, pipelines at 8001 and 8007."


def _listener(host: str, port: int) -> socket.socket | None:
    """One that listens there; None where this machine has no such address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        if host != HOSTS[0] and error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
            return None  # a machine without IPv6
        told = "is taken: another program listens there" if error.errno == errno.EADDRINUSE else "cannot be had"
        raise StartupError(
            f"Port {port} of {host} {told}. --workflow-ports needs {', '.join(map(str, sorted(PORTS)))}.",
            f"End that program (ss -ltnp 'sport = :{port}'), or leave out --workflow-ports: clients find the same at "
            f"{PORTS[port]} of this server.",
        ) from error
    made.setblocking(False)
    return made
