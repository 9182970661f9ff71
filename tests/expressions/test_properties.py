"""Whatever is written between braces is a value or an error with its place; a second evaluator agrees."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.examples import examples

from clx.expressions.language import ExpressionError, Scope, Template, parse, parse_condition

SCOPE = Scope({"n": 3, "t": "abc", "l": [1, "x", None], "m": {"k": 1}}, {"s-1": {"status": "success"}})
_SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "a", "abc", "k", "}}"])
_PATHS = {
    "matrix.n": 3,
    "matrix.t": "abc",
    "matrix.l": [1, "x", None],
    "matrix.m.k": 1,
    "pipeline.s-1.status": "success",
}
_WORDS = [
    "matrix",
    "pipeline",
    "and",
    "or",
    "not",
    "in",
    "(",
    ")",
    "[",
    "]",
    ",",
    "==",
    "<",
    ".n",
    "'",
    '"',
    "1",
    " ",
    "}}",
]
Told = tuple[str, Any]


def _written(value: Any) -> Told:
    return (f"'{value}'" if isinstance(value, str) else json.dumps(value), value)


def _same(one: Any, other: Any) -> bool:
    return json.dumps(one) == json.dumps(other)  # no floats are made here


def _joined(parts: tuple[Told, str, Told]) -> Told:
    (left, one), word, (right, other) = parts
    value = {
        "and": one and other,
        "or": one or other,
        "==": _same(one, other),
        "!=": not _same(one, other),
    }[word]
    return f"({left} {word} {right})", value


def _listed(parts: list[Told]) -> Told:
    return f"[{', '.join(text for text, _ in parts)}]", [value for _, value in parts]


def _deeper(inner: st.SearchStrategy[Told]) -> st.SearchStrategy[Told]:
    return (
        st.tuples(inner, st.sampled_from(["and", "or", "==", "!="]), inner).map(_joined)
        | inner.map(lambda each: (f"(not {each[0]})", not each[1]))
        | st.lists(inner, max_size=3).map(_listed)
        | st.tuples(inner, st.lists(inner, max_size=3)).map(
            lambda each: (
                f"({each[0][0]} in {_listed(each[1])[0]})",
                any(_same(each[0][1], value) for _, value in each[1]),
            )
        )
    )


_EXPRESSIONS = st.recursive(_SCALARS.map(_written) | st.sampled_from(sorted(_PATHS.items())), _deeper, max_leaves=12)


@settings(max_examples=examples(300), deadline=None)
@given(_EXPRESSIONS)
def test_a_value_is_as_a_second_evaluator_has_it(told: Told) -> None:
    text, value = told

    assert _same(parse(f"${{{{ {text} }}}}").value(SCOPE), value)
    assert _same(parse_condition(f"${{{{{text}}}}}").value(SCOPE), value)
    said = value if isinstance(value, str) else json.dumps(value)
    assert parse(f"<${{{{{text}}}}}>").value(SCOPE) == f"<{said}>"


def _offset(read: Callable[[str], Template], text: str) -> int:
    """Where it goes wrong; 0 where it does not."""
    try:
        read(text).value(SCOPE)
    except ExpressionError as error:
        return error.offset
    return 0


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(st.sampled_from(_WORDS) | st.text(max_size=3), max_size=12).map("".join))
def test_anything_is_a_value_or_an_error_with_its_place(text: str) -> None:
    whole = f"${{{{ {text} }}}}"
    assert _offset(parse, whole) in range(len(whole) + 1)
    assert _offset(parse_condition, text) in range(-1, len(text) + 3)


@settings(max_examples=examples(200), deadline=None)
@given(st.text(max_size=50).filter(lambda text: "${{" not in text))
def test_a_text_without_braces_stays(text: str) -> None:
    assert parse(text).value(SCOPE) == text
