"""Arrays and scalars of numpy: an array is an artifact, its elements in C order and little-endian.

A restored array is read-only; a large one is mapped into memory from the store's own file. Sent on as it is, it is not
read again: its digest is known.
"""

from __future__ import annotations

import math
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterator
from hashlib import sha256
from mmap import mmap
from typing import Any
from weakref import ref

import numpy as np
from numpy.lib.format import descr_to_dtype, dtype_to_descr

from clx.routines.codecs.canonical import (
    Files,
    NoFiles,
    Refusal,
    Sink,
    Writer,
    alone,
    as_type,
    list_text,
    need,
    quoted,
)
from clx.routines.codecs.mapping import MAPPED, MAPPED_FROM, map_object

_BLOCK = 16 << 20
_SENT: dict[int, ref[Any]] = {}
"""Large arrays that were sent, as long as they live, by their ids."""
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
    dtype, sink = _little(value.dtype), need(files)
    digest = None if isinstance(sink, NoFiles) else _known(value, dtype, sink)
    if digest is None:
        digest, _ = sink.put_written(lambda stream: _write(value.view(np.ndarray), dtype, stream.write))
    shape = ",".join(map(str, value.shape))
    return f'{{"$a":["npy",{_dtype_text(dtype)},[{shape}],"{digest}"]}}'


def _write(array: Array, dtype: np.dtype[Any], write: Callable[[Any], Any]) -> None:
    """The elements as they are sent: as they lie in memory if they lie so, else some at a time."""
    if array.nbytes == 0:
        return
    if array.dtype == dtype and array.flags.c_contiguous and dtype.fields is None:
        write(array.reshape(-1).view(np.uint8))
    elif array.ndim == 0 or array.nbytes <= _BLOCK:
        block = np.zeros(array.shape, dtype)  # so that what lies between fields is nothing
        block[...] = array
        write(block.reshape(-1).view(np.uint8))
    else:
        rows = max(1, _BLOCK * len(array) // array.nbytes)
        for start in range(0, len(array), rows):
            _write(array[start : start + rows], dtype, write)


def _known(array: Array, dtype: np.dtype[Any], files: Sink) -> str | None:
    """The digest of a large array that is an object of the store, all of it and unchanged."""
    if array.nbytes < MAPPED_FROM or not array.flags.c_contiguous or array.dtype != dtype or dtype.fields is not None:
        return None
    base: Any = array
    while isinstance(base, np.ndarray | memoryview):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    digest = MAPPED.get(base) if isinstance(base, mmap) else None
    if digest is None or (array.nbytes, _address(array)) != (len(base), _address(np.frombuffer(base, np.uint8))):
        digest = _digest_of_one_sent_before(array)
    return digest if digest and files.holds(digest, array.nbytes) else None


def _digest_of_one_sent_before(array: Array) -> str:
    """Of an array that was sent before: it may still be the same, and reading takes less than writing."""
    sent, name = _SENT.get(id(array)), id(array)
    if sent is not None and sent() is array:
        return sha256(array.reshape(-1).view(np.uint8).data).hexdigest()
    _SENT[name] = ref(array, lambda _: _SENT.pop(name, None))
    return ""


def _address(array: Array) -> int:
    return array.__array_interface__["data"][0]  # type: ignore[no-any-return]


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
