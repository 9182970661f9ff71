"""Which line of a deck became a line of its expansion."""

from __future__ import annotations

from jinja2 import Environment

from clx.jobtypes.notebook.trace import deck_lines, mark_lines


def expanded(text: str) -> tuple[str, str]:
    """An expansion, and the one with marked lines."""
    environment = Environment(autoescape=False)
    tree = environment.parse(text)
    plain = environment.from_string(text).render()
    mark_lines(tree)
    return plain, environment.from_string(tree).render()


def test_lines_are_known_wherever_they_come_out() -> None:
    plain, marked = expanded("{% set b %}one\ntwo{% endset %}\nx\n\n{{ b }} and\n{{ 1 }}\n")
    assert plain == "\nx\n\none\ntwo and\n1"
    assert deck_lines(plain, marked) == [[], [3], [], [1], [2, 5], []]


def test_where_text_is_measured_nothing_is_known() -> None:
    plain, marked = expanded("{% set b %}one{% endset %}{{ b|length }}\nx\n")
    assert deck_lines(plain, marked) is None
