"""Attributes of other tools, as tags."""

from __future__ import annotations

from typing import Any

import pytest

from clx.errors import ConversionError
from clx.jobtypes.notebook.attributes import (
    literal,
    meaning_of,
    option_tags,
    options_of,
    slide_type_of,
    without_options,
)


@pytest.mark.parametrize("value", [{"slide_type": "skip"}, '{"slide_type": "skip"}', "{'slide_type': 'Skip'}"])
def test_a_slide_type_is_read_whoever_wrote_it(value: Any) -> None:
    assert slide_type_of(value) == "del"
    assert meaning_of({"slideshow": value}, 1).tags == ("del",)


def test_a_slide_type_that_nobody_knows_is_an_error_with_its_line() -> None:
    assert slide_type_of({"slide_type": "hidden"}) is None
    with pytest.raises(ConversionError, match="slide type") as caught:
        meaning_of({"slideshow": {"slide_type": "hidden"}}, 7)
    assert caught.value.line == 7


def test_what_is_on_or_off_by_default_is_no_tag() -> None:
    attributes = {"eval": True, "echo": "true", "jupyter": {"source_hidden": False}, "collapsed": "false"}
    assert meaning_of(attributes, 1) == meaning_of({}, 1)


def test_options_end_with_the_first_line_that_is_none() -> None:
    source = "#| eval: false\n//| echo: false\n\n#| include: false\n"
    assert options_of(source) == {"eval": "false", "echo": "false"}
    assert option_tags(source) == ("skip-execution", "remove-input")
    assert option_tags("x | y\n") == ()
    assert without_options(source) == "#| include: false\n"
    assert without_options("x\n#| y: 1") == "x\n#| y: 1"


def test_a_list_without_a_comma_is_no_literal() -> None:
    assert literal('["a", "b"]') == ["a", "b"]
    assert literal("word") == "word"
    assert not isinstance(literal('["a" "b"]'), list)
