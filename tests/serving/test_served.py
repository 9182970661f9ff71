"""Models as the controller knows them: which requests fit, which run together, and each its part of what comes out."""

from __future__ import annotations

import pytest

from clx.serving.failures import Refusal
from clx.serving.frames import Spec
from clx.serving.protocol import Inference
from clx.serving.served import Served, joined, split
from clx.serving.tensors import Tensor, to_json


def model(*, batches: bool = True) -> Served:
    inputs = [Spec("a", "INT8", (-1, 2)), Spec("b", "INT8", (-1, -1))]
    return Served("m", "1", "m.onnx", "ready", inputs={each.name: each for each in inputs}, batches=batches)


def request(rows: int, width: int = 1, *, first: int = 0) -> Inference:
    a = bytes(range(first, first + rows * 2))
    return Inference([Tensor("a", "INT8", (rows, 2), a), Tensor("b", "INT8", (rows, width), bytes(rows * width))])


def test_rows_are_counted_and_those_that_look_alike_are_of_a_kind() -> None:
    assert model().check(request(3))[0] == 3
    assert model().check(request(3))[1] == model().check(request(5))[1]
    assert model().check(request(3))[1] != model().check(request(3, width=4))[1]
    assert model(batches=False).check(request(3)) == (1, None)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (Inference([]), "takes the inputs a, b; there were none"),
        (Inference([*request(1).inputs, Tensor("c", "INT8", (1,), b"1")]), "there were a, b, c"),
        (Inference([request(1).inputs[0], Tensor("c", "INT8", (1,), b"1")]), "there were a, c"),
        (Inference([Tensor("a", "UINT8", (1, 2), b"12"), request(1).inputs[1]]), "a is INT8, not UINT8"),
        (Inference([Tensor("a", "INT8", (1, 3), b"123"), request(1).inputs[1]]), r"shape \[any, 2\], not \[1, 3\]"),
        (Inference([Tensor("a", "INT8", (2,), b"12"), request(1).inputs[1]]), r"not \[2\]"),
        (Inference([request(2).inputs[0], request(1).inputs[1]]), "counts rows"),
        (request(0), "not 0"),
    ],
)
def test_what_does_not_fit_is_refused_by_what_would(asked: Inference, text: str) -> None:
    with pytest.raises(Refusal, match=text):
        model().check(asked)


def test_requests_are_joined_by_the_names_of_their_inputs_and_split_again() -> None:
    first, second = request(1, first=10), request(2, first=20)
    second.inputs.reverse()
    together = joined([first.inputs, second.inputs], 3)
    assert [(each.name, each.shape) for each in together] == [("a", (3, 2)), ("b", (3, 1))]
    assert bytes(together[0].data) == bytes([10, 11, 20, 21, 22, 23])
    parts = split(together, [1, 2])
    assert [to_json(part[0]) for part in parts] == [[10, 11], [20, 21, 22, 23]]
    assert [part[0].shape for part in parts] == [(1, 2), (2, 2)]


def test_texts_are_split_where_each_row_ends() -> None:
    texts = ["a", "", "long one", "b"]
    data = b"".join(len(each).to_bytes(4, "little") + each.encode() for each in texts)
    parts = split([Tensor("y", "BYTES", (2, 2), data)], [1, 1])
    assert [to_json(part[0]) for part in parts] == [["a", ""], ["long one", "b"]]


def test_outputs_without_elements_are_split_too() -> None:
    parts = split([Tensor("y", "FP32", (3, 0), b"")], [2, 1])
    assert [part[0].shape for part in parts] == [(2, 0), (1, 0)]


def test_an_output_with_other_rows_than_went_in_is_nobodys() -> None:
    with pytest.raises(Refusal) as raised:
        split([Tensor("y", "FP32", (4,), bytes(16))], [1, 2])
    assert raised.value.status == 500
