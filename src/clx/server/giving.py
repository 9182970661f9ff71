"""How an artifact is given: whole, in part, or not at all to who has it already."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import IO

from starlette.types import Send

from clx.server.answers import Refusal

PIECE = 1 << 20
"""Bytes that are read and sent at a time."""
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def names(header: str, tag: str) -> bool:
    return header.strip() == "*" or tag in [each.strip().removeprefix("W/") for each in header.split(",")]


def asked_range(headers: Mapping[str, str], size: int, tag: str) -> tuple[int, int] | None:
    """First byte and the one after the last; None where all is to be sent (RFC 9110, 14.2: several ranges may be)."""
    found = _RANGE.fullmatch(headers.get("range", "").strip())
    if found is None or found[0] == "bytes=-" or headers.get("if-range", tag).strip() != tag:
        return None
    first, last = found[1], found[2]
    if first and last and int(first) > int(last):
        return None
    begin = int(first) if first else max(0, size - int(last))
    end = min(int(last) + 1, size) if first and last else size
    if begin >= size:
        raise Refusal(416, f"It has {size} bytes.", "Ask for some of them.", content_range=f"bytes */{size}")
    return begin, end


async def send_at_once(data: bytes, status: int, headers: Mapping[str, str], send: Send) -> None:
    told = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": data})


async def send_bytes_of(
    stream: IO[bytes], begin: int, count: int, status: int, headers: Mapping[str, str], send: Send
) -> None:
    """Answer with *count* bytes from *begin* on."""

    def read() -> bytes:
        return stream.read(min(count, PIECE))

    told = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": told})
    if not count:
        await send({"type": "http.response.body", "body": b""})
        return
    stream.seek(begin)
    while count and (data := await asyncio.to_thread(read)):  # less comes only of a file that somebody cuts
        count -= len(data)
        await send({"type": "http.response.body", "body": data, "more_body": count > 0})
