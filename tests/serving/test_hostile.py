"""Ten thousand requests that nobody should send: each gets its status, nothing is kept of them, the next is served."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import psutil
import pytest
import tritonclient.http
from tests.support.hostile_requests import Hostile, drawn, good, request
from tests.support.model_servers import Served, links, model_server, write_model
from tests.support.models_here import answers

pytestmark = pytest.mark.slow
REQUESTS = 10_000
AT_ONCE = 32
SEED = 16
GOOD = Hostile("good", request(json.dumps(good()).encode(), "Connection: close"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    model = write_model(tmp_path / "dense.onnx")
    with model_server(tmp_path, "--model", f"dense={model}") as found:
        with tritonclient.http.InferenceServerClient(found.address) as client:
            while not client.is_model_ready("dense"):
                os.sched_yield()
        yield found


async def sent(server: Served, hostile: Hostile) -> bytes:
    """Everything that a connection answers; it ends when nothing more is to come, or the client leaves."""
    host, _, port = server.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        with suppress(ConnectionError):
            for at in range(0, len(hostile.sent), hostile.step):
                writer.write(hostile.sent[at : at + hostile.step])
                if hostile.step < 1000:
                    await writer.drain()
            if hostile.ends:
                return b""
            # whatever was said before, this is not HTTP: the server ends the connection behind its last answer
            writer.write(b"\r\n\r\n\0\r\n\r\n")
            async with asyncio.timeout(60):
                return await reader.read()
        return b""
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def storm(server: Served, count: int, dice: Random) -> tuple[Counter[str], list[str]]:
    """So many requests, some at a time; how many of each kind, and what was answered otherwise than it should be."""
    kinds: Counter[str] = Counter()
    faults: list[str] = []
    left = iter(range(count))

    async def client() -> None:
        for _ in left:
            hostile = drawn(dice)
            kinds[hostile.kind.partition(":")[0]] += 1
            told = answers(await sent(server, hostile))
            statuses = [each.status for each in told]
            wrong = [each for each in told if each.status not in hostile.statuses | {400}]
            if wrong or (not statuses and not hostile.ends):
                faults.append(f"{hostile.kind}: {statuses} for {hostile.sent[:300]!r}")
            faults.extend(
                f"{hostile.kind}: no word why"
                for each in told
                if each.status != 200 and not json.loads(each.body)["error"]
            )

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    return kinds, faults


def test_ten_thousand_malformed_requests(server: Served) -> None:
    process = psutil.Process(server.process.pid)
    workers = server.children()

    async def ask() -> None:
        dice = Random(SEED)
        _, faults = await storm(server, REQUESTS // 10, dice)
        assert faults == []
        files, memory = links(process), process.memory_info().rss
        kinds, faults = await storm(server, REQUESTS - REQUESTS // 10, dice)
        assert faults == []
        assert min(kinds.values()) > REQUESTS // 50
        async with asyncio.timeout(30):
            while links(process) > files + 1:  # that of what reads large JSON, which may have begun since
                await asyncio.sleep(0.05)
        assert process.memory_info().rss < memory + (64 << 20)
        now = server.children()
        assert {*workers} <= {*now}
        assert len(now) <= len(workers) + 1  # what reads large JSON begins with the first of that
        (told,) = answers(await sent(server, GOOD))
        assert told.status == 200

    asyncio.run(ask())


def test_clients_that_do_not_read_fill_nobodys_memory(server: Served) -> None:
    process = psutil.Process(server.process.pid)

    async def ask() -> None:
        host, _, port = server.address.rpartition(":")
        before = process.memory_info().rss
        rows = 20_000
        x = {"name": "x", "datatype": "FP32", "shape": [rows, 4], "parameters": {"binary_data_size": rows * 16}}
        head = json.dumps({"inputs": [x]}).encode()
        one = request(head + bytes(rows * 16), f"Inference-Header-Content-Length: {len(head)}")
        writers = []
        for _ in range(10):
            _, writer = await asyncio.open_connection(host, int(port), limit=1)
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(one * 30)
            writers.append(writer)
        (told,) = answers(await sent(server, GOOD))
        assert told.status == 200
        assert process.memory_info().rss < before + (300 << 20)
        for writer in writers:
            writer.transport.abort()

    asyncio.run(ask())
