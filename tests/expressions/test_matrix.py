"""Combinations: how many, in which order, and how many at most."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clx.expressions.language import Scope, parse
from clx.expressions.matrix import WORKS_LIMIT, MatrixError, axes_of, combinations, range_of, size_of

_VALUES = st.lists(st.integers(), max_size=4)


@pytest.mark.parametrize(
    ("bounds", "numbers"),
    [
        ([1, 2], [1, 2]),
        ([7, 13, 2], [7, 9, 11, 13]),
        ([7, 12, 2], [7, 9, 11]),
        ([3, 3], [3]),
        ([3, 1, -1], [3, 2, 1]),
        ([0, 1, 0.1], [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        ([1, 100_000], list(range(1, 100_001))),
    ],
)
def test_a_range_holds_its_last_number(bounds: list[Any], numbers: list[Any]) -> None:
    found = list(range_of(bounds, "job"))

    assert found == numbers
    assert {type(each) for each in found} == {type(each) for each in numbers}


@pytest.mark.parametrize(
    ("bounds", "fact"),
    [
        ([], "is []"),
        ([1], "is [1]"),
        ([1, 2, 3, 4], "is [1, 2, 3, 4]"),
        ([1, "2"], "is [1, '2']"),
        ([True, 2], "is [True, 2]"),
        ([1, 2, 0], "holds no number"),
        ([2, 1], "holds no number"),
        ([1, 100_001], "more than 100000"),
        ([0, 10**300], "more than 100000"),
        ([0, 1e300, 1e-300], "more than 100000"),
    ],
)
def test_what_is_no_range(bounds: list[Any], fact: str) -> None:
    with pytest.raises(MatrixError) as raised:
        range_of(bounds, "job")

    assert fact in raised.value.fact
    assert raised.value.axis == "job"


@given(st.dictionaries(st.text(max_size=3), _VALUES, max_size=4))
def test_the_product_of_all_lists(matrix: dict[str, list[int]]) -> None:
    axes = axes_of(matrix, Scope())
    found = list(combinations(axes))

    expected: list[dict[str, int]] = [{}]
    for name, values in matrix.items():
        expected = [{**each, name: value} for each in expected for value in values]
    assert found == expected
    assert size_of(axes) == len(found)


def test_so_many_and_no_more() -> None:
    thousand = {"range": [1, 1_000]}

    assert size_of(axes_of({"a": thousand, "b": {"range": [1, 100]}}, Scope())) == WORKS_LIMIT
    with pytest.raises(MatrixError, match="more than 100000 combinations"):
        next(combinations(axes_of({"a": thousand, "b": {"range": [1, 101]}}, Scope())))


def test_what_expressions_become() -> None:
    scope = Scope({"n": 2, "all": ["x", "y"]})
    matrix = {"each": parse("${{ matrix.all }}"), "job": {"range": [1, parse("${{ matrix.n }}")]}}

    assert [tuple(each.values()) for each in combinations(axes_of(matrix, scope))] == [
        ("x", 1),
        ("x", 2),
        ("y", 1),
        ("y", 2),
    ]
    with pytest.raises(MatrixError, match="each in the matrix is 2, no list"):
        axes_of({"each": parse("${{ matrix.n }}")}, scope)
    with pytest.raises(MatrixError, match="a mapping that is no range"):
        axes_of({"each": {"rnge": [1, 2]}}, scope)
