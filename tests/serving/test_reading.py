"""Large requests in JSON over the wire: by a process of their own, which a kill does not end for good."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from tests.support.model_servers import Serve, links
from tests.support.scene import until

pytestmark = pytest.mark.slow
ROWS = 20_000


def rows(count: int, **more: Any) -> str:
    x = {"name": "x", "datatype": "FP32", "shape": [count, 4], "data": [0.25] * (count * 4)}
    return json.dumps({"inputs": [x], **more})


def test_a_large_request_is_answered_by_way_of_another_process(serve: Serve, model: Path) -> None:
    server = serve("--model", f"dense={model}")
    process = psutil.Process(server.process.pid)
    with httpx.Client(base_url=f"http://{server.address}/v2/models/dense", timeout=60) as client:
        until(lambda: client.get("/ready").status_code == 200)
        one = client.post("/infer", content=rows(1)).json()["outputs"][0]["data"]
        before = set(server.children())
        told = client.post("/infer", content=rows(ROWS, id="large")).json()
        assert (told["id"], told["outputs"][0]["shape"]) == ("large", [ROWS, 3])
        assert told["outputs"][0]["data"][-3:] == pytest.approx(one)
        (reading,) = set(server.children()) - before
        assert "malformed" in client.post("/infer", content=rows(ROWS)[:-1]).text
        assert client.post("/infer", content=rows(ROWS, parameters={"timeout": 1})).status_code == 429
        files = links(process)
        psutil.Process(reading).kill()
        statuses = [client.post("/infer", content=rows(ROWS)).status_code for _ in range(2)]
        assert statuses in ([503, 200], [200, 200])
        assert links(process) <= files
