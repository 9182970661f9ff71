"""Canonical values as plain JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clx.artifacts.store import ArtifactStore
from clx.routines.codecs import canonical
from clx.routines.readable import arguments_line, line, plain


@dataclass
class Model:
    name: str
    weights: tuple[float, ...]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1.5, 1.5),
        ((1, (2, 3)), [1, [2, 3]]),
        ({2, 1}, [1, 2]),
        ({"a": (1,)}, {"a": [1]}),
        ({1: "a", ("b", 2): "c"}, {"1": "a", '["b", 2]': "c"}),
        ({"$t": 1}, {"$t": 1}),
        (float("nan"), "nan"),
        (2**70, 2**70),
        (Decimal("0.10"), "0.10"),
        (date(2026, 11, 30), "2026-11-30"),
        (timedelta(minutes=1), 60.0),
        (Path("a/b"), "a/b"),
        (Model("m", (1.0, 2.0)), {"name": "m", "weights": [1.0, 2.0]}),
    ],
)
def test_tags_are_left_out(value: Any, said: Any, tmp_path: Path) -> None:
    text = canonical(value, type(value), "value", ArtifactStore(tmp_path))
    assert plain(json.loads(text)) == said


def test_what_is_large_is_told_by_its_size_or_read(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    told = json.loads(canonical(["x" * 100] * 1000, list, "value", store))
    assert plain(told) == "(101 KiB)"
    assert plain(told, store) == ["x" * 100] * 1000


def test_arrays_are_told_by_type_shape_and_first_elements(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    told = json.loads(canonical(np.arange(20.0).reshape(4, 5), Any, "value", store))
    digest = told["$a"][3]
    assert plain(told) == {"array": {"dtype": "<f8", "shape": [4, 5], "sha256": digest}}
    first = [float(number) for number in range(10)]
    assert plain(told, store) == {"array": {"dtype": "<f8", "shape": [4, 5], "first": first, "sha256": digest}}
    odd = json.loads(canonical(np.array([np.nan, 1.0], "f4"), Any, "value", store))
    assert plain(odd, store)["array"]["first"] == ["nan", 1.0]
    empty = json.loads(canonical(np.zeros((0, 3), "u1"), Any, "value", store))
    assert plain(empty, store)["array"]["first"] == []
    text = json.loads(canonical(np.array(["a"]), Any, "value", store))
    assert plain(text, store)["array"]["dtype"] == "<U1"


@pytest.mark.parametrize("told", [{"$t": 3}, {"$o": []}, {"$file": "x"}, {"$large": 3}, {"$unknown": 1}, {"$m": [1]}])
def test_what_another_program_wrote_is_shown_as_it_stands(told: Any) -> None:
    assert plain(told) in (told, "3")


def test_a_line_is_not_long() -> None:
    assert line({"$t": [1, 2]}) == "[1, 2]"
    assert len(line("x" * 1000)) == 200
    assert arguments_line({"arguments": {"a": 1, "b": {"$t": [2]}}}) == "a=1, b=[2]"
    assert arguments_line({"other": 1}) == '{"other": 1}'
