"""Canonical values as plain JSON, for people and other programs: ``{"$tuple": …}`` and the like are left out.

No class is needed for it, and nothing is imported; what it makes cannot be read back as the value it was.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clx.artifacts.store import ArtifactStore

_LONGEST, _SHORT = 200, 60
"""Characters of a value in a line of its own, and of an argument."""
_PREVIEW = 10
"""Elements of an array that are shown."""
_FORMS = {
    "|b1": "?", "|i1": "b", "|u1": "B", "<i2": "h", "<u2": "H", "<i4": "i", "<u4": "I", "<i8": "q", "<u8": "Q",
    "<f2": "e", "<f4": "f", "<f8": "d",
}  # fmt: skip
"""How :mod:`struct` calls types of elements."""


def plain(told: Any, files: ArtifactStore | Any | None = None) -> Any:
    """What *told*, a parsed canonical value, says in plain JSON.

    Args:
        files: where large values are; None: these are told by their size.
    """
    if isinstance(told, list):
        return [plain(each, files) for each in told]
    if not isinstance(told, dict):
        return told
    if len(told) == 1:
        ((tag, data),) = told.items()
        if tag == "$large":
            return _large(data, files)
        if tag in _TAGS:
            try:
                return _TAGS[tag](data, files)
            except (TypeError, ValueError, LookupError):  # another program wrote it
                return told
    return {name: plain(each, files) for name, each in told.items()}


def _large(data: Any, files: Any) -> Any:
    if files is None:
        return f"({data[1] / 1024:,.0f} KiB)" if isinstance(data, list) and len(data) == 2 else str(data)
    return plain(json.loads(files.get_bytes(data[0])), files)


def _listed(data: Any, files: Any) -> Any:
    return [plain(each, files) for each in data]


def _paired(data: Any, files: Any) -> Any:
    pairs = [(plain(key, files), plain(value, files)) for key, value in data]
    return {key if isinstance(key, str) else json.dumps(key, ensure_ascii=False): value for key, value in pairs}


def _table(data: Any, files: Any) -> Any:
    kind, *more = data
    if kind == "npy":
        dtype, shape, digest = more
        first = _first(dtype, shape, digest, files)
        return {"array": {"dtype": dtype, "shape": shape, **first, "sha256": digest}}
    (digest, size), name, *_ = more
    return {"table": {"kind": name, "bytes": size, "sha256": digest}}


def _first(dtype: Any, shape: list[int], digest: str, files: Any) -> dict[str, Any]:
    """The first elements of an array, where they are plain numbers and can be read."""
    form = _FORMS.get(dtype) if isinstance(dtype, str) else None
    if files is None or form is None:
        return {}
    size, count = struct.calcsize(form), min(_PREVIEW, math.prod(shape))
    data = b""
    if count:
        with files.reader(digest) as stream:
            data = stream.read(size * count)
    found = [value for (value,) in struct.iter_unpack(f"<{form}", data[: len(data) // size * size])]
    return {"first": [value if math.isfinite(value) else str(value) for value in found]}


_TAGS: dict[str, Callable[[Any, Any], Any]] = {
    "$t": _listed,
    "$s": _listed,
    "$fs": _listed,
    "$m": _paired,
    "$i": lambda data, _: int(data) if len(data) < 4000 else data,
    "$f": lambda data, _: data,
    "$b": lambda data, _: data,
    "$bytes": lambda data, _: {"bytes": data[1], "sha256": data[0]},
    "$o": lambda data, files: plain(data[2], files),
    "$e": lambda data, files: plain(data[2], files),
    "$n": lambda data, _: {"numpy": data},
    "$a": _table,
    "$file": lambda data, _: {"file": data[2], "size": data[1], "sha256": data[0]},
    "$path": lambda data, _: data[1],
    "$date": lambda data, _: data,
    "$time": lambda data, _: data[0],
    "$datetime": lambda data, _: data[0],
    "$timedelta": lambda data, _: data[0] * 86400 + data[1] + data[2] / 1e6,
    "$decimal": lambda data, _: data,
    "$uuid": lambda data, _: data,
    "$complex": lambda data, files: [plain(each, files) for each in data],
}


def line(told: Any, most: int = _LONGEST) -> str:
    """A canonical value in one line of *most* characters."""
    text = json.dumps(plain(told), ensure_ascii=False)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def arguments_line(payload: Any) -> str:
    """The arguments in the payload of a job, as one writes them."""
    told = payload.get("arguments") if isinstance(payload, dict) else None
    if not isinstance(told, dict):
        return line(payload)
    return ", ".join(f"{name}={line(value, _SHORT)}" for name, value in told.items())
