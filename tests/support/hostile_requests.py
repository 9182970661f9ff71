"""Requests that nobody should send to a server of models, drawn from a seed, and what they may be answered with."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

MALFORMED = frozenset({400, 403, 404, 405, 413})
"""What is wrong with them is the client's fault, each time."""


@dataclass(frozen=True, slots=True)
class Hostile:
    """What goes over one connection.

    Attributes:
        kind: what is wrong with it.
        sent: its bytes; they are sent in pieces of *step*.
        statuses: what its answers may have.
        ends: whether the client sends no more, and reads no answer.
    """

    kind: str
    sent: bytes
    statuses: frozenset[int] = MALFORMED
    step: int = 1 << 20
    ends: bool = False


def drawn(dice: Random) -> Hostile:
    """One of them."""
    return dice.choice(KINDS)(dice)


def good() -> dict[str, Any]:
    """What the model ``dense`` takes."""
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1.0, 2.0, 3.0, 4.0]}]}


def request(
    body: bytes = b"", *lines: str, path: str = "/v2/models/dense/infer", method: str = "POST", length: Any = None
) -> bytes:
    size = len(body) if length is None else length
    head = [f"{method} {path} HTTP/1.1", "Host: localhost", *lines, f"Content-Length: {size}"]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    1.5,
    1e308,
    -1e400,
    2**31,
    2**63,
    2**64,
    10**40,
    "",
    "x",
    "\ud800",
    "a\0b",
    "9" * 5000,
    [],
    {},
    [[]],
    [None],
    {"a": 1},
    "x" * 300,
    [1] * 50,
    [[[[1]]]],
    float("nan"),
    float("inf"),
]


def _mutated(dice: Random, value: Any) -> Any:
    """A document of which one place is something else, or is not there."""
    if isinstance(value, dict) and value and dice.random() < 0.85:
        key = dice.choice(list(value))
        changed = dict(value)
        if dice.random() < 0.15:
            del changed[key]
        else:
            changed[key] = _mutated(dice, value[key])
        return changed
    if isinstance(value, list) and value and dice.random() < 0.8:
        at = dice.randrange(len(value))
        return [*value[:at], _mutated(dice, value[at]), *value[at + 1 :]]
    return dice.choice(ODD)


def _documents(dice: Random) -> Hostile:
    document = good()
    document["parameters"] = {"timeout": 10**7, "priority": 1, "mine": "x"}
    document["outputs"] = [{"name": "y", "parameters": {"binary_data": False}}]
    document["id"] = "1"
    for _ in range(dice.choice((1, 1, 2, 4))):
        document = _mutated(dice, document)
    body = json.dumps(document).encode()
    if dice.random() < 0.2:
        at = dice.randrange(len(body))
        body = body[:at] + dice.randbytes(dice.randrange(3)) + body[at + 1 :]
    return Hostile("documents", request(body), MALFORMED | {200, 429, 504})


def _binary(dice: Random) -> Hostile:
    size, shape = dice.choice([15, 16, 17, 0, -1, 2**40, 4]), dice.choice([[1, 4], [1, 5], [4], [2, 2], [0, 4]])
    datatype = dice.choice(["FP32", "BYTES", "BOOL", "INT64", "BF16", "FP16"])
    said = {"name": "x", "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [said]}).encode()
    body = head + dice.randbytes(dice.choice([0, 3, 15, 16, 17, 64]))
    length: Any = dice.choice([len(head), 0, len(head) - 1, len(head) + 1, 10**30, "x", "-1", "1 2", "", "²", "0x10"])
    return Hostile("binary", request(body, f"Inference-Header-Content-Length: {length}"), MALFORMED | {200})


def _compressed(dice: Random) -> Hostile:
    body = json.dumps(good()).encode()
    packed = dice.choice(
        [
            gzip.compress(body)[:-3],
            gzip.compress(body)[: dice.randrange(30)],
            gzip.compress(gzip.compress(body)),
            zlib.compress(dice.randbytes(100)),
            dice.randbytes(50),
            gzip.compress(body) + b"more",
            BOMB,
        ]
    )
    coding = dice.choice(["gzip", "deflate", "br", "gzip, gzip", "x" * 1000, "GZIP", "identity"])
    return Hostile(
        "compressed", request(packed, f"Content-Encoding: {coding}"), MALFORMED | {200, 503}
    )  # too many bombs at once


BOMB = gzip.compress(bytes(20 << 20), 9)
"""Twenty mebibytes of nothing in twenty kibibytes."""


def _chunked(dice: Random) -> Hostile:
    body = json.dumps(good()).encode()
    head = request(b"", "Transfer-Encoding: chunked").replace(b"\r\nContent-Length: 0", b"")
    whole = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    parts = {
        "good": whole,
        "extension": b"%x;%b\r\n%b\r\n0\r\n\r\n" % (len(body), b"a=" + b"x" * dice.randrange(5000), body),
        "no number": b"zz\r\n" + body,
        "huge": b"%x\r\n" % 2**70 + body,
        "negative": b"-5\r\n" + body,
        "longer": b"%x\r\n%b\r\n0\r\n\r\n" % (len(body) - 3, body),
        "trailer": whole[:-2] + b"Content-Encoding: gzip\r\nHost: evil\r\n\r\n",
        "long trailer": whole[:-2] + b"A: " + b"x" * 200_000 + b"\r\n\r\n",
        "bare": whole.replace(b"\r\n", b"\n"),
        "too much": b"%x\r\n" % (300 << 20),
    }
    kind = dice.choice(list(parts))
    return Hostile(
        f"chunked: {kind}",
        head + parts[kind],
        MALFORMED | {200},
        dice.choice([1 << 20, 1000, 7]) if len(parts[kind]) < 5000 else 1 << 20,
        kind == "too much",
    )


def _smuggled(dice: Random) -> Hostile:
    body = json.dumps(good()).encode()
    chunks = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
    lines = dice.choice(
        [
            [f"Content-Length: {len(body)}"],
            ["Content-Length: 5"],
            ["Transfer-Encoding: chunked"],
            ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
            ["Transfer-Encoding: xchunked"],
            ["Transfer-Encoding : chunked"],
            ["Transfer-Encoding: chunked, identity"],
            [" Transfer-Encoding: chunked"],
            ["X: y\r\n Content-Length: 0"],
            ["Host: evil.example"],
            ["X: a\0b"],
            ["X: a\rTransfer-Encoding: chunked"],
            ["Content-Length: +10"],
            ["Content-Length: 1, 1"],
        ]
    )
    return Hostile("smuggled", request(dice.choice([body, chunks]), *lines), MALFORMED)


def _heads(dice: Random) -> Hostile:
    sent = dice.choice(
        [
            request(path="/" + "a" * 100_000),
            request(b"", "X: " + "a" * 200_000),
            request(b"", *(f"X{n}: {n}" for n in range(20_000))),
            b"GET " + b"/" * 300_000,
            b"G" * 100_000,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + dice.randbytes(100),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/3.0\r\nHost: localhost\r\n\r\n",
            dice.randbytes(200).replace(b"\n", b"") + b"\r\n\r\n",
            request(length=-5),
            request(length="18446744073709551617"),
            request(length=10**30),
            request(length=1 << 40),
        ]
    )
    return Hostile("heads", sent)


def _paths(dice: Random) -> Hostile:
    name = dice.choice(
        [
            "%2F",
            "a%2Fb",
            "..",
            "../..",
            "%00",
            "dense%00",
            "%2e%2e",
            "\xff",
            "%ff",
            "a" * 30_000,
            "",
            "de nse",
            "stats",
            "dense?x=1",
            "dense#y",
            "%",
            "%zz",
            "*",
            "dense;a=b",
            "http://evil/",
            "DENSE",
        ]
    )
    rest = dice.choice(
        ["/infer", "", "/config", "/stats", "/ready", "/versions/%2F/infer", "/versions", "/versions//infer", "/x"]
    )
    place = dice.choice(["/v2/models/", "/v2/repository/models/", "/V2/models/", "//v2/models/", "/v2//models/"])
    if place == "/v2/repository/models/":
        rest = dice.choice(["/load", "/unload", "/index", "", "/versions/x", "/versions/1/2"])
    method = dice.choice(["GET", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "X"])
    sent = request(json.dumps(good()).encode(), path=place + name + rest, method=method)
    return Hostile("paths", sent, MALFORMED | {200})


def _methods(dice: Random) -> Hostile:
    path = dice.choice(
        [
            "/v2",
            "/v2/",
            "/v2/health/live",
            "/v2/health/ready",
            "/v2/models/dense",
            "/v2/models/dense/infer",
            "/v2/models/dense/config",
            "/v2/models/stats",
            "/v2/repository/index",
            "/v2/repository/models/dense/load",
        ]
    )
    method = dice.choice(["DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "BREW", "MKCOL"])
    return Hostile("methods", request(path=path, method=method), frozenset({400, 405}))


def _repository(dice: Random) -> Hostile:
    call = dice.choice(["load", "index"])
    path = "/v2/repository/index" if call == "index" else "/v2/repository/models/nope/load"
    body = dice.choice(
        [
            b"[]",
            b"7",
            b"{",
            b'{"parameters":[]}',
            b'{"parameters":{"config":7}}',
            b'{"ready":7}',
            b"\xff",
            b"[" * 60_000,
            b'{"parameters":{"file:1/model.onnx":"!!"}}',
            b'{"parameters":{"config":"{","file:../../x":"AAAA"}}',
        ]
    )
    return Hostile("repository", request(body, path=path), MALFORMED | {200, 422})


def _cut(dice: Random) -> Hostile:
    whole = request(json.dumps(good()).encode())
    return Hostile("cut", whole[: dice.randrange(len(whole))], frozenset(), dice.choice([1 << 20, 50]), ends=True)


def _left(_dice: Random) -> Hostile:
    return Hostile("left", request(json.dumps(good()).encode()) * 20, frozenset({200}), ends=True)


def _pipelined(dice: Random) -> Hostile:
    parts = [request(json.dumps(good()).encode()), drawn_small(dice).sent, request(path="/v2", method="GET")]
    dice.shuffle(parts)
    return Hostile("pipelined", b"".join(parts) * dice.choice([1, 10]), MALFORMED | {200, 429, 504})


def _texts(dice: Random) -> Hostile:
    data = b"".join(struct.pack("<I", dice.choice([0, 3, 2**32 - 1, 9])) + b"abc" for _ in range(4))
    said = {"name": "x", "datatype": "BYTES", "shape": [4], "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"inputs": [said]}).encode()
    return Hostile("texts", request(head + data, f"Inference-Header-Content-Length: {len(head)}"))


def _sites(dice: Random) -> Hostile:
    line = dice.choice(["Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site"])
    return Hostile("sites", request(json.dumps(good()).encode(), line), frozenset({403}))


def drawn_small(dice: Random) -> Hostile:
    """One whose connection is not ended by it, most often."""
    return dice.choice([_documents, _binary, _methods])(dice)


KINDS: list[Callable[[Random], Hostile]] = [
    *(_documents, _documents, _documents, _binary, _binary, _compressed, _chunked, _smuggled, _heads, _paths),
    *(_methods, _repository, _cut, _left, _pipelined, _texts, _sites),
]
