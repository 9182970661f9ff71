"""What a flow may be, and what is said of one that cannot."""

from __future__ import annotations

from typing import Any

import pytest

from clx.daily import Flow, Step, at_least
from clx.daily.flow import Mark, Reference
from clx.errors import UsageError


def one(data_date: Any) -> int:
    return 1


def two(a: Any, b: Any = 0) -> int:
    return 2


def test_inputs_are_values_or_what_others_have_given() -> None:
    step = Step("s", two, {"a": "@other.each", "b": "@@plain"}, each=["x"])
    assert step.inputs == {"a": Reference("other", "each"), "b": "@plain"}
    assert Step("s", one).inputs == {"data_date": Mark.DATE}
    assert Step("s", two, {"a": "@other.missing"}).references == [Reference("other", "missing")]


def test_steps_are_in_the_order_in_which_they_can_be_done() -> None:
    flow = Flow("order", [Step("c", two, {"a": "@b"}), Step("b", two, {"a": "@a"}), Step("a", one)], at="06:30")
    assert ([each.name for each in flow.order], flow.cron) == (["a", "b", "c"], "30 6 * * *")


@pytest.mark.parametrize(
    ("enough", "number"), [("all", 3), ("any", 1), (at_least(2), 2)], ids=["all", "any", "at least"]
)
def test_how_many_are_enough(enough: Any, number: int) -> None:
    assert Step("s", two, {"a": "@each"}, each=[1, 2, 3], enough=enough).enough == number


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: Step("1", one), "No step can be called '1'"),
        (lambda: Step("s", two), "does not say what a of two is"),
        (lambda: Step("s", two, {"c": 1, "a": 1}), "given c, which two does not take"),
        (lambda: Step("s", two, {"a": "@each"}), "no each="),
        (lambda: Step("s", two, {"a": 1}, each=[1]), "no input that is @each"),
        (lambda: Step("s", two, {"a": "@each"}, each=[]), "no items"),
        (lambda: Step("s", two, {"a": "@each"}, each=[1, "1"]), "not all different"),
        (lambda: Step("s", two, {"a": "@each"}, each=["a/b"]), "cannot be an item"),
        (lambda: Step("s", two, {"a": "@each"}, each=[1], enough=at_least(2)), "cannot be of the step s, which has 1"),
        (lambda: Step("s", two, {"a": "@x.y"}), "is no input"),
        (lambda: Step("s", one, deadline=0), "deadline=0"),
        (lambda: Flow("f", []), "has no steps"),
        (lambda: Flow("f", [Step("a", one), Step("a", one)]), "two steps a"),
        (lambda: Flow("f", [Step("a", two, {"a": "@b"})]), "needs @b, which the flow f does not have"),
        (lambda: Flow("f", [Step("a", two, {"a": "@b"}), Step("b", two, {"a": "@a"})]), "wait for each other"),
        (lambda: Flow("f", [Step("a", one), Step("b", two, {"a": "@a.missing"})]), "has no items"),
        (lambda: Flow("f", [Step("a", one)], at="6"), "is no time of a day"),
        (
            lambda: Flow(
                "f",
                [Step("a", two, {"a": "@each"}, each=[1]), Step("b", two, {"a": "@a.each"}, each=[1, 2])],
            ),
            "has items that a does not have",
        ),
    ],
    ids=range(18),
)
def test_what_cannot_be_is_refused_with_the_way_out(made: Any, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        made()
    assert said in refused.value.fact
    assert refused.value.next_step
