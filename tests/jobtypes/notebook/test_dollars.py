"""Dollar signs: formulas and prices, code spans, braces."""

from __future__ import annotations

import pytest

from clx.jobtypes.notebook.dollars import formula_at, has_words, spans_masked


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$a$ b", ("$", "a", 3)),
        ("$$a$$$", ("$$", "a", 5)),
        (r"$a \$ b$", ("$", r"a \$ b", 8)),
        (r"$\text{a $b$}$", ("$", r"\text{a $b$}", 14)),
        ("${a$ b", ("$", "{a", 4)),
        ("$ x^2 $", ("$", " x^2 ", 7)),
        ("$5 and $6", None),
        ("$5 or $x", None),
        ("$a", None),
        ("$$", None),
        ("$5 `$`", None),
    ],
)
def test_where_a_formula_ends(text: str, expected: tuple[str, str, int] | None) -> None:
    assert formula_at(spans_masked(text), 0) == expected


@pytest.mark.parametrize("text", [r"\$a$", "5$a$"])
def test_where_none_begins(text: str) -> None:
    assert formula_at(text, 1) is None


def test_code_spans_are_masked_and_the_rest_is_not() -> None:
    masked = spans_masked(r"$a$ `$b|\`` c`d` $|")
    assert len(masked) == len(r"$a$ `$b|\`` c`d` $|")
    assert masked.startswith("$a$ `")
    assert masked.endswith(" $|")
    assert spans_masked("`$`").count("$") == 0


def test_words_are_no_names_of_commands_or_texts_in_them() -> None:
    assert has_words(r"costs 5\% of x")
    assert not has_words(r"\frac{a}{b} \text{costs of} xy")
