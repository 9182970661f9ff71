"""Checks of a day's tables: what each finds, and when it does not hold."""

from __future__ import annotations

import pyarrow as pa
import pytest

from clx.daily import Check
from clx.daily.checks import failed
from clx.errors import UsageError

TABLES = {
    "a": pa.table({"n": [1, 2, None], "x": [0.5, float("nan"), 1.0]}),
    "b": pa.table({"n": pa.array([2], pa.int64()), "x": [9.0]}),
}


@pytest.mark.parametrize(
    ("check", "found", "holds"),
    [
        (Check.rows(4), "4 rows", True),
        (Check.rows(1, 3), "4 rows", False),
        (Check.rows(5), "4 rows", False),
        (Check.no_nulls("x"), "0 nulls", True),
        (Check.no_nulls("n"), "1 nulls", False),
        (Check.between("n", 1, 2), "0 outside", True),
        (Check.between("x", 0, 1), "2 outside", False),
        (Check.unique("n"), "1 twice", False),
    ],
    ids=str,
)
def test_what_it_finds(check: Check, found: str, holds: bool) -> None:
    assert (check.of(TABLES).found, check.of(TABLES).holds) == (found, holds)


def test_unique_over_all_files() -> None:
    assert Check.unique("k").of({"a": pa.table({"k": ["x", "y"]}), "b": pa.table({"k": ["z"]})}).holds


def test_what_does_not_hold_is_told_in_one_line() -> None:
    assert failed([Check.rows(9).of(TABLES), Check.rows(1).of(TABLES)]) == "rows >= 9 (4 rows)"


def test_a_column_that_is_not_there_or_not_of_that_kind_is_told() -> None:
    with pytest.raises(UsageError, match="has no column 'y'"):
        Check.no_nulls("y").of(TABLES)
    with pytest.raises(UsageError, match="cannot be said of t"):
        Check.between("t", 0, 1).of({"a": pa.table({"t": ["words"]})})


def test_an_empty_table_holds_what_is_said_of_values() -> None:
    empty = {"a": pa.table({"n": pa.array([], pa.int64())})}
    assert Check.unique("n").of(empty).holds
    assert Check.between("n", 0, 1).of(empty).holds
