"""Tensors as they travel: a name, a datatype, a shape, and bytes in the order of the protocol (little endian).

No NumPy here: the controller, which never computes, does without it.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any, Final, NamedTuple

from clx.serving.failures import Refusal

MOST_ELEMENTS = 1 << 30
MOST_DIMENSIONS = 16
MOST_TEXTS = 1 << 20
"""Elements of a tensor of BYTES: each is looked at."""
MOST_AS_JSON = 1 << 22
"""Elements of an output that goes out as JSON: each becomes an object before it is written."""


class Datatype(NamedTuple):
    """A datatype of the Open Inference Protocol.

    Attributes:
        size: bytes of an element; 0: as many as each says.
        code: how :mod:`array` calls it; empty: it does not.
        kind: ``int``, ``float``, ``bool`` or ``bytes``.
    """

    size: int
    code: str
    kind: str


DATATYPES: Final = {
    "BOOL": Datatype(1, "", "bool"),
    "UINT8": Datatype(1, "B", "int"),
    "UINT16": Datatype(2, "H", "int"),
    "UINT32": Datatype(4, "I", "int"),
    "UINT64": Datatype(8, "Q", "int"),
    "INT8": Datatype(1, "b", "int"),
    "INT16": Datatype(2, "h", "int"),
    "INT32": Datatype(4, "i", "int"),
    "INT64": Datatype(8, "q", "int"),
    "FP16": Datatype(2, "", "float"),
    "FP32": Datatype(4, "f", "float"),
    "FP64": Datatype(8, "d", "float"),
    "BYTES": Datatype(0, "", "bytes"),
}
"""Datatypes by name."""


@dataclass(slots=True)
class Tensor:
    """A tensor.

    Attributes:
        name: of the input or output.
        datatype: one of :data:`DATATYPES`.
        shape: its dimensions.
        data: its elements, little endian; of ``BYTES`` four bytes with the length before each.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: bytes | memoryview


def elements(name: str, shape: Any) -> tuple[tuple[int, ...], int]:
    """A shape that was received, and how many elements it has.

    Raises:
        Refusal: it is none.
    """
    if not isinstance(shape, list) or len(shape) > MOST_DIMENSIONS:
        raise Refusal("malformed", f"input {name}: shape is not a list of at most {MOST_DIMENSIONS} numbers")
    for each in shape:
        if type(each) is not int or not 0 <= each <= MOST_ELEMENTS:
            raise Refusal("malformed", f"input {name}: a dimension of its shape is no whole number from 0 up")
    count = prod(shape)
    if count > MOST_ELEMENTS:
        raise Refusal("too_large", f"input {name}: its shape has {count} elements, more than {MOST_ELEMENTS}")
    return tuple(shape), count


def from_bytes(name: str, datatype: str, shape: tuple[int, ...], count: int, data: memoryview) -> Tensor:
    """A tensor that was sent as bytes.

    Raises:
        Refusal: they are not as many as shape and datatype say.
    """
    size = DATATYPES[datatype].size
    if size and len(data) != count * size:
        raise Refusal(
            "malformed",
            f"input {name}: {len(data)} bytes were sent; shape {list(shape)} of {datatype} has {count * size}",
        )
    if not size:
        _check_texts(name, count, data)
    elif datatype == "BOOL" and bytes(data).translate(None, b"\0\1"):
        raise Refusal("malformed", f"input {name}: an element of BOOL is neither 0 nor 1")
    return Tensor(name, datatype, shape, data)


def _check_texts(name: str, count: int, data: memoryview) -> None:
    if count > MOST_TEXTS:
        raise Refusal("too_large", f"input {name}: a tensor of BYTES may have {MOST_TEXTS} elements")
    ends = [end for _, end in texts(data)]
    if len(ends) != count or (ends[-1] if ends else 0) != len(data):
        raise Refusal("malformed", f"input {name}: the bytes sent are not the {count} elements that its shape has")


def texts(data: bytes | memoryview) -> Iterator[tuple[int, int]]:
    """Where each element of a tensor of ``BYTES`` begins and ends, without the four bytes that tell its length.

    A last one that is not whole ends behind the data, or is not told.
    """
    at, end = 0, len(data)
    while at + 4 <= end:
        begin = at + 4
        at = begin + int.from_bytes(data[at:begin], "little")
        yield begin, at


def packed_texts(elements: Iterable[bytes]) -> bytes:
    """The bytes of a tensor of ``BYTES``."""
    return b"".join(chain.from_iterable((len(each).to_bytes(4, "little"), each) for each in elements))


def from_json(name: str, datatype: str, shape: tuple[int, ...], count: int, data: Any) -> Tensor:
    """A tensor that was sent as numbers or texts, flat or nested.

    Raises:
        Refusal: they are others, or not as many, as shape and datatype say.
    """
    if not isinstance(data, list):
        raise Refusal("malformed", f"input {name}: data is not a list")
    while data and isinstance(data[0], list):
        try:
            data = list(chain.from_iterable(data))
        except TypeError:
            raise Refusal("malformed", f"input {name}: data is nested unevenly") from None
    if len(data) != count:
        raise Refusal("malformed", f"input {name}: {len(data)} elements were sent; shape {list(shape)} has {count}")
    try:
        return Tensor(name, datatype, shape, _packed(DATATYPES[datatype], data))
    except (TypeError, ValueError, OverflowError, struct.error, AttributeError):
        raise Refusal("malformed", f"input {name}: an element of data is no {datatype}") from None


def _packed(datatype: Datatype, data: Sequence[Any]) -> bytes:
    if datatype.kind == "bool":
        if not all(each is True or each is False or each in (0, 1) for each in data):
            raise ValueError
        return bytes(map(int, data))
    if datatype.kind == "bytes":
        return packed_texts(each.encode() for each in data)
    if not datatype.code:
        return struct.pack(f"<{len(data)}e", *data)
    packed = array(datatype.code, data)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def to_json(tensor: Tensor) -> list[Any]:
    """Its elements as JSON has them.

    Raises:
        Refusal: an element of BYTES is no text.
    """
    datatype = DATATYPES[tensor.datatype]
    if prod(tensor.shape) > MOST_AS_JSON:
        raise Refusal("too_large", f"output {tensor.name} has more than {MOST_AS_JSON} elements: ask for binary data")
    if datatype.code:
        found = array(datatype.code)
        found.frombytes(tensor.data)
        if sys.byteorder == "big":
            found.byteswap()
        return found.tolist()
    if datatype.kind == "bool":
        return [each != 0 for each in tensor.data]
    if datatype.kind == "float":
        return list(struct.unpack(f"<{len(tensor.data) // 2}e", tensor.data))
    data = memoryview(tensor.data)
    try:
        return [str(data[begin:end], "utf-8") for begin, end in texts(data)]
    except UnicodeDecodeError:
        raise Refusal("malformed", f"output {tensor.name} is no text: ask for it as binary data") from None
