"""Results of works that are made to break what is made of them: the next step fails with a reason, and nobody else."""

from __future__ import annotations

from typing import Any

import pytest
from tests.db.pipelines.conftest import deploy, do, end, now, reasons, step, steps, withdraw

from clx.db.jobs import Queue
from clx.db.pipelines import advancing
from clx.db.pipelines.models import StepDefinition
from clx.errors import QueueError

_X = "${{ pipeline.a.work.results.x }}"


@pytest.fixture
def table() -> Queue:
    return Queue.open("memory:")


def _deploy(table: Queue, fields: dict[str, Any], axes: dict[str, Any] | None = None, condition: str = "") -> str:
    later = StepDefinition("b", 2, condition, works=None, work={"pipeline": "b"}, fields=fields, axes=axes or {})
    return deploy(table, step("a", 1), later)


@pytest.mark.parametrize(
    ("x", "fields", "axes", "reason"),
    [
        ("s", {"parameters": {"p": "${{ pipeline.a.work.results.x.__class__ }}"}}, {}, "a text, which has no"),
        ("s", {"parameters": {"p": "${{ pipeline.a.work.results.__class__ }}"}}, {}, 'has no "__class__"'),
        (list(range(200_000)), {"event": "${{ matrix.n }}"}, {"n": _X}, "more than 100000 combinations"),
        ({"range": [0, 1e308, 5e-324]}, {"event": "${{ matrix.n }}"}, {"n": _X}, "more than 100000 numbers"),
        ({"range": [0, "9", None]}, {"event": "${{ matrix.n }}"}, {"n": _X}, "the range of n is"),
        ("a" * 2_000_000, {"parameters": {"p": f"of {_X}"}}, {}, "more than 1000000 characters"),
        ([[[1]]] * 1000, {"parameters": {"p": "${{ pipeline.a.work.results.x.y }}"}}, {}, "is a number"),
        ({"a": 1}, {"priority": _X}, {}, "The priority of a work cannot be"),
        (2**80, {"timeout": _X}, {}, "The timeout of a work cannot be"),
        ("\0", {"site": _X}, {}, "The site of a work cannot be"),
    ],
)
def test_what_cannot_be_used_fails_the_step(
    table: Queue, x: Any, fields: dict[str, Any], axes: dict[str, Any], reason: str
) -> None:
    it = _deploy(table, fields, axes)
    do(table, "a", results={"x": x})
    assert steps(table, it) == {"a": "success", "b": "failure"}
    assert reason in reasons(table, it)["b"]
    assert len(reasons(table, it)["b"]) < 1000
    assert now(table, it)["status"] == "failure"


@pytest.mark.parametrize("x", ["${{ matrix.n }}", "'] or true or ['", {"__class__": {"__mro__": 1}}, 2**80])
def test_results_are_values_and_nothing_in_them_is_read_again(table: Queue, x: Any) -> None:
    _deploy(table, {"parameters": {"p": _X, "q": f"of {_X}"}})
    do(table, "a", results={"x": x})
    assert withdraw(table, "b")["parameters"]["p"] == x


@pytest.mark.parametrize("x", [float("nan"), float("inf"), [float("-inf")]])
def test_numbers_that_are_none_are_refused_when_the_work_ends(table: Queue, x: Any) -> None:
    it = _deploy(table, {"parameters": {"p": _X}})
    found = withdraw(table, "a")
    with pytest.raises(QueueError, match="not finite"):
        end(table, found, results={"x": x})
    assert steps(table, it) == {"a": "running", "b": "created"}


@pytest.mark.parametrize("is_list", [True, False])
def test_results_as_deep_as_they_may_be(table: Queue, is_list: bool) -> None:
    x: Any = 1
    for _ in range(190):
        x = [x] if is_list else {"y": x}
    it = _deploy(table, {"event": [1]}, condition="pipeline.a.work.results.x == pipeline.a.work.results.x")
    do(table, "a", results={"x": x})
    assert steps(table, it)["b"] == "queued"


def test_a_result_that_many_works_would_hold_is_not_copied_without_end(
    table: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advancing, "MOST_BYTES", 2_000_000)
    it = _deploy(table, {"parameters": {"p": _X}, "event": "${{ matrix.n }}"}, {"n": list(range(100))})
    do(table, "a", results={"x": "a" * 100_000})
    assert reasons(table, it)["b"] == "its works come to more than 2 MB."
