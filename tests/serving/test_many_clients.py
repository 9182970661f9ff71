"""A thousand clients that stop, leave or are slow, in every place: no file and no memory is kept of them."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import tritonclient.http
from tests.support.hostile_requests import good, request
from tests.support.model_servers import Serve, Served, links
from tests.support.models_here import answers
from tests.support.scene import until

pytestmark = pytest.mark.slow
CLIENTS = 10_000 if os.environ.get("CLX_SOAK") else 1_000
AT_ONCE = 50
ROWS = 4_000
MIB = 1 << 20


def asked(rows: int = 1) -> bytes:
    document = good()
    document["inputs"][0] |= {"shape": [rows, 4], "data": [1.0] * (rows * 4)}
    return request(json.dumps(document).encode())


ONE, MUCH = asked(), asked(ROWS)


async def connected(server: Served) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = server.address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def left_within_a_request(server: Served, number: int) -> None:
    _, writer = await connected(server)
    writer.write(ONE[: number % len(ONE)])
    writer.transport.abort() if number % 2 else writer.close()


async def left_within_an_answer(server: Served, number: int) -> None:
    reader, writer = await connected(server)
    writer.write(MUCH)
    await reader.readexactly(1 + number % 100)
    writer.transport.abort()


async def left_before_an_answer(server: Served, number: int) -> None:
    _, writer = await connected(server)
    writer.write(MUCH if number % 10 == 0 else ONE)
    await writer.drain()
    writer.transport.abort() if number % 2 else writer.close()


async def sent_no_more(server: Served, number: int) -> None:
    """Half-closed: with half of a request, or a whole one."""
    reader, writer = await connected(server)
    writer.write(ONE[: len(ONE) // (1 + number % 2)])
    writer.write_eof()
    await reader.read()
    writer.close()


async def asked_many_at_once(server: Served, number: int) -> None:
    """Pipelined; the half of them read their answers."""
    reader, writer = await connected(server)
    writer.write(ONE * 20)
    if number % 2:
        told = b""
        while len(answers(told)) < 20 or not told.endswith(b"}"):
            told += await reader.read(1 << 16)
        assert {each.status for each in answers(told)} <= {200, 429}
    writer.transport.abort()


async def sent_slowly(server: Served, number: int) -> None:
    reader, writer = await connected(server)
    for at in range(0, len(ONE), 40):
        writer.write(ONE[at : at + 40])
        await writer.drain()
        await asyncio.sleep(0)
    if number % 2:
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()


async def read_slowly(server: Served, number: int) -> None:
    host, _, port = server.address.rpartition(":")
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    link.setblocking(False)
    loop = asyncio.get_running_loop()
    with link, suppress(ConnectionError):
        await loop.sock_connect(link, (host, int(port)))
        await loop.sock_sendall(link, MUCH)
        for _ in range(5):
            await loop.sock_recv(link, 10)


KINDS: tuple[Callable[[Served, int], object], ...] = (
    left_within_a_request,
    left_within_an_answer,
    left_before_an_answer,
    sent_no_more,
    asked_many_at_once,
    sent_slowly,
    read_slowly,
)


async def storm(server: Served, count: int) -> None:
    left = iter(range(count))

    async def client() -> None:
        for number in left:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await KINDS[number % len(KINDS)](server, number // len(KINDS))  # type: ignore[misc]

    async with asyncio.timeout(300):
        await asyncio.gather(*(client() for _ in range(AT_ONCE)))


def test_nothing_is_kept_of_a_thousand_odd_clients(serve: Serve, model: Path) -> None:
    server = serve("--model", f"dense={model}")
    process = psutil.Process(server.process.pid)
    with tritonclient.http.InferenceServerClient(server.address) as client:
        until(lambda: client.is_model_ready("dense"))
    asyncio.run(storm(server, CLIENTS // 5))
    until(lambda: connections(process) == 0)
    files, memory, workers = links(process), process.memory_info().rss, server.children()
    asyncio.run(storm(server, CLIENTS))
    until(lambda: connections(process) == 0)
    assert links(process) <= files
    assert process.memory_info().rss < memory + 48 * MIB
    assert server.children() == workers
    with tritonclient.http.InferenceServerClient(server.address) as client:
        (stats,) = client.get_inference_statistics("dense")["model_stats"]
        assert stats["withdrawn"] > 0
        offered = stats["offered"]
        counted = ("refused", "missed", "withdrawn")
        done = sum(stats[each] for each in counted) + stats["inference_stats"]["success"]["count"]
        assert offered == done + stats["inference_stats"]["fail"]["count"] - stats["missed"]


def connections(process: psutil.Process) -> int:
    there = (psutil.CONN_ESTABLISHED, psutil.CONN_CLOSE_WAIT)
    return sum(each.status in there for each in process.net_connections("tcp"))
