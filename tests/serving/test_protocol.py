"""Requests of the protocol as bytes and back: what is read, what is refused, what goes out."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import pytest

from clx.serving.failures import Refusal
from clx.serving.protocol import Inference, Wanted, answer, inference
from clx.serving.tensors import Tensor

X = {"name": "x", "datatype": "FP32", "shape": [2], "data": [1, 2]}


def sent(document: Any, *tensors: bytes) -> Inference:
    head = document if isinstance(document, bytes) else json.dumps(document).encode()
    return inference(head + b"".join(tensors), len(head) if tensors else None)


def test_a_request_of_json() -> None:
    found = sent(
        {
            "id": "7",
            "inputs": [X],
            "outputs": [{"name": "y", "parameters": {"binary_data": True}}],
            "parameters": {"timeout": 5000, "priority": 2, "mine": "kept"},
        }
    )
    assert (found.id, found.timeout, found.priority, found.parameters["mine"]) == ("7", 5000, 2, "kept")
    assert found.outputs == [Wanted("y", binary=True)]
    assert found.inputs == [Tensor("x", "FP32", (2,), struct.pack("<2f", 1, 2))]


def test_binary_tensors_follow_the_json_in_their_order() -> None:
    first = {"name": "a", "datatype": "INT8", "shape": [2], "parameters": {"binary_data_size": 2}}
    second = {"name": "b", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 5}}
    found = sent({"inputs": [first, X, second]}, b"\1\2", b"\1\0\0\0!")
    assert [(each.name, bytes(each.data)) for each in found.inputs if each.name != "x"] == [
        ("a", b"\1\2"),
        ("b", b"\1\0\0\0!"),
    ]


def test_numbers_that_json_does_not_have_are_read() -> None:
    found = sent(b'{"inputs":[{"name":"x","datatype":"FP64","shape":[3],"data":[NaN,Infinity,-Infinity]}]}')
    values = struct.unpack("<3d", found.inputs[0].data)
    assert math.isnan(values[0])
    assert values[1:] == (math.inf, -math.inf)


@pytest.mark.parametrize(
    ("document", "text"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"\xff", "no JSON"),
        (b'"\xad"', "no JSON"),
        (b"[" * 100_000, "nested too deeply"),
        ([], "list of inputs"),
        ({}, "list of inputs"),
        ({"inputs": {}}, "list of inputs"),
        ({"inputs": [3]}, "no object with a name"),
        ({"inputs": [{**X, "name": 3}]}, "no object with a name"),
        ({"inputs": [{**X, "datatype": "FP8"}]}, "is none of"),
        ({"inputs": [{**X, "datatype": []}]}, "is none of"),
        ({"inputs": [{**X, "shape": [3]}]}, "2 elements were sent"),
        ({"inputs": [{**X, "parameters": []}]}, "no object"),
        ({"inputs": [{**X, "parameters": {"binary_data_size": 8}}]}, "has data and binary_data_size"),
        ({"inputs": [{k: v for k, v in X.items() if k != "data"}]}, "neither data"),
        ({"inputs": [X, X]}, "twice"),
        ({"inputs": [X], "outputs": {}}, "outputs are no list"),
        ({"inputs": [X], "outputs": [1]}, "no object with a name"),
        ({"inputs": [X], "outputs": [{"name": "y", "parameters": {"classification": 3}}]}, "classification"),
        ({"inputs": [X], "outputs": [{"name": "y", "parameters": {"binary_data": 1}}]}, "binary_data"),
        ({"inputs": [X], "id": 4}, "id is no text"),
        ({"inputs": [X], "id": 0}, "id is no text"),
        ({"inputs": [X], "id": []}, "id is no text"),
        ({"inputs": [X], "id": "\ud800"}, "id is no text"),
        ({"inputs": [{**X, "name": "\udfff"}]}, "no object with a name"),
        ({"inputs": [{**X, "name": "x" * 257}]}, "no object with a name"),
        (b'{"inputs":[],"parameters":{"timeout":' + b"9" * 5000 + b"}}", "no JSON"),
        ({"inputs": [X], "parameters": {"timeout": -1}}, "timeout"),
        ({"inputs": [X], "parameters": {"timeout": 1.5}}, "timeout"),
        ({"inputs": [X], "parameters": {"timeout": True}}, "timeout"),
        ({"inputs": [X], "parameters": {"priority": "1"}}, "priority"),
        ({"inputs": [X], "parameters": {"sequence_id": 4}}, "sequences"),
    ],
)
def test_what_is_no_request_is_refused_by_what_is_wrong(document: Any, text: str) -> None:
    with pytest.raises(Refusal, match=text) as raised:
        sent(document)
    assert raised.value.status == 400


@pytest.mark.parametrize(
    ("size", "rest", "header"),
    [(8, b"1234567", None), (9, b"12345678", None), (8, b"123456789", None), (-1, b"", None), (True, b"1", None)],
)
def test_sizes_that_do_not_fit_what_was_sent_are_refused(size: Any, rest: bytes, header: int | None) -> None:
    head = json.dumps(
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": size}}]}
    )
    with pytest.raises(Refusal):
        inference(head.encode() + rest, len(head) if header is None else header)


@pytest.mark.parametrize("header", [0, 10_000])
def test_a_length_of_the_json_that_the_body_does_not_have_is_refused(header: int) -> None:
    with pytest.raises(Refusal, match="Inference-Header-Content-Length"):
        inference(json.dumps({"inputs": [X]}).encode(), header)


Y = Tensor("y", "FP32", (2,), struct.pack("<2f", 1, 2))
Z = Tensor("z", "INT8", (), b"\x09")


def test_all_outputs_go_out_as_json_when_nothing_was_said() -> None:
    size, parts = answer(Inference([], id="7"), "m", "1", [Y, Z])
    assert size is None
    assert json.loads(b"".join(parts)) == {
        "model_name": "m",
        "model_version": "1",
        "id": "7",
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [2], "data": [1.0, 2.0]},
            {"name": "z", "datatype": "INT8", "shape": [], "data": [9]},
        ],
    }


def test_each_output_goes_out_as_was_said_in_the_order_of_the_request() -> None:
    asked = Inference([], [Wanted("z", binary=True), Wanted("y", binary=False)])
    size, parts = answer(asked, "m", "1", [Y, Z])
    body = b"".join(parts)
    assert size is not None
    assert body[size:] == b"\x09"
    z, y = json.loads(body[:size])["outputs"]
    assert (z["parameters"], "data" in z, y["data"]) == ({"binary_data_size": 1}, False, [1.0, 2.0])


@pytest.mark.parametrize(("datatype", "code"), [("FP16", "e"), ("FP32", "f"), ("FP64", "d")])
def test_numbers_that_json_does_not_have_go_out_as_they_came(datatype: str, code: str) -> None:
    given = Tensor("y", datatype, (3,), struct.pack(f"<3{code}", math.nan, math.inf, -math.inf))
    _, parts = answer(Inference([]), "m", "1", [given])
    assert b'"data": [NaN, Infinity, -Infinity]' in b"".join(parts)


def test_an_output_that_there_is_not_is_refused_by_those_that_there_are() -> None:
    with pytest.raises(Refusal, match="no output q: there are y, z"):
        answer(Inference([], [Wanted("q", binary=False)]), "m", "1", [Y, Z])


def test_the_same_json_before_other_numbers_is_the_same_request_of_those() -> None:
    x = {"name": "x", "datatype": "INT8", "shape": [2], "parameters": {"binary_data_size": 2}}
    document = {"id": "again", "inputs": [x], "parameters": {"timeout": 7, "binary_data_output": True}}
    first, second = sent(document, b"\1\2"), sent(document, b"\3\4")
    assert [bytes(each.inputs[0].data) for each in (first, second)] == [b"\1\2", b"\3\4"]
    assert (second.id, second.timeout, second.binary, second.inside) == ("again", 7, True, first.inside)
    with pytest.raises(Refusal):
        sent(document, b"\1\2\3")
    with pytest.raises(Refusal):
        inference(json.dumps(document).encode(), 10**6)


def test_what_bytes_have_to_be_looked_at_for_is_looked_at_each_time() -> None:
    x = {"name": "x", "datatype": "BOOL", "shape": [2], "parameters": {"binary_data_size": 2}}
    sent({"inputs": [x]}, b"\1\0")
    with pytest.raises(Refusal, match="BOOL"):
        sent({"inputs": [x]}, b"\1\2")


def test_numbers_whose_sum_is_not_finite_may_be_so() -> None:
    largest = struct.pack("<2d", 1.7e308, 1.7e308)
    _, [body] = answer(Inference([]), "m", "1", [Tensor("y", "FP64", (2,), largest)])
    assert json.loads(body)["outputs"][0]["data"] == [1.7e308, 1.7e308]
