"""``${{ … }}``: what it means, and that nothing in it is executed."""

from __future__ import annotations

from typing import Any

import pytest

from clx.expressions.language import DEPTH_LIMIT, EXPRESSION_LIMIT, ExpressionError, Scope, parse, parse_condition

SCOPE = Scope(
    {"event": 5, "site": "aro", "deep": {"er": [1, {"x": 2}]}, "a b": True},
    {
        "stage-1-a": {"status": "success", "work": {"results": [{"sum": 3}, {"sum": 4}]}},
        "one": {"status": "failure", "work": {"results": None}},
    },
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("", ""),
        ("${{ matrix.event }}", 5),
        ("  ${{matrix.event}}\n", 5),
        ("e${{ matrix.event }}-${{ matrix.site }}", "e5-aro"),
        ("${{ true }} ${{ null }} ${{ [1.5, 'é'] }}", 'true null [1.5, "é"]'),
        ("${{ matrix }}", SCOPE.matrix),
        ("${{ matrix.deep.er[1].x }}", 2),
        ("${{ matrix.deep['er'][-1]['x'] }}", 2),
        ("${{ matrix['a b'] }}", True),
        ("${{ pipeline.stage-1-a.status == 'success' }}", True),
        ("${{ pipeline.stage-1-a.work.results[1].sum }}", 4),
        ("${{ pipeline.stage-1-a.work.results.sum }}", [3, 4]),
        ("${{ 'sum' in pipeline.one.work.results and pipeline.one.work.results.sum > 2 }}", False),
        ("${{ 1 == true }}", False),
        ("${{ [1, true] == [1.0, 1] }}", False),
        ("${{ 1 == 1.0 and 'a' != \"b\" }}", True),
        ("${{ not not 0 }}", False),
        ("${{ not 1 == 2 }}", True),
        ("${{ 1 == 2 or 1 == 1 and 2 == 3 }}", False),
        ("${{ (1 == 1 or 1 == 2) and 2 == 2 }}", True),
        ("${{ 2 not in [1, 3] }}", True),
        ("${{ 'r' in matrix.site }}", True),
        ("${{ 'er' in matrix.deep }}", True),
        ("${{ matrix.site < 'b' }}", True),
        ("${{ -1.5e1 <= -15 }}", True),
        ("${{ 0 or 'usual' }}", "usual"),
        ("${{ '}}' }}", "}}"),
        ("${{ '${{' }} x }}", "${{ x }}"),
    ],
)
def test_a_value(text: str, value: Any) -> None:
    found = parse(text).value(SCOPE)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "fact", "offset"),
    [
        ("x ${{ }}", "no expression", 6),
        ("${{ matrix.a", "not closed", 0),
        ("${{ event == 1 }}", "there is no event", 4),
        ("${{ matrx.event }}", "there is no matrx", 4),
        ("${{ 1 = 2 }}", "= means nothing", 6),
        ("${{ 1 && 2 }}", "& means nothing", 6),
        ("${{ 'a }}", "not closed", 4),
        ("${{ 1 < 2 < 3 }}", "two comparisons", 10),
        ("${{ 1 2 }}", "2 is one too many", 6),
        ("${{ [1,] }}", "] stands where", 7),
        ("${{ not }}", "the end stands where a value", 8),
        ("${{ 1 not 2 }}", "2 stands where in", 10),
        ("${{ matrix[event] }}", "event stands where a whole number", 11),
        ("${{ 1e999 }}", "too large a number", 4),
        ("${{ 007 }}", "0 means nothing", 4),
        ("${{ __import__('os').system('id') }}", "there is no __import__", 4),
        ("${{ matrix.event() }}", "( is one too many", 16),
        ("${{ lambda: 0 }}", "there is no lambda", 4),
        ("${{ '" + "x" * EXPRESSION_LIMIT + "' }}", "more than 1000 characters", 0),
        ("${{ 1" + " and 1" * EXPRESSION_LIMIT + " }}", "more than 1000 characters", 0),
        ("${{ " + "(" * 51 + "1" + ")" * 51 + " }}", f"more than {DEPTH_LIMIT} levels", 54),
        ("${{ " + "[" * 51, f"more than {DEPTH_LIMIT} levels", 54),
        ("${{ " + "not " * 51 + "1 }}", f"more than {DEPTH_LIMIT} levels", 204),
        ("${{ \0 }}", "means nothing", 4),
    ],
)
def test_what_cannot_be_read(text: str, fact: str, offset: int) -> None:
    with pytest.raises(ExpressionError) as raised:
        parse(text)

    assert fact in raised.value.fact
    assert raised.value.offset == offset


@pytest.mark.parametrize(
    ("text", "fact", "step"),
    [
        ("${{ matrix.evnt }}", 'matrix has no "evnt"', 'Did you mean "event"?'),
        ("${{ matrix.__class__ }}", 'matrix has no "__class__"', ""),
        ("${{ matrix.site.upper }}", 'matrix.site is a text, which has no "upper"', ""),
        ("${{ matrix.deep.er[7] }}", "has 2 entries, no [7]", "counted from 0"),
        ("${{ pipeline.one.work.results.sum }}", 'is null, which has no "sum"', ""),
        ("${{ pipeline.two.status }}", 'pipeline has no "two"', ""),
        ("${{ matrix.event < 'x' }}", "a number and a text have no order", "Compare"),
        ("${{ true > 0 }}", "true and a number have no order", ""),
        ("${{ 1 in 'x' }}", "a number cannot be in a text", ""),
    ],
)
def test_what_has_no_value(text: str, fact: str, step: str) -> None:
    template = parse(text, "file:3:4")

    with pytest.raises(ExpressionError) as raised:
        template.value(SCOPE)

    assert fact in raised.value.fact
    assert raised.value.fact.startswith("file:3:4: ")
    assert step in raised.value.next_step


def test_references_and_their_places() -> None:
    template = parse("a ${{ matrix.x['y'][0] }} ${{ pipeline.s-1.status }}")

    assert [(each.text, each.offset) for each in template.references] == [
        ("matrix.x.y[0]", 6),
        ("pipeline.s-1.status", 30),
    ]
    assert template.uses_steps
    assert not parse("${{ matrix.x }}").uses_steps


def test_a_condition_needs_no_braces() -> None:
    assert parse_condition("matrix.event == 5").value(SCOPE) is True
    assert parse_condition("${{ matrix.event == 5 }}").value(SCOPE) is True
    with pytest.raises(ExpressionError, match="text around"):
        parse_condition("if ${{ matrix.event == 5 }}")
    with pytest.raises(ExpressionError) as raised:
        parse_condition("matrix.event = 5")
    assert raised.value.offset == 13


def test_a_text_does_not_grow_without_end() -> None:
    scope = Scope({"long": "x" * 10_000})

    with pytest.raises(ExpressionError, match="1000000 characters"):
        parse("${{ matrix.long }} " * 101).value(scope)
