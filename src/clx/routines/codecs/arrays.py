"""Arrays and scalars of numpy: an array is an artifact, its elements in C order and little-endian.

A restored array is read-only; a large one is mapped into memory from the store's own file. Sent on as it is, it is not
read again: its digest is known.
"""

from __future__ import annotations

import math
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.lib.format import descr_to_dtype, dtype_to_descr

from clx.routines.codecs.canonical import (
    Files,
    Refusal,
    Sink,
    Writer,
    alone,
    as_type,
    find_object,
    list_text,
    need,
    quoted,
)

MAPPED_FROM = 64 << 10
"""Bytes from which on an object is mapped and not read."""
UNREAD_FROM = 64 << 20
"""Bytes from which on its digest is not looked at again: that would take as long as the first time."""
_BLOCK = 16 << 20
_MAPPED: WeakKeyDictionary[mmap, tuple[str, int, int]] = WeakKeyDictionary()
"""Objects that are mapped → digest, bytes, where they lie in memory."""
Array = np.ndarray[Any, np.dtype[Any]]


def writer(kind: type) -> Writer | None:
    """How values of *kind* are written; subclasses of ``ndarray`` but memory maps are not."""
    if kind in (np.ndarray, np.memmap):
        return _array_text
    return alone(_scalar_text) if issubclass(kind, np.generic) and kind is not np.object_ else None


# -- types of elements --------------------------------------------------------------------------------


def _little(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """*dtype* as it is sent.

    Raises:
        Refusal: its elements are no plain bytes.
    """
    for each in _leaves(dtype):
        is_wide = (each.kind == "f" and each.itemsize > 8) or (each.kind == "c" and each.itemsize > 16)
        if each.hasobject or each.kind not in "biufcmMSUV" or is_wide or np.dtype(each.str) != each:
            raise Refusal(
                f"numpy elements of the type {each} cannot be sent.",
                "Make it an array of numbers, texts of a fixed length or times: array.astype(…).",
            )
    return dtype.newbyteorder("<")


def _leaves(dtype: np.dtype[Any]) -> Iterator[np.dtype[Any]]:
    if dtype.fields is None:
        yield dtype if dtype.subdtype is None else dtype.base
        return
    for field, *_ in dtype.fields.values():
        yield from _leaves(field.base)


def _dtype_text(dtype: np.dtype[Any]) -> str:
    return quoted(dtype.str) if dtype.fields is None else list_text(_as_lists(dtype_to_descr(dtype)), None, 0)


def _as_lists(data: Any) -> Any:
    return [_as_lists(each) for each in data] if isinstance(data, list | tuple) else data


def _dtype_of(data: Any) -> np.dtype[Any]:
    """The type of elements that a row names.

    Raises:
        Refusal: it is none that is sent.
        ValueError, TypeError: it is none.
    """
    found = np.dtype(data) if type(data) is str else descr_to_dtype(_as_descr(data))
    if _little(found) != found or (type(data) is str and found.str != data):
        raise ValueError(f"{str(data)[:60]} is not how a type of elements is written")
    return found


def _as_descr(data: Any) -> Any:
    if type(data) is str:
        return data
    fields = []
    for name, inner, *shape in as_type(list, data):
        fields.append((as_type(str, name), _as_descr(inner), *(tuple(as_type(list, each)) for each in shape)))
    return fields


# -- scalars ------------------------------------------------------------------------------------------


def _scalar_text(value: Any) -> str:
    array = np.asarray(value)
    array = array.astype(_little(array.dtype))
    if array.dtype.kind in "SU" and array[()] != value:
        raise Refusal("numpy drops the zeros at its end.", "Send it as str or bytes.")
    if array.dtype.kind == "f" and np.isnan(value):
        array = np.asarray(np.nan, array.dtype)
    return f'{{"$n":[{_dtype_text(array.dtype)},"{b2a_base64(array.tobytes(), newline=False).decode()}"]}}'


def _scalar(data: Any) -> Any:
    kind, text = as_type(list, data, 2)
    [found] = np.frombuffer(a2b_base64(as_type(str, text), strict_mode=True), _dtype_of(kind))
    return found


READ = {"$n": alone(_scalar)}


# -- arrays -------------------------------------------------------------------------------------------


def _array_text(value: Array, files: Sink | None, depth: int) -> str:  # noqa: ARG001
    dtype = _little(value.dtype)
    digest = _known(value, dtype, need(files))
    if digest is None:
        digest, _ = need(files).put_buffers(_buffers(value.view(np.ndarray), dtype))
    shape = ",".join(map(str, value.shape))
    return f'{{"$a":["npy",{_dtype_text(dtype)},[{shape}],"{digest}"]}}'


def _buffers(array: Array, dtype: np.dtype[Any]) -> Iterator[Array]:
    """The elements as they are sent: as they lie in memory if they lie so, else some at a time."""
    if array.nbytes == 0:
        return
    if array.dtype == dtype and array.flags.c_contiguous and dtype.fields is None:
        yield array.reshape(-1).view(np.uint8)
        return
    if array.ndim == 0 or array.nbytes <= _BLOCK:
        block = np.zeros(array.shape, dtype)  # so that what lies between fields is nothing
        block[...] = array
        yield block.reshape(-1).view(np.uint8)
        return
    rows = max(1, _BLOCK * len(array) // array.nbytes)
    for start in range(0, len(array), rows):
        yield from _buffers(array[start : start + rows], dtype)


def _known(array: Array, dtype: np.dtype[Any], files: Sink) -> str | None:
    """The digest of an array that is an object of the store, all of it and unchanged."""
    base: Any = array
    while isinstance(base, np.ndarray | memoryview):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    digest, size, address = _MAPPED.get(base, ("", 0, 0)) if isinstance(base, mmap) else ("", 0, 0)
    is_whole = array.nbytes == size and array.__array_interface__["data"][0] == address
    if digest and is_whole and array.flags.c_contiguous and array.dtype == dtype and files.has(digest, size):
        return digest
    return None


def read(data: Any, files: Files | None, depth: int) -> Array:  # noqa: ARG001
    """The array that ``$a`` with ``npy`` stands for."""
    _, kind, lengths, digest = as_type(list, data, 4)
    dtype, shape = _dtype_of(kind), tuple(as_type(int, each) for each in as_type(list, lengths))
    if min(shape, default=0) < 0:
        raise ValueError("a length below 0")
    size = math.prod(shape) * dtype.itemsize
    if size == 0:
        found: Array = np.zeros(shape, dtype)
        found.flags.writeable = False
        return found
    return np.frombuffer(map_object(need(files), digest, size), dtype).reshape(shape)


def map_object(files: Files, digest: Any, size: Any) -> mmap | bytes:
    """The bytes of an object; those of a large one are read when they are used.

    Raises:
        Refusal: it has another size.
        ArtifactError: it is missing or damaged.
    """
    find_object(files, digest, size)
    if size < MAPPED_FROM:
        return files.get_bytes(digest)
    if size < UNREAD_FROM:
        files.require_whole(digest)
    with files.reader(digest) as stream:
        found = mmap(stream.fileno(), 0, access=ACCESS_READ)
    if len(found) != size:
        raise Refusal(f"artifact {digest[:12]} has {len(found)} bytes, not {size}.")
    _MAPPED[found] = (digest, size, np.frombuffer(found, np.uint8).__array_interface__["data"][0])
    return found
