"""Bodies that come compressed."""

from __future__ import annotations

import zlib

from clx.serving.failures import Refusal


def decompressed(body: bytes, coding: str, largest: int, most: int | None = None) -> bytes | None:
    """A body as it was before it was compressed; None: it has more than *most* bytes.

    Raises:
        Refusal: the coding is unknown, the body is damaged, or larger than *largest*.
    """
    if coding in ("", "identity"):
        return body
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise Refusal("malformed", "content-encoding is neither gzip nor deflate")
    bits = 31 if coding != "deflate" else (15 if body[:1] and body[0] & 0x0F == 8 else -15)
    bound = largest if most is None else min(largest, most)
    try:
        unpacker = zlib.decompressobj(bits)
        found = unpacker.decompress(body, bound + 1)
    except zlib.error:
        raise Refusal("malformed", f"the body is no {coding}") from None
    if len(found) > bound:
        if bound < largest:
            return None
        raise Refusal("too_large", f"a body may have {largest} bytes when it is decompressed")
    if not unpacker.eof:
        raise Refusal("malformed", f"the body is no whole {coding}")
    return found
