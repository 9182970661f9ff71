"""Uploads that nobody should send: each gets its status, nothing is served that was not, and what is served goes on."""

from __future__ import annotations

import base64
import gzip
import json
import os
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import pytest
from tests.support.hostile_requests import ODD
from tests.support.model_servers import Serve
from tests.support.scene import until

pytestmark = pytest.mark.slow
UPLOADS = 5_000 if os.environ.get("CLX_SOAK") else 400
NAMES = (
    "dense",
    "new",
    "a.b-c_d",
    ".",
    "..",
    "a%2Fb",
    "a b",
    "x" * 128,
    "x" * 129,
    "ü",
    "%00",
    "",
    "dense/",
    "-",
    "con",
)
VERSIONS = ("1", "2", "0", "-1", "9" * 18, "9" * 19, "1.0", "x", "", "../1", "²", "1%2f")
FILES = ("model.onnx", "model.py", "../model.onnx", "m/model.onnx", "MODEL.ONNX", "model.onnx\0", "")
REFUSED = {400, 404, 405, 409, 413}
Upload = tuple[str, str, dict[str, str], bytes]


def of_protocol(dice: Random) -> Upload:
    """By the call to load: what is named and what is sent are odd in one way or another."""
    data = dice.choice([b"", b"none", dice.randbytes(1000), b"\x08\x08" + dice.randbytes(50)])
    text: Any = base64.b64encode(data).decode()
    text = dice.choice([text[:-1], text + "=", text + "\n", "!" + text, "=" * 1000, *ODD])
    parts = {f"file:{dice.choice(VERSIONS)}/{dice.choice(FILES)}": text for _ in range(dice.choice([1, 1, 1, 2, 500]))}
    config = json.dumps({"max_batch_size": dice.choice(ODD)}) if dice.random() < 0.5 else dice.choice(ODD)
    parameters = {**parts, "config": config} if dice.random() < 0.5 else parts
    if dice.random() < 0.2:
        parameters[dice.choice(["path", "file:", "unload_dependents", "x" * 300])] = dice.choice(ODD)
    document: Any = {"parameters": parameters if dice.random() < 0.9 else dice.choice(ODD)}
    return "POST", f"{dice.choice(NAMES)}/load", {}, json.dumps(document).encode()


def of_bytes(dice: Random) -> Upload:
    """As they are."""
    path = f"{dice.choice(NAMES)}/versions/{dice.choice(VERSIONS[2:])}{dice.choice(['', '/', '/x'])}"
    return (
        dice.choice(["PUT", "PUT", "PUT", "POST", "GET", "DELETE"]),
        path,
        {},
        dice.randbytes(dice.choice([0, 9, 999])),
    )


def broken(dice: Random) -> Upload:
    """What is no JSON, or is nested, or is another call."""
    body = dice.choice(
        [b"{", b"[" * 100_000, b"\xff\xfe", b"null", b'{"parameters": {"config": "' + b"[" * 5000, b'"x"']
    )
    return "POST", f"{dice.choice(NAMES[:4])}/{dice.choice(['load', 'unload', 'burn', 'load/x'])}", {}, body


def packed(dice: Random) -> Upload:
    """Compressed: bombs, halves, and what says to be."""
    bomb = gzip.compress(b'{"parameters": {"config": "' + b"x" * (300 << 20), 1) if dice.random() < 0.02 else b""
    body = bomb or dice.choice([gzip.compress(b"{")[:-5], zlib.compress(b"{"), dice.randbytes(99)])
    return "POST", "new/load", {"Content-Encoding": dice.choice(["gzip", "deflate", "br"])}, body


KINDS: tuple[Callable[[Random], Upload], ...] = (of_protocol, of_bytes, broken, packed)


def test_hostile_uploads(serve: Serve, model: Path) -> None:
    server = serve("--model", f"dense={model}")
    process, dice, statuses = psutil.Process(server.process.pid), Random(16), Counter[int]()
    with httpx.Client(base_url=f"http://{server.address}/v2", timeout=120) as client:
        until(lambda: client.get("/models/dense/ready").status_code == 200)
        workers, metadata, files = server.children(), client.get("/models/dense").json(), process.num_fds()
        for number in range(UPLOADS):
            method, path, headers, body = dice.choice(KINDS)(dice)
            told = client.request(method, quoted(server.address, path), headers=headers, content=body)
            statuses[told.status_code] += 1
            # what unloads nothing and changes nothing of a model may be taken: an empty config of what is served
            fine = REFUSED | ({200} if path in ("dense/load", "dense/unload") else set())
            assert told.status_code in fine, (number, method, path, body[:300], told.text)
            assert told.status_code == 200 or (told.status_code == 405 and method == "HEAD") or told.json()["error"]
            if path == "dense/unload":
                client.post("/repository/models/dense/load", content=b"{}").raise_for_status()
        assert statuses[400] > UPLOADS // 4
        assert [each["name"] for each in client.post("/repository/index").json()] == ["dense"]
        assert client.get("/models/dense").json() == metadata
        assert server.children() == workers
        until(lambda: process.num_fds() <= files + 8)  # some are of threads that are there for good


def quoted(address: str, path: str) -> httpx.URL:
    """As it is written on the wire, dots and all."""
    whole = quote(f"/v2/repository/models/{path}", safe="/%.-_²").replace("²", "%C2%B2")
    return httpx.URL(f"http://{address}").copy_with(raw_path=whole.encode("ascii"))
