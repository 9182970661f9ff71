"""Nothing that an author wrote into a hidden cell is published because a template ends the cell."""

from __future__ import annotations

import json
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
        ("# {{ '%%' ~ lang[:0] }}", START),
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


def test_chance_comes_out_the_same_each_time(decks: Course) -> None:
    text = START + '# %% tags=["private"]\n{{ [1, 2] | random }}{{ lipsum(n=1) }}\n{{ box("a") }}\npassword = "Zebra"\n'
    with pytest.raises(ConversionError, match="would be published"):
        decks.convert(text)
    text = f'{START}# %%\nx = {{{{ range(99999) | random }}}}\n# %% tags=["private"]\ny = {{{{ 1 }}}}\n'
    first = (decks.convert(text) / "completed.py").read_bytes()
    assert (decks.convert(text) / "completed.py").read_bytes() == first


@pytest.mark.parametrize("branches", [2, 10, 80])
def test_of_many_branches_none_is_forgotten(decks: Course, branches: int) -> None:
    others = "".join(f"{{% elif lang == 'x{n}' %}}\n# %% [markdown]\n" for n in range(branches))
    text = f"# %%\nx = 1\n{{% if lang == 'y' %}}\n{PRIVATE}\n{others}{{% endif %}}\n{SECRET}\n"
    with pytest.raises(ConversionError, match="would be published"):
        decks.convert(text)


@pytest.mark.parametrize("suffix", [".py", ".md"])
@pytest.mark.parametrize(
    "text",
    [
        "{MD}{HIDDEN}# {% set b %}{SECRET}{% endset %}\nx = 1\n{END}{MD}# {{ b|tojson }}\n",
        "{MD}{HIDDEN}# {% set b %}{SECRET}{% endset %}\nx = 1\n{END}{MD}# {{ b[:46] }}\n",
        "{MD}{HIDDEN}# {% set b %}{SECRET}{% endset %}\nx = 1\n{END}{MD}# {% if b|length < 60 %}{{ b }}{% endif %}\n",
        "{MD}# {% set t %}ab{% endset %}{{ t|length }}\n# {#\n{HIDDEN}# #}\n# {SECRET} {{ lang }}\n{END}",
    ],
)
def test_what_goes_by_the_length_of_captured_text_is_refused_beside_hidden_cells(
    decks: Course, text: str, suffix: str
) -> None:
    """Which lines come out of hidden cells cannot be told then."""
    is_markdown = suffix == ".md"
    parts = {
        "MD": "" if is_markdown else "# %% [markdown]\n# hi\n\n",
        "HIDDEN": '<!-- #region tags=["private"] -->\n' if is_markdown else f"{PRIVATE}\n",
        "END": "<!-- #endregion -->\n" if is_markdown else "",
        "SECRET": "Zebra forty two",
    }
    for name, value in parts.items():
        text = text.replace(f"{{{name}}}", value)
    with pytest.raises(ConversionError, match=r"by the length or the end of text|would be published"):
        decks.convert(text, name=f"slides_x{suffix}")


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


@pytest.mark.parametrize(
    ("opens", "fact", "line"),
    [
        ('{{ header("x", "y") }}', "its title would name public files", 7),
        ("{% include 'end.md' %}", "ends nothing", 9),
        ("{{ end }}", "ends nothing", 9),
        ("{{ end }}\n{{ begin }}", "line out of the private cell of line 5", 9),
    ],
)
def test_markdown_decks_are_looked_at_too(decks: Course, opens: str, fact: str, line: int) -> None:
    decks.write("templates/end.md", "<!-- #endregion -->\n")
    variables = {"end": "<!-- #endregion -->\n", "begin": "<!-- #region -->\n"}
    with pytest.raises(ConversionError, match=fact) as caught:
        decks.convert(MARKDOWN % opens, name="slides_x.md", variables=variables)
    assert caught.value.line == line


def test_markdown_decks_may_use_templates_elsewhere(decks: Course) -> None:
    text = '{{ header("x", "y") }}\n' + MARKDOWN % "{{ 1 + 1 }}"
    outputs: Path = decks.convert("# j2 from 'macros.j2' import header\n" + text, name="slides_x.md")
    assert b"Zebra" not in (outputs / "completed.ipynb").read_bytes()
    assert b"Behind" in (outputs / "completed.ipynb").read_bytes()


PRIVATE = '# %% tags=["private"]'
SECRET = 'password = "Zebra"'


@pytest.mark.parametrize(
    "text",
    [
        f"{{#\n{PRIVATE}\n#}}\n{SECRET}\n",
        f"{{# {PRIVATE} #}}\n{SECRET}\n",
        f"{{# was:\n{PRIVATE}\nx #}}\n{SECRET}\n",
        f"{{% if false %}}\n{PRIVATE}\n{{% endif %}}\n{SECRET}\n",
        f"# j2 if false\n{PRIVATE}\n# j2 endif\n{SECRET}\n",
        f"{{% if true %}}\n{{% else %}}\n{PRIVATE}\n{{% endif %}}\n{SECRET}\n",
        f"{{% for i in [] %}}\n{PRIVATE}\n{{% endfor %}}\n{SECRET}\n",
        f"{{% filter replace('# %%', '') %}}\n{PRIVATE}\n{{% endfilter %}}\n{SECRET}\n",
        f"{{% filter replace('private', 'slide') %}}\n{PRIVATE}\n{{% endfilter %}}\n{SECRET}\n",
        f"{{% call drop() %}}\n{PRIVATE}\n{{% endcall %}}\n{SECRET}\n",
        f"{{% if lang == 'de' %}}\n{PRIVATE}\n{{% elif lang == 'fr' %}}\n# %%\n{{% endif %}}\n{SECRET}\n",
    ],
)
def test_a_marker_that_templates_leave_out_is_an_error(decks: Course, text: str) -> None:
    drop = "{% macro drop() %}{% set inside = caller() %}{% endmacro %}\n"
    text = f"{START}{drop}# %%\nx = 1\n{text}"
    with pytest.raises(ConversionError, match="would be published") as caught:
        decks.convert(text)
    lines = text.split("\n")
    assert caught.value.line in (
        lines.index(PRIVATE if PRIVATE in lines else f"{{# {PRIVATE} #}}") + 1,
        lines.index(SECRET) + 1,
    )
    assert "the templates around this marker" in caught.value.fact


@pytest.mark.parametrize(
    "text",
    [
        f"{PRIVATE}\n{{% set x %}}\n{SECRET}\n{{% endset %}}\ny = 1\n\n# %%\n{{{{ x }}}}\n",
        f"{PRIVATE}\n{{% macro x() %}}\n{SECRET}\n{{% endmacro %}}\ny = 1\n\n# %%\n{{{{ x() }}}}\n",
        f"{PRIVATE}\n{{% call aside_of() %}}\n{SECRET}\n{{% endcall %}}\n",
        f"{PRIVATE}\n{{% block x %}}\n{SECRET}\n{{% endblock %}}\n\n# %% [markdown]\n{{{{ self.x() }}}}\n",
        f"{PRIVATE}\n{{% set x %}}\n{SECRET}\n{{% endset %}}\ny = 1\n\n# %%\n{{{{ x | upper }}}}\n",
    ],
)
def test_text_that_a_template_takes_out_of_a_hidden_cell_is_an_error(decks: Course, text: str) -> None:
    text = "{% macro aside_of() %}\n# %%\n{{ caller() }}{% endmacro %}\n" + text
    with pytest.raises(ConversionError, match="would be published") as caught:
        decks.convert(text)
    line = text.split("\n").index(SECRET) + 1
    assert caught.value.line == line - ("call" in text.split("\n")[line - 2])


@pytest.mark.parametrize(
    "text",
    [
        f"{{#\n{PRIVATE}\n{SECRET}\n#}}\n\n# %%\nx = 1\n",
        f"{{% if false %}}\n{PRIVATE}\n{SECRET}\n{{% endif %}}\n# %%\nx = 1\n",
        f"{{% if true %}}\n# %%\n{{% else %}}\n{PRIVATE}\n{{% endif %}}\nx = 1\n",
        f"{{% if false %}}\n{PRIVATE}\n{{% else %}}\n# %%\n{{% endif %}}\nx = 1\n",
        f"{{% if true %}}# %%\n{{% else %}}{PRIVATE}\n{{% endif %}}x = 1\n",
        f"{{% if false %}}\n{PRIVATE}\n{SECRET}\n{{% else %}}\ny = 1\n{{% endif %}}\n# %%\nx = 1\n",
        f"{{% macro own() %}}\n{PRIVATE}\n{SECRET}\n{{% endmacro %}}\nx = 1\n{{{{ own() }}}}\n",
        f"{PRIVATE}\n{SECRET}\n{{% set y = 1 %}}\n# %%\n{{{{ y }}}}\n",
        f"{PRIVATE}\n{{% raw %}}\n{SECRET}\n{{% endraw %}}\n# %%\nx = '{{{{ 1 }}}}'\n",
        f"{PRIVATE}\n{SECRET}\n# j2 include 'part.py'\n",
        f"{{% for i in [1, 2] %}}\n{PRIVATE}\n{SECRET}\n# %%\nx = {{{{ i }}}}\n{{% endfor %}}\ny = 1\n",
        '# %% tags=["{{ "priv" ~ "ate" }}"]\n' + SECRET + "\n# %%\nx = 1\n",
    ],
)
def test_markers_that_count_for_nothing_are_left_alone(decks: Course, text: str) -> None:
    outputs = decks.convert(f"{START}# %%\nz = 1\n{text}")
    assert b"Zebra" not in (outputs / "completed.py").read_bytes()


def test_a_marker_that_is_left_out_is_found_where_lines_cannot_be_told(decks: Course) -> None:
    text = f"{START}# %%\n{{{{ [1, 2] | random }}}}{{{{ lipsum(n=1) }}}}\n{{#\n{PRIVATE}\n#}}\n{SECRET}\n"
    with pytest.raises(ConversionError, match="would be published"):
        decks.convert(text)
    decks.convert(text.replace("#}\n", f"#}}\n{PRIVATE}\n"))


@pytest.mark.parametrize("call", ["x = '{{ title }}'", "{{ title }}", "# {{ title }}"])
@pytest.mark.parametrize("tag", ["private", "notes", "del"])
def test_a_header_in_a_hidden_cell_names_no_page(decks: Course, call: str, tag: str) -> None:
    decks.write("templates/own.j2", "{% macro header(de, en) %}{{ de }}{% endmacro %}")
    call = call.replace("title", "header('Zebra Plan', 'Zebra Plan')")
    text = f"# j2 from 'own.j2' import header\n# %%\nx = 1\n# %% tags=[\"{tag}\"]\n{call}\n\n# %%\ny = 1\n"
    with pytest.raises(ConversionError, match="its title would name public files") as caught:
        decks.convert(text)
    assert caught.value.line == 5
    said = text.replace("# %%\ny", "# %% [markdown]\n# # Zebra Plan\n# %%\ny")
    decks.convert(said)


def test_a_header_in_a_hidden_region_names_no_page(decks: Course) -> None:
    with pytest.raises(ConversionError, match="its title would name public files") as caught:
        decks.convert(MARKDOWN % "{{ header('Zebra', 'Zebra') }}", name="slides_x.md")
    assert caught.value.line == 7


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('a\n\n{#\n<!-- #region tags=["private"] -->\n#}\nZebra\n{# <!-- #endregion --> #}\n', 4),
        ('a\n\n{% if false %}\n<!-- #region tags=["private"] -->\n{% endif %}\nZebra\n', 4),
        ('a\n\n<!-- #region tags=["private"] -->\n{% set x %}\nZebra\n{% endset %}\n<!-- #endregion -->\n{{ x }}\n', 5),
        ('a\n\n```python tags=["private"]\n{% set x %}\nZebra\n{% endset %}\ny\n```\n{{ x }}\n', 5),
    ],
)
def test_markdown_decks_lose_no_hidden_text_either(decks: Course, text: str, line: int) -> None:
    with pytest.raises(ConversionError, match="would be published") as caught:
        decks.convert(text, name="slides_x.md")
    assert caught.value.line == line


def test_markdown_decks_may_leave_hidden_regions_out(decks: Course) -> None:
    text = '{% if false %}\n<!-- #region tags=["private"] -->\nZebra\n<!-- #endregion -->\n{% endif %}\nb\n{{ 1 }}\n'
    outputs = decks.convert(text + "{# \n" + text.replace("{#", "") + "#}\n", name="slides_x.md")
    assert b"Zebra" not in (outputs / "completed.ipynb").read_bytes()


@pytest.mark.parametrize(
    ("part", "line"),
    [
        (f"{{# {PRIVATE} #}}\n{SECRET}\n", 1),
        (f"{{% if lang == 'de' %}}\n{PRIVATE}\n{{% endif %}}\n{SECRET}\n", 2),
        (f"{PRIVATE}\n{{% set x %}}\n{SECRET}\n{{% endset %}}\n# %%\n{{{{ x }}}}\n", 3),
    ],
)
def test_included_files_are_looked_at_too(decks: Course, part: str, line: int) -> None:
    decks.write("templates/own.py", part)
    with pytest.raises(ConversionError, match=f"^templates/own.py, line {line}: .* would be published"):
        decks.convert(START + "# %%\nx = 1\n\n# j2 include 'own.py'\n")


def test_included_files_and_macros_may_have_hidden_cells(decks: Course) -> None:
    part = f"{PRIVATE}\n{SECRET}\n# %%\nz = 1\n{{{{ aside('Zebra') }}}}"
    decks.write("templates/own.py", "# j2 from 'course.j2' import aside\n" + part)
    outputs = decks.convert(START + "# %%\nx = 1\n\n# j2 include 'own.py'\n\n# %%\n{{ aside('Zebra') }}# y\n")
    assert b"Zebra" not in (outputs / "completed.py").read_bytes()
    assert b"z = 1" in (outputs / "completed.py").read_bytes()


@pytest.mark.parametrize("slide", ["skip", "notes"])
@pytest.mark.parametrize(
    "text",
    [
        "%s\n{%% set x %%}\npassword = 'Zebra'\n{%% endset %%}\n\n# %%%%\n{{ x }}\n",
        "%s\n# j2 macro x()\npassword = 'Zebra'\n# j2 endmacro\n\n# %%%%\n# {{ x() }}\n",
        "{# \n%s\n#}password = 'Zebra'\n",
    ],
)
def test_cells_that_jupyter_hides_are_held_together_as_well(decks: Course, text: str, slide: str) -> None:
    marker = f'# %% slideshow={{"slide_type": "{slide}"}}'
    with pytest.raises(ConversionError, match="would be published"):
        decks.convert("# %%\n1\n" + text % marker)


def test_cells_that_myst_marks_are_held_together_as_well(decks: Course) -> None:
    text = "a\n\n```{code-cell}\n:tags: [private]\n{% set x %}\npassword = 'Zebra'\n{% endset %}\n```\n\n{{ x }}\n"
    with pytest.raises(ConversionError, match="would be published"):
        decks.convert(text, name="slides_x.md")


def test_in_a_notebook_the_cell_is_told(decks: Course) -> None:
    cells = [
        {"cell_type": "code", "metadata": {}, "source": "1"},
        {
            "cell_type": "code",
            "metadata": {"tags": ["private"]},
            "source": "{% set x %}\npassword = 'Zebra'\n{% endset %}",
        },
        {"cell_type": "markdown", "metadata": {}, "source": "{{ x }}"},
    ]
    with pytest.raises(ConversionError, match=r"cell 2: .*would be published"):
        decks.convert(json.dumps({"cells": cells}), name="slides_x.ipynb")
