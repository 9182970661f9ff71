"""Answers to short calls in the step of the event loop that has read them, before they come to the application.

What the application does for a request of some microseconds' work takes many times as long: middleware, a task, a
router. Here the same operations are run, of callers that :mod:`clx.server.access` knows, and nothing is decided: where
anything is unusual there is no answer, and the application gives one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from clx.db.tokens import may
from clx.server.access import Access
from clx.server.answers import JSON, SECURITY, answer_to
from clx.server.api.operations import FEW
from clx.server.api.routes import Endpoint
from clx.server.mounts import Mount
from clx.server.views.metrics import Requests

_UNUSUAL = frozenset({b"transfer-encoding", b"expect"})
"""Headers of requests whose bodies come in another way."""
LONGEST_HEAD = 2048
"""Bytes of a request before its body."""
_HEAD = b"".join(b"%s: %s\r\n" % each for each in [(b"content-type", JSON.media_type.encode()), *SECURITY])

Headers = list[tuple[bytes, bytes]]


class Prompt:
    """Answers short calls.

    Args:
        access: who may call.
        mounts: what is mounted, and what of it is short, by method and path.
        requests: counts those that are answered.
        port: at which paths mean what *mounts* says.
    """

    def __init__(
        self,
        access: Access,
        mounts: Sequence[tuple[Mount, Mapping[tuple[str, str], Endpoint]]],
        requests: Requests,
        port: int,
    ) -> None:
        self.access = access
        self.requests = requests
        self._port = port
        self._places = {
            (method.encode(), f"{mount.path}{path}".encode()): (endpoint, mount.roles.get(method, mount.role))
            for mount, endpoints in mounts
            for (method, path), endpoint in endpoints.items()
            if mount.largest is None or mount.largest >= FEW
        }

    def serves(self, server: tuple[str, int | None] | None) -> bool:
        """Whether connections to that address and port mean what is served here."""
        return server is not None and server[1] == self._port

    def look(self, method: bytes, target: bytes, headers: Headers) -> Short | None:
        """The request with these headers, whose body is yet to come; None where it is the application's."""
        place = self._places.get((method, target))
        if place is None:
            return None
        others, length, size = [], b"", 0
        for each in headers:
            name, value = each
            size += len(name) + len(value)
            if name == b"content-length" and not length:
                length = value
            elif name in _UNUSUAL:
                return None
            else:
                others.append(each)
        if size > LONGEST_HEAD or not length.isdigit() or len(length) > len(str(FEW)) or int(length) > FEW:
            return None
        endpoint, role = place
        return Short(self, endpoint, role, tuple(others), int(length))


class Short:
    """A request that may be answered at once, and others with the same head.

    Attributes:
        length: of its body.
        body: what has come of it.
    """

    __slots__ = ("_endpoint", "_headers", "_prompt", "_role", "body", "length")

    def __init__(
        self,
        prompt: Prompt,
        endpoint: Endpoint,
        role: str,
        headers: tuple[tuple[bytes, bytes], ...],
        length: int,
    ) -> None:
        self.length = length
        self._prompt = prompt
        self._endpoint = endpoint
        self._role = role
        self._headers = headers
        self.body = b""

    def answer(self) -> bytes | None:
        """The answer, as it is sent; None where the application is to give one, and nothing was done."""
        begun, operation = time.perf_counter(), self._endpoint.operation
        caller = self._prompt.access.known(operation.method, self._headers)
        if caller is None or not may(caller.role, self._role):
            return None
        status, more = operation.status, b""
        try:
            body = self._endpoint.answer_here(caller.role, self.body)
        except Exception as error:  # as the application: it has been tried
            refused = answer_to(error)
            status, body = refused.status_code, bytes(refused.body)
            more = b"".join(b"%s: %s\r\n" % each for each in refused.raw_headers if each[0] not in _OURS)
        if body is None:
            return None
        self._prompt.requests.note(operation.method, status, time.perf_counter() - begun)
        return b"%s%s%scontent-length: %d\r\n\r\n%s" % (STATUS_LINE[status], _HEAD, more, len(body), body)


_OURS = frozenset({b"content-type", b"content-length"})
