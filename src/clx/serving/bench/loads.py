"""A load on a server of models: requests at their times, or one after another, and what became of each."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from math import ceil, prod
from time import monotonic
from typing import Any, NamedTuple, cast

import httptools

MOST_CONNECTIONS = 512
"""Connections at a time; a request that would need another one is given up and counted."""


class LoadError(Exception):
    """The server cannot be put under load; the text says why."""


class Reply(NamedTuple):
    """What became of a request.

    Attributes:
        at: seconds from the start at which it was due.
        took: seconds until its answer, from when it was due.
        status: of HTTP; 0: it was not sent, or had no answer.
    """

    at: float
    took: float
    status: int


@dataclass(slots=True)
class Result:
    """What became of all requests of a run of *seconds*."""

    seconds: float
    replies: list[Reply] = field(default_factory=list)

    def document(self, timeout: float) -> dict[str, float | int]:
        """Its numbers; *timeout*: seconds in which an answer counts, 0: any time."""
        good = sorted(each.took for each in self.replies if each.status == 200)
        refused = sorted(each.took for each in self.replies if each.status == 429)
        statuses = Counter(each.status for each in self.replies)
        in_time = sum(each <= timeout for each in good) if timeout else len(good)
        accepted = statuses[200] + statuses[504]
        return {
            "offered_per_s": len(self.replies) / self.seconds,
            "goodput_per_s": in_time / self.seconds,
            "answered": statuses[200],
            "refused": statuses[429],
            "missed": statuses[504],
            "failed": len(self.replies) - statuses[200] - statuses[429] - statuses[504],
            "kept_rate": statuses[200] / accepted if accepted else 1.0,
            **{f"p{name}_ms": percentile(good, part) * 1e3 for name, part in _PARTS.items()},
            "refusal_p99_ms": percentile(refused, 0.99) * 1e3,
        }


_PARTS = {"50": 0.5, "99": 0.99, "99_9": 0.999}


def percentile(values: Sequence[float], part: float) -> float:
    """By nearest rank, of *values* in order; 0 of none."""
    return values[max(0, ceil(part * len(values)) - 1)] if values else 0.0


def busiest(due: Sequence[float], window: float) -> int:
    """The most requests within any *window* seconds, of those *due* in this order; :data:`MOST_CONNECTIONS` at most."""
    most = begin = 0
    for place, at in enumerate(due):
        while due[begin] < at - window:
            begin += 1
        most = max(most, place + 1 - begin)
    return min(most, MOST_CONNECTIONS)


class _Connection(asyncio.Protocol):
    """One that is kept, with a request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[int] | None = None
        self._body: list[bytes] = []
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self.is_open = cast("asyncio.Transport", transport), True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.is_open = False
        self._end(0)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._body = []

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._end(self._parser.get_status_code())

    def _end(self, status: int) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_result(status)

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        if self._transport is None or not self.is_open:
            return 0, b""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer, b"".join(self._body)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class Load:
    """A load on a model.

    Args:
        host: of the server.
        port: of it.
        model: its name there.
        timeout: seconds that each request has; 0: as many as it takes.
        token: is sent along; empty: none is.
    """

    def __init__(self, host: str, port: int, model: str, timeout: float = 0, token: str = "") -> None:
        self._place = host, port
        self._model = model
        self._timeout = timeout
        self._authorization = f"authorization: Bearer {token}\r\n" if token else ""
        self._free: deque[_Connection] = deque()
        self._all: list[_Connection] = []
        self._request = b""

    async def open_loop(self, arrivals: Iterator[float], seconds: float) -> Result:
        """Requests at their times, whatever became of those before: what is late at the server is late here."""
        return await self._run(self._at_times(arrivals, seconds), seconds)

    async def closed_loop(self, clients: int, seconds: float) -> Result:
        """So many clients, each of which asks again when it has its answer."""
        return await self._run(self._one_by_one(clients, seconds), seconds)

    async def _run(self, asking: Any, seconds: float) -> Result:
        try:
            await self._prepare()
            return Result(seconds, await asking)
        except OSError as error:
            raise LoadError(f"there is no server at {self._place[0]}:{self._place[1]}: {error.strerror}") from None
        finally:
            asking.close()
            for each in self._all:
                each.close()

    async def _prepare(self) -> None:
        connection = await self._connection()
        status, body = await connection.ask(self._message("GET", f"/v2/models/{self._model}", b""))
        if status != 200:
            raise LoadError(f"model {self._model} answers {status}: {body.decode('utf-8', 'replace')[:300]}")
        inputs = [_zeros(each) for each in json.loads(body)["inputs"]]
        parameters = {"timeout": int(self._timeout * 1e6)} if self._timeout else {}
        document = json.dumps({"inputs": inputs, "parameters": parameters}).encode()
        self._request = self._message("POST", f"/v2/models/{self._model}/infer", document)
        self._free.append(connection)

    def _message(self, method: str, path: str, body: bytes) -> bytes:
        host = f"[{self._place[0]}]" if ":" in self._place[0] else self._place[0]
        head = f"{method} {path} HTTP/1.1\r\nhost: {host}:{self._place[1]}\r\ncontent-length: {len(body)}\r\n"
        return f"{head}{self._authorization}\r\n".encode() + body

    async def _connection(self) -> _Connection:
        while self._free:
            connection = self._free.pop()
            if connection.is_open:
                return connection
        return await self._new()

    async def _new(self) -> _Connection:
        _, made = await asyncio.get_running_loop().create_connection(_Connection, *self._place)
        self._all.append(made)
        return made

    async def _at_times(self, arrivals: Iterable[float], seconds: float) -> list[Reply]:
        due = list(takewhile(lambda at: at < seconds, arrivals))
        for _ in range(busiest(due, self._timeout or 1.0) - len(self._all)):  # connecting in a burst would delay it
            self._free.append(await self._new())
        replies: list[Reply] = []
        began, running = monotonic(), set[asyncio.Task[None]]()

        async def ask(at: float) -> None:
            status = 0
            if self._free or len(self._all) < MOST_CONNECTIONS:
                connection = await self._connection()
                status, _ = await connection.ask(self._request)
                self._free.append(connection)
            replies.append(Reply(at, monotonic() - began - at, status))

        for at in due:
            wait = began + at - monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            task = asyncio.create_task(ask(at))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)
        return replies

    async def _one_by_one(self, clients: int, seconds: float) -> list[Reply]:
        replies: list[Reply] = []
        began = monotonic()

        async def client() -> None:
            connection = await self._connection()
            while (at := monotonic() - began) < seconds:
                status, _ = await connection.ask(self._request)
                replies.append(Reply(at, monotonic() - began - at, status))
                if not connection.is_open:
                    return

        await asyncio.gather(*(client() for _ in range(clients)))
        return replies


def _zeros(said: dict[str, Any]) -> dict[str, Any]:
    """An input of a model, filled with nothing."""
    shape = [max(1, each) for each in said["shape"]]
    nothing = {"BYTES": "", "BOOL": False}.get(said["datatype"], 0)
    return {"name": said["name"], "datatype": said["datatype"], "shape": shape, "data": [nothing] * prod(shape)}
