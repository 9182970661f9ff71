"""Whether a model of ONNX keeps its weights in other files, told from its bytes alone.

Only what leads to tensors is looked at, by the numbers of onnx.proto; weights themselves are passed over. A file that
is damaged ends the search: whoever loads it says what is wrong.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

IN_OTHER_FILES = "its weights in other files ({}): save it as one, onnx.save(model, path, save_as_external_data=False)"
_TENSOR = "tensor"
_LEADS_TO: Final = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node"},
    "graph": {1: "node", 5: _TENSOR, 15: "sparse"},
    "sparse": {1: _TENSOR, 2: _TENSOR},
    "node": {5: "attribute"},
    "attribute": {5: _TENSOR, 6: "graph", 10: _TENSOR, 11: "graph", 22: "sparse", 23: "sparse"},
}
"""By the kind of a message: its fields that are messages, and of which kind those are."""
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_FIXED: Final = {1: 8, 5: 4}
"""Bytes of values by their wire type."""
_MOST = 20
"""Names that are told."""


def other_files(data: bytes | memoryview | mmap.mmap) -> list[str]:
    """The names of files beside a model that have its weights, in order; none: it has them itself."""
    with memoryview(data) as whole:
        found: dict[str, None] = {}
        left = [("model", 0, len(whole))]
        while left and len(found) < _MOST:
            kind, begin, end = left.pop()
            if kind == _TENSOR:
                name = _file_of(whole, begin, end)
                if name is not None:
                    found[name] = None
                continue
            leads = _LEADS_TO[kind]
            left += [(leads[field], at, to) for field, at, to in _fields(whole, begin, end) if field in leads]
    return sorted(found)


def other_files_of(path: Path) -> list[str]:
    """The same of a file; none if it cannot be read."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return other_files(data)
    except (OSError, ValueError):  # an empty one has nothing to map
        return []


def _file_of(data: memoryview, begin: int, end: int) -> str | None:
    """The file that a tensor's numbers are in; None: they are in the tensor."""
    is_elsewhere, names = False, []
    for field, at, to in _fields(data, begin, end):
        if field == _DATA_LOCATION and to < at:
            is_elsewhere = -to - 1 != 0
        elif field == _EXTERNAL_DATA and to >= at:
            said = {each: bytes(data[a:b]) for each, a, b in _fields(data, at, to) if b >= a}
            if said.get(1) == b"location":
                names.append(said.get(2, b"").decode("utf-8", "replace"))
    return (names[-1] if names else "?") if is_elsewhere or names else None


def _fields(data: memoryview, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The fields of a message: number, and where its bytes begin and end; of a number *n* the end is ``-n - 1``."""
    at = begin
    while at < end:
        key, at = _number(data, at, end)
        wire = key & 7
        if wire == 0:
            value, at = _number(data, at, end)
            if at < 0:
                return
            yield key >> 3, 0, -value - 1
            continue
        size = _FIXED.get(wire)
        if wire == 2 and at >= 0:
            size, at = _number(data, at, end)
        if at < 0 or size is None or at + size > end:
            return
        yield key >> 3, at, at + size
        at += size


def _number(data: memoryview, at: int, end: int) -> tuple[int, int]:
    """A number of variable length, and where it ends; -1: it does not."""
    value = shift = 0
    while 0 <= at < end and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    return 0, -1
