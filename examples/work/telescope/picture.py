"""Pictures without a package: a grid of numbers becomes a PNG."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

_COLOURS = ((13, 16, 51), (74, 35, 122), (183, 55, 105), (245, 125, 60), (250, 240, 170))
"""From the lowest number to the highest."""


def write_png(path: Path, rows: Sequence[Sequence[float]], scale: int = 4) -> str:
    """Write *rows* of numbers as a picture, each a square of *scale* × *scale* pixels; returns its path."""
    lowest = min(map(min, rows))
    span = max(map(max, rows)) - lowest or 1.0
    lines = []
    for row in rows:
        line = b"".join(bytes(_colour((value - lowest) / span)) * scale for value in row)
        lines += [b"\0" + line] * scale
    width, height = len(rows[0]) * scale, len(rows) * scale
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(b"".join(lines)))
        + _chunk(b"IEND", b"")
    )
    return path.as_posix()


def _colour(share: float) -> tuple[int, ...]:
    at = share * (len(_COLOURS) - 1)
    index = min(int(at), len(_COLOURS) - 2)
    pair = zip(_COLOURS[index], _COLOURS[index + 1], strict=True)
    return tuple(round(low + (high - low) * (at - index)) for low, high in pair)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
