"""Nothing that an author wrote into a hidden cell is published because a template ends the cell."""

from __future__ import annotations

from pathlib import Path

import pytest

from clx.errors import ConversionError

from .conftest import Course

MACROS = """\
{%- macro box(text) %}
# %% [markdown]
# {{ text }}
{%- endmacro %}
{%- macro line(text) %}# {{ text }}{% endmacro %}
{%- macro aside(text) %}
# %% [markdown] tags=["notes"]
# {{ text }}

# %% [markdown]
{% endmacro %}
"""
START = "# j2 from 'macros.j2' import header\n# j2 from 'course.j2' import box, line, aside\n"
SET = "# j2 set marker = '# %%'\n"
OWN = "{% macro own() %}\n# %%\n{% endmacro %}\n"


@pytest.fixture
def decks(course: Course) -> Course:
    course.write("templates/course.j2", MACROS)
    course.write("templates/part.py", "# %% [markdown]\n# a part\n")
    return course


@pytest.mark.parametrize("tags", ["private", "notes", "del", "slide, private"])
@pytest.mark.parametrize(
    ("opens", "start"),
    [
        ('# {{ header("x", "y") }}', START),
        ("{{ box('a') }}", START),
        ("x = 1 {{ box('a') }}", START),
        ("# j2 include 'part.py'", START),
        ("{% include 'part.py' %}", START),
        ("{{ own() }}", OWN + START),
        ("{{ own() }}{{ own() }}", OWN + START),
        ("{{ from_course }}", START),
        ("{{ marker }}", SET + START),
        ("{{ marker }} [markdown]", SET + START),
        ("{% for i in [1, 2] %}{{ box(i) }}{% endfor %}", START),
        ("# {{ '%%' }}", START),
        ("{{ aside('a') }}", START),
    ],
)
def test_a_template_that_ends_a_hidden_cell_is_an_error_with_its_line(
    decks: Course, tags: str, opens: str, start: str
) -> None:
    names = ", ".join(f'"{tag.strip()}"' for tag in tags.split(","))
    text = f'{start}# %% [markdown]\n# public\n\n# %% tags=[{names}]\n\n{opens}\npassword = "Zebra"\n'
    with pytest.raises(ConversionError, match="a template opens a cell inside") as caught:
        decks.convert(text, variables={"from_course": "\n# %%\nx = 1"})
    assert caught.value.line == text.split("\n").index(opens) + 1
    assert f"line {caught.value.line + 1} would be published" in caught.value.fact


def test_the_line_may_stand_far_behind_and_in_another_language(decks: Course) -> None:
    text = '# %% tags=["private"]\n\n{{ box("a") }}\n\n{{ box("b") }}\n\n// Zebra\n'.replace("# %%", "// %%")
    text = "// j2 from 'slashes.j2' import box\n" + text
    decks.write("templates/slashes.j2", MACROS.replace("# %%", "// %%").replace("\n# {{", "\n// {{"))
    with pytest.raises(ConversionError, match="line 8 would be published") as caught:
        decks.convert(text, name="slides_x.cpp")
    assert caught.value.line == 4


def test_a_deck_whose_lines_cannot_be_told_is_refused_too(decks: Course) -> None:
    text = START + '# %% tags=["private"]\n{{ [1, 2] | random }}{{ lipsum(n=1) }}\n{{ box("a") }}\npassword = "Zebra"\n'
    with pytest.raises(ConversionError, match="inside a hidden cell"):
        decks.convert(text)


@pytest.mark.parametrize(
    "text",
    [
        '# %% tags=["private"]\n# {{ line("a") }}\npassword = "Zebra"\n',
        '# %% tags=["private"]\npassword = "Zebra"\n\n# {{ header("x", "y") }}\n\n# %%\nx = 1\n',
        '# %% tags=["private"]\npassword = "Zebra"\n\n{{ box("a") }}\n#\n\n# %%\nx = 1\n{{ box("b") }}\n# behind\n',
        '{% for i in [1, 2] %}\n# %%\nx = {{ i }}\n# %% tags=["private"]\n"Zebra"\n{% endfor %}\n# %%\ny = 1\n',
        '# %% tags=["private"]\n"Zebra"\n{% if lang == "de" %}\n# %%\n{% endif %}\n# %%\nx = 1\n',
        '# %%\n{% if is_html %}\n# %%\n{% else %}\n# %%\n{% endif %}\nx = 1\n# %% tags=["notes"]\n# {{ 1 }}\n',
        '{% macro own() %}\n# %%\nx = 1\n{% endmacro %}\n# %% tags=["private"]\n"Zebra"\n# %%\n{{ own() }}\ny = 1\n',
        '# %%\nx = 1\n{{ aside("Zebra") }}\n# behind\n',
    ],
)
def test_templates_elsewhere_are_left_alone(decks: Course, text: str) -> None:
    outputs = decks.convert(START + text)
    assert b"Zebra" not in (outputs / "completed.py").read_bytes()


MARKDOWN = """\
# j2 from 'macros.j2' import header

Public

<!-- #region tags=["private"] -->
Mine
%s
Zebra
<!-- #endregion -->

Behind
"""


@pytest.mark.parametrize("opens", ['{{ header("x", "y") }}', "{% include 'end.md' %}", "{{ end }}"])
def test_markdown_decks_are_looked_at_too(decks: Course, opens: str) -> None:
    decks.write("templates/end.md", "<!-- #endregion -->\n")
    with pytest.raises(ConversionError, match="would be published") as caught:
        decks.convert(MARKDOWN % opens, name="slides_x.md", variables={"end": "<!-- #endregion -->\n"})
    assert caught.value.line == 8


def test_markdown_decks_may_use_templates_elsewhere(decks: Course) -> None:
    text = '{{ header("x", "y") }}\n' + MARKDOWN % "{{ 1 + 1 }}"
    outputs: Path = decks.convert("# j2 from 'macros.j2' import header\n" + text, name="slides_x.md")
    assert b"Zebra" not in (outputs / "completed.ipynb").read_bytes()
    assert b"Behind" in (outputs / "completed.ipynb").read_bytes()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('# %%\nx = 1\n{#\n# %% tags=["private"]\n#}\npassword = "Zebra"\n', 6),
        ('# %%\nx = 1\n{% if 0 %}\n# %% tags=["private"]\n{% endif %}\npassword = "Zebra"\n', 6),
        ('# %%\nx = 1\n{% set a %}\n# %% tags=["private"]\n{% endset %}\npassword = "Zebra"\n', 6),
        ('# %%\nx = 1\n{% filter replace("private", "keep") %}\n# %% tags=["private"]\n{% endfilter %}\n"Zebra"\n', 4),
        ('# %%\nx = 1\n{%- macro a() -%}\n# %% tags=["notes"]\n{%- endmacro %}\n# Zebra, the secret\n', 6),
        ('# %%\nx = 1\n# j2 if lang == "xx"\n# %% tags=["del"]\n# j2 endif\npassword = "Zebra"\n', 6),
        ('# %%\n{% set a %}\n# %% tags=["private"]\n# Zebra!\n{% endset %}\n# %%\n{{ a | replace("# %%", "#") }}\n', 3),
        ('# %%\n# {{ [1] | random }}\n{#\n# %% tags=["private"]\n#}\npassword = "Zebra"\n', 6),
    ],
)
def test_a_template_that_swallows_the_marker_of_a_hidden_cell_is_an_error(decks: Course, text: str, line: int) -> None:
    with pytest.raises(ConversionError, match="would be published") as caught:
        decks.convert(text)
    assert caught.value.line == line


@pytest.mark.parametrize(
    "text",
    [
        '# %%\nx = 1\n{# # %% tags=["private"]\npassword = "Zebra"\n#}\n# %%\ny = 1\n',
        '# %%\nx = 1\n{% if 0 %}\n# %% tags=["private"]\npassword = "Zebra"\n{% endif %}\n',
        '# %% tags=["private"]\n"Zebra"\n{{ box("a") }}\n\n# %%\ny = 1\n',
        '# %% tags=["private"]\n"Zebra"\n# {{ line("a") }}\n\n# %%\ny = {{ 1 }}\n',
    ],
)
def test_what_goes_with_its_marker_is_no_error(decks: Course, text: str) -> None:
    outputs = decks.convert(START + text)
    assert b"Zebra" not in (outputs / "completed.py").read_bytes()
