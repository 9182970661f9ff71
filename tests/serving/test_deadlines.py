"""Deadlines over the wire: whatever becomes of a worker, everybody is answered, and by their time."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest
import tritonclient.http as client_of
from tests.support.model_servers import Served, model_server, write_model, write_slow_model
from tests.support.models_here import Told, answers

pytestmark = pytest.mark.slow
SLACK = 2.0
"""Seconds of a machine that does much else."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    slow, quick = write_slow_model(tmp_path / "slow.onnx"), write_model(tmp_path / "quick.onnx")
    with model_server(tmp_path, "--model", f"slow={slow}", "--model", f"quick={quick}") as found:
        with client_of.InferenceServerClient(found.address) as client:
            while not (client.is_model_ready("slow") and client.is_model_ready("quick")):
                os.sched_yield()
        yield found


async def asked(server: Served, model: str, document: dict[str, Any]) -> Told:
    host, _, port = server.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps(document).encode()
    writer.write(
        f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: {server.address}\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    told = await reader.read()
    writer.close()
    return answers(told)[0]


def slow(times: int, timeout: int = 0) -> dict[str, Any]:
    return {
        "inputs": [{"name": "n", "datatype": "INT64", "shape": [1], "data": [times]}],
        "parameters": {"timeout": timeout},
    }


def quick(timeout: int = 0) -> dict[str, Any]:
    return {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}],
        "parameters": {"timeout": timeout},
    }


def test_what_a_model_does_not_get_done_is_answered_at_its_deadline(server: Served) -> None:
    async def ask() -> None:
        began = monotonic()
        told = await asked(server, "slow", slow(1_000_000_000, 500_000))
        took = monotonic() - began
        assert (told.status, told.document["code"]) == (504, "missed")
        assert 0.5 <= took < 0.5 + SLACK
        late = await asked(server, "quick", quick(50_000))  # the worker is busy far beyond what was expected
        assert (late.status, late.document["code"]) == (429, "refused_late")
        assert int(late.headers["retry-after"]) >= 1

    asyncio.run(ask())


def test_a_worker_that_is_stopped_keeps_nobody_waiting(server: Served) -> None:
    async def ask() -> None:
        (worker,) = server.children()
        os.kill(worker, signal.SIGSTOP)
        try:
            began = monotonic()
            told = await asyncio.gather(*(asked(server, "quick", quick(400_000)) for _ in range(20)))
            took = monotonic() - began
        finally:
            os.kill(worker, signal.SIGCONT)
        assert {each.document["code"] for each in told} <= {"missed", "refused_late"}
        assert "missed" in {each.document["code"] for each in told}
        assert took < 0.4 + SLACK
        assert (await asked(server, "quick", quick())).status == 200

    asyncio.run(ask())


def test_what_a_killed_worker_had_is_answered_by_its_deadline(server: Served) -> None:
    async def ask() -> None:
        (worker,) = server.children()
        os.kill(worker, signal.SIGSTOP)
        waiting = [asyncio.ensure_future(asked(server, "quick", quick(5_000_000))) for _ in range(20)]
        async with asyncio.timeout(30):
            while await counted(server, "quick", "offered") < 20:
                await asyncio.sleep(0)
        os.kill(worker, signal.SIGKILL)
        told = await asyncio.gather(*waiting)
        assert {each.status for each in told} <= {200, 503, 504}
        async with asyncio.timeout(60):
            while (await asked(server, "quick", quick())).status != 200:
                await asyncio.sleep(0)

    asyncio.run(ask())


async def counted(server: Served, model: str, what: str) -> int:
    host, _, port = server.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET /v2/models/{model}/stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    told = answers(await reader.read())[0]
    writer.close()
    return int(told.document["model_stats"][0][what])


def test_who_hangs_up_is_not_waited_for(server: Served) -> None:
    async def ask() -> None:
        host, _, port = server.address.rpartition(":")
        (worker,) = server.children()
        os.kill(worker, signal.SIGSTOP)
        body = json.dumps(quick()).encode()
        head = f"POST /v2/models/quick/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        writers = []
        for _ in range(10):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(head.encode() + body)
            writers.append(writer)
        async with asyncio.timeout(30):
            while await counted(server, "quick", "offered") < 10:
                await asyncio.sleep(0)
        for writer in writers:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
        async with asyncio.timeout(30):
            while await counted(server, "quick", "withdrawn") < 10:
                await asyncio.sleep(0)
        before = await counted(server, "quick", "execution_count")
        os.kill(worker, signal.SIGCONT)
        assert (await asked(server, "quick", quick())).status == 200
        assert await counted(server, "quick", "execution_count") <= before + 2  # what ran when they left, and this one

    asyncio.run(ask())


def test_the_deadline_of_the_client_library_is_kept_too(server: Served) -> None:
    with client_of.InferenceServerClient(server.address) as client:
        given = client_of.InferInput("n", [1], "INT64")
        given.set_data_from_numpy(np.array([1_000_000_000], np.int64))
        with pytest.raises(client_of.InferenceServerException) as raised:
            client.infer("slow", [given], timeout=300_000)
        assert raised.value.status() == "504"
