"""Models that are Python."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from clx.serving.tensors import Tensor
from clx.serving.worker.callables import CallableModel
from clx.serving.worker.models import ModelError


class Doubled:
    """Twice what it is given."""

    def __init__(self) -> None:
        self.inputs = {"x": ("FP32", [-1, 2])}
        self.outputs = {"y": ("FP32", [-1, 2])}
        self.largest = 4

    def __call__(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"y": (given["x"] * 2).tolist()}


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    made: Any = ModuleType("their_models")
    made.Doubled = Doubled
    made.silent = lambda given: given
    monkeypatch.setitem(sys.modules, "their_models", made)
    return made  # type: ignore[no-any-return]


def test_a_class_is_called_once_and_then_for_each_batch(module: ModuleType) -> None:
    model = CallableModel(f"{module.__name__}:Doubled", ["their_models"])
    assert (model.largest, model.inputs[0].shape) == (4, (-1, 2))
    (found,) = model.run([Tensor("x", "FP32", (1, 2), np.array([1, 2], np.float32).tobytes())])
    assert (found.name, found.datatype, found.shape) == ("y", "FP32", (1, 2))
    assert np.frombuffer(found.data, np.float32).tolist() == [2, 4]
    assert model.run(model.sample(3))[0].shape == (3, 2)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("os:getcwd", "not among those"),
        ("their_models.inner:Doubled", "not among those"),
        ("their_models:gone", "AttributeError"),
        ("their_models:silent", "AttributeError"),
        ("", "not among those"),
    ],
)
def test_what_is_not_allowed_or_says_nothing_of_itself_is_no_model(module: ModuleType, code: str, text: str) -> None:
    with pytest.raises(ModelError, match=text):
        CallableModel(code, [module.__name__])


def test_what_it_raises_costs_the_batch(module: ModuleType) -> None:
    model = CallableModel(f"{module.__name__}:Doubled", ["their_models"])
    with pytest.raises(ModelError, match="KeyError"):
        model.run([])


@pytest.mark.parametrize(
    ("gives", "text"),
    [
        ({}, "no output y"),
        ({"y": [[1.0, 2.0]], "z": 1, "w": 2}, "outputs of which it says nothing: z, w"),
        ({"y": [[1.0, 2.0, 3.0]]}, r"output y has the shape \[1, 3\] where it says \[1, 2\]"),
        ({"y": [[1.0, 2.0]] * 3}, r"output y has the shape \[3, 2\] where it says \[1, 2\]"),
        ({"y": [1.0, 2.0]}, r"output y has the shape \[2\] where it says"),
        ({"y": [["a", "b"]]}, "has elements of <U1 where it says FP32"),
        ({"y": [[1j, 2j]]}, "has elements of complex128 where it says FP32"),
        ({"y": [[None, 1]]}, "has elements of object where it says FP32"),
        (None, "TypeError"),
        ("text", "ValueError"),
    ],
)
def test_what_was_not_promised_is_no_answer(module: Any, gives: Any, text: str) -> None:
    class Wrong(Doubled):
        def __call__(self, given: dict[str, Any]) -> Any:
            return gives

    module.Wrong = Wrong
    model = CallableModel("their_models:Wrong", ["their_models"])
    with pytest.raises(ModelError, match=text):
        model.run(model.sample(1))


def test_what_is_no_number_is_one_and_an_end_of_the_program_is_none(module: Any) -> None:
    class Odd(Doubled):
        def __call__(self, given: dict[str, Any]) -> Any:
            if given["x"].any():
                sys.exit(3)
            return {"y": [[float("nan"), float("-inf")]]}

    module.Odd = Odd
    model = CallableModel("their_models:Odd", ["their_models"])
    (found,) = model.run(model.sample(1))
    assert np.isnan(np.frombuffer(found.data, "<f4")[0])
    with pytest.raises(ModelError, match="SystemExit: 3"):
        model.run([Tensor("x", "FP32", (1, 2), np.ones(2, "<f4").tobytes())])
