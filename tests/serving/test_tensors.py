"""Tensors: numbers and texts to bytes of the protocol and back, and what is none."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from clx.serving.failures import Refusal
from clx.serving.tensors import DATATYPES, Tensor, elements, from_bytes, from_json, to_json


@pytest.mark.parametrize(
    ("datatype", "data", "packed"),
    [
        ("BOOL", [True, False, 1, 0], b"\1\0\1\0"),
        ("UINT8", [0, 255], b"\0\xff"),
        ("INT8", [-128, 127], b"\x80\x7f"),
        ("UINT16", [65535], b"\xff\xff"),
        ("INT16", [-2], b"\xfe\xff"),
        ("UINT32", [1 << 31], b"\0\0\0\x80"),
        ("INT32", [-1], b"\xff" * 4),
        ("UINT64", [(1 << 64) - 1], b"\xff" * 8),
        ("INT64", [-(1 << 63)], b"\0" * 7 + b"\x80"),
        ("FP16", [1.5, -2], struct.pack("<2e", 1.5, -2)),
        ("FP32", [0.5, 3], struct.pack("<2f", 0.5, 3)),
        ("FP64", [1e300], struct.pack("<d", 1e300)),
        ("BYTES", ["", "é"], b"\0\0\0\0\2\0\0\0\xc3\xa9"),
    ],
)
def test_elements_are_packed_and_unpacked(datatype: str, data: list[Any], packed: bytes) -> None:
    made = from_json("x", datatype, (len(data),), len(data), data)
    assert bytes(made.data) == packed
    assert to_json(made) == data
    assert to_json(from_bytes("x", datatype, (len(data),), len(data), memoryview(packed))) == data


def test_every_datatype_takes_no_elements() -> None:
    for name in DATATYPES:
        made = from_json("x", name, (0, 3), 0, [])
        assert to_json(made) == to_json(from_bytes("x", name, (0,), 0, memoryview(b""))) == []


def test_nested_data_is_the_same_as_flat() -> None:
    assert from_json("x", "INT8", (2, 2), 4, [[1, 2], [3, 4]]) == from_json("x", "INT8", (2, 2), 4, [1, 2, 3, 4])


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("UINT8", [256]),
        ("UINT8", [-1]),
        ("INT64", [1 << 63]),
        ("INT32", [1.5]),
        ("INT32", ["1"]),
        ("INT32", [None]),
        ("FP32", [[1], 2]),
        ("FP32", [{}]),
        ("FP16", [70000.0]),
        ("FP64", [10**400]),
        ("BOOL", [2]),
        ("BOOL", ["true"]),
        ("BOOL", [[]]),
        ("BYTES", [1]),
        ("BYTES", ["\ud800"]),
        ("INT8", 5),
        ("INT8", {"a": 1}),
        ("INT8", [1, 2, 3]),
    ],
)
def test_what_is_no_element_is_refused(datatype: str, data: Any) -> None:
    with pytest.raises(Refusal) as raised:
        from_json("x", datatype, (1,), 1, data)
    assert raised.value.code == "malformed"


@pytest.mark.parametrize("shape", [None, "3", [1.0], [True], [-1], ["1"], [1 << 40], [1] * 17, [[1]]])
def test_what_is_no_shape_is_refused(shape: Any) -> None:
    with pytest.raises(Refusal):
        elements("x", shape)


def test_a_shape_with_more_elements_than_there_may_be_is_refused_by_number() -> None:
    with pytest.raises(Refusal) as raised:
        elements("x", [1 << 20, 1 << 20])
    assert raised.value.status == 413


@pytest.mark.parametrize("data", [b"\5\0\0\0ab", b"\1\0\0", b"\1\0\0\0a\0", b"\xff\xff\xff\xff", b"\0\0\0\0\0\0\0\0"])
def test_bytes_that_are_not_one_text_are_refused(data: bytes) -> None:
    with pytest.raises(Refusal):
        from_bytes("x", "BYTES", (1,), 1, memoryview(data))


def test_bytes_that_are_no_text_cannot_go_out_as_json() -> None:
    with pytest.raises(Refusal, match="binary"):
        to_json(Tensor("y", "BYTES", (1,), b"\1\0\0\0\xff"))
