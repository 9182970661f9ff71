"""How an artifact is given: whole, in part, or not at all to who has it already."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from typing import IO, NamedTuple

from starlette.types import Send

from clx.artifacts.store import ArtifactStore
from clx.server.answers import Refusal

PIECE = 1 << 20
"""Bytes that are read and sent at a time."""
MEDIA = "application/octet-stream"
_FOREVER = "private, max-age=31536000, immutable"
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class Opened(NamedTuple):
    """An object to be read, its size, and its bytes where they are few and wanted."""

    stream: IO[bytes]
    size: int
    data: bytes


def opened(store: ArtifactStore, digest: str, method: str) -> Opened:
    """An object of a store.

    Raises:
        ArtifactError: it is not there.
    """
    stream = store.reader(digest)
    size = os.fstat(stream.fileno()).st_size
    return Opened(stream, size, stream.read() if method == "GET" and size <= PIECE else b"")


async def give(
    found: Opened, digest: str, method: str, headers: Mapping[str, str], send: Send, more: Mapping[str, str]
) -> None:
    """Answer a ``GET`` or ``HEAD`` of an object, which is closed then.

    Args:
        headers: of the request.
        more: headers of the answer, its type among them.
    """
    with found.stream as stream:
        tag = f'"{digest}"'
        told = {"etag": tag, "accept-ranges": "bytes", "cache-control": _FOREVER, **more}
        if _names(headers.get("if-none-match", ""), tag):
            await _send_bytes_of(stream, 0, 0, 304, told, send)
            return
        asked = _asked_range(headers, found.size, tag) if method == "GET" else None
        begin, end = asked or (0, found.size)
        if asked is not None:
            told["content-range"] = f"bytes {begin}-{end - 1}/{found.size}"
        told["content-length"] = str(end - begin)
        count, status = 0 if method == "HEAD" else end - begin, 200 if asked is None else 206
        if found.data:
            await _send_at_once(found.data[begin:end], status, told, send)
        else:
            await _send_bytes_of(stream, begin, count, status, told, send)


def _names(header: str, tag: str) -> bool:
    return header.strip() == "*" or tag in [each.strip().removeprefix("W/") for each in header.split(",")]


def _asked_range(headers: Mapping[str, str], size: int, tag: str) -> tuple[int, int] | None:
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


async def _send_at_once(data: bytes, status: int, headers: Mapping[str, str], send: Send) -> None:
    told = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": data})


async def _send_bytes_of(
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
