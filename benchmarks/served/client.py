"""The client of the benchmark, a process of its own: ``python -m benchmarks.served.client`` with a plan on stdin.

A plan is JSON: where the server is, and requests (``path``, ``headers``, bodies in base64 with their deadlines). Of a
closed loop it has ``clients`` and ``seconds``; of an open one the ``arrivals``, as pairs of seconds and of which body
it is. What comes out is JSON, too: of each request when it was due, how long its answer took, status, and which it was.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import sys
from collections.abc import Callable
from time import monotonic
from typing import Any

import httptools
import uvloop

MOST = 400
"""Connections at a time; a request that would need another one counts as failed."""


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._told: Callable[[int], None] | None = None
        self.transport: Any = None
        self.is_open = False

    def connection_made(self, transport: Any) -> None:
        self.transport, self.is_open = transport, True

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_open = False
        self._tell(0)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._tell(self._parser.get_status_code())

    def _tell(self, status: int) -> None:
        told, self._told = self._told, None
        if told is not None:
            told(status)

    def ask(self, request: bytes, told: Callable[[int], None]) -> None:
        self._told = told
        self.transport.write(request)


class _Load:
    def __init__(self, plan: dict[str, Any]) -> None:
        self._place = plan["host"], plan["port"]
        self._requests = [_message(plan, each) for each in plan["requests"]]
        self._plan = plan
        self._free: list[_Connection] = []
        self._made = 0
        self._left = 0
        self._over = asyncio.Event()
        self.replies: list[tuple[float, float, int, int]] = []

    async def run(self) -> None:
        count = self._plan.get("clients") or MOST  # all before: whoever connects within a burst delays it
        self._free = [await self._connect() for _ in range(count)]
        gc.disable()
        if self._plan.get("arrivals"):
            await self._open_loop([(at, which) for at, which in self._plan["arrivals"]])
        else:
            self._closed_loop(self._plan["seconds"])
            await self._over.wait()

    async def _connect(self) -> _Connection:
        self._made += 1
        _, made = await asyncio.get_running_loop().create_connection(_Connection, *self._place)
        return made

    def _closed_loop(self, seconds: float) -> None:
        began, request = monotonic(), self._requests[0]

        def client(connection: _Connection) -> None:
            sent = monotonic()

            def told(status: int) -> None:
                nonlocal sent
                now = monotonic()
                self.replies.append((sent - began, now - sent, status, 0))
                if now - began < seconds and connection.is_open:
                    sent = now
                    connection.ask(request, told)
                else:
                    self._end()

            connection.ask(request, told)

        self._left = len(self._free)
        for each in self._free:
            client(each)

    async def _open_loop(self, arrivals: list[tuple[float, int]]) -> None:
        loop, began = asyncio.get_running_loop(), monotonic()
        self._left = len(arrivals)
        for at, which in arrivals:
            wait = began + at - monotonic()
            if wait > 0.0002:
                await asyncio.sleep(wait)
            connection = self._free.pop() if self._free else None
            while connection is not None and not connection.is_open:
                connection = self._free.pop() if self._free else None
            if connection is not None:
                self._send(connection, at, which)
            elif self._made < MOST:
                loop.create_task(self._send_anew(at, which))
            else:
                self.replies.append((at, 0, 0, which))
                self._end()
        await asyncio.wait_for(self._over.wait(), 60)

    async def _send_anew(self, at: float, which: int) -> None:
        try:
            self._send(await self._connect(), at, which)
        except OSError:
            self.replies.append((at, 0, 0, which))
            self._end()

    def _send(self, connection: _Connection, at: float, which: int) -> None:
        sent = monotonic()

        def told(status: int) -> None:
            self.replies.append((at, monotonic() - sent, status, which))
            self._free.append(connection)
            self._end()

        connection.ask(self._requests[which], told)

    def _end(self) -> None:
        self._left -= 1
        if not self._left:
            self._over.set()


def _message(plan: dict[str, Any], said: dict[str, Any]) -> bytes:
    body = base64.b64decode(said["body"])
    head = f"POST {said['path']} HTTP/1.1\r\nhost: {plan['host']}:{plan['port']}\r\n"
    for name, value in {"content-length": len(body), **said.get("headers", {})}.items():
        head += f"{name}: {value}\r\n"
    return head.encode() + b"\r\n" + body


def main() -> None:
    """Carry out the plan."""
    load = _Load(json.load(sys.stdin))
    uvloop.run(load.run())
    json.dump(load.replies, sys.stdout)


if __name__ == "__main__":
    main()
