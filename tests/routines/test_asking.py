"""Arguments from a command line, each read by the type of its parameter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest

from clx import UsageError, define
from clx.routines import registry
from clx.routines.asking import call_from, signature_of


@dataclass
class Point:
    x: int
    y: float = 0.5


class Colour(Enum):
    RED = "red"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_known", {})


def read(hint: Any, text: str) -> Any:
    def function(value): ...  # type: ignore[no-untyped-def]

    function.__annotations__ = {"value": hint}
    routine = define.task(name="function", version="1.0.0-dev")(function)
    call = call_from(routine, {"value": text}, {})
    call.close()
    return call.bound.arguments["value"]


@pytest.mark.parametrize(
    ("hint", "text", "value"),
    [
        (int, "3", 3),
        (float, "3", 3.0),
        (float, "1e-3", 0.001),
        (bool, "true", True),
        (bool, "false", False),
        (str, "3", "3"),
        (str, '"quoted"', '"quoted"'),
        (str, "", ""),
        (str | None, "null", None),
        (int | str, "3", 3),
        (int | str, "three", "three"),
        (int | None, "null", None),
        (Annotated[int, "people"], "3", 3),
        (Literal["fast", "slow"], "fast", "fast"),
        (date, "2026-11-30", date(2026, 11, 30)),
        (datetime, "2026-11-30T06:00:00", datetime(2026, 11, 30, 6)),  # noqa: DTZ001
        (Decimal, "0.10", Decimal("0.10")),
        (UUID, "12345678-1234-5678-1234-567812345678", UUID("12345678-1234-5678-1234-567812345678")),
        (Path, "a/b.csv", Path("a/b.csv")),
        (Path | None, "a.csv", Path("a.csv")),
        (Colour, "red", Colour.RED),
        (Point, '{"x": 1}', Point(1)),
        (list[Point], '[{"x": 1, "y": 2}]', [Point(1, 2.0)]),
        (tuple[int, int], "[1, 2]", (1, 2)),
        (set[int], "[1, 2, 1]", {1, 2}),
        (list[int] | None, "[1]", [1]),
        (Any, "3", 3),
        (Any, "three", "three"),
    ],
)
def test_a_text_is_read_by_its_type(hint: Any, text: str, value: Any) -> None:
    found = read(hint, text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("hint", "text"), [(int, "3.5"), (int, "x"), (bool, "maybe"), (date, "30.11."), (Point, "{}"), (Colour, "blue")]
)
def test_what_is_none_of_its_type_is_refused(hint: Any, text: str) -> None:
    with pytest.raises(UsageError, match=r"value=.* is no "):
        read(hint, text)


@pytest.mark.parametrize(
    ("hint", "text", "said"),
    [
        (list[Point], '[{"x": 1}, {"x": "a"}]', ": expected int, got str, at [1].x."),
        (dict[str, Colour], '{"a": "blue"}', ": invalid enum value 'blue', at [...]."),
        (list[int], "1,2", ", for it is no JSON."),
        (int, "x", "is no int."),
    ],
)
def test_it_is_told_which_part_is_none_of_its_type(hint: Any, text: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(hint, text)
    assert refused.value.fact.endswith(said)


def test_json_values_are_not_read_as_texts() -> None:
    @define.task(name="add", version="1.0.0")
    def add(a: int, b: Point | None = None) -> int:
        return a

    call = call_from(add, {}, {"a": 1, "b": {"x": 2}})
    call.close()
    assert dict(call.bound.arguments) == {"a": 1, "b": Point(2)}
    with pytest.raises(UsageError, match='a="1" is no int'):
        call_from(add, {}, {"a": "1"})


def test_further_arguments_have_names_too() -> None:
    @define.task(name="many", version="1.0.0")
    def many(*numbers: int, **names: str) -> int:
        return len(numbers)

    call = call_from(many, {"numbers": "[1, 2]", "names": '{"a": "b"}'}, {})
    call.close()
    assert (call.bound.args, call.bound.kwargs) == ((1, 2), {"a": "b"})


def test_a_missing_and_an_unknown_parameter_are_told() -> None:
    @define.task(name="train", version="1.0.0")
    def train(epochs: int, rate: float = 0.1) -> int:
        return epochs

    with pytest.raises(UsageError, match="needs epochs") as missing:
        call_from(train, {}, {})
    assert missing.value.next_step == f"Give --param epochs=… : {signature_of(train)}"
    assert signature_of(train) == "train(epochs: int, rate: float = 0.1) -> int"
    with pytest.raises(UsageError, match="no parameter epoch") as unknown:
        call_from(train, {"epoch": "1"}, {})
    assert unknown.value.next_step == "Did you mean epochs?"
