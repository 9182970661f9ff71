"""Braces in code, fenced blocks and formulas: which are Jinja's, and which the author's own."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest

from clx.errors import ConversionError
from clx.jobtypes.notebook.braces import GUARD, guarded_wholly, unguarded
from clx.jobtypes.notebook.code_places import code_places
from clx.jobtypes.notebook.deck_text import Asked, read_deck
from clx.jobtypes.notebook.expand import Expanded, expand

from .conftest import Course


def expanded(course: Course, text: str, name: str = "slides_x.py", **options: Any) -> Expanded:
    path = course.write(name, text)
    given: dict[str, Any] = {
        "lang": "en",
        "is_html": True,
        "is_notebook": False,
        "variables": {"station": "Bridge"},
        "prog_lang": "python",
    }
    return expand(PurePosixPath(path), course.root, **{**given, **options})


OWN = [
    "std::array<int, 3> a{{1, 2, 3}};",
    'std::vector<std::string> c{{"x"}};',
    'print(f"{{1}} is a set literal")',
    'f"10^{{-5}} {{x}} {{ 1 }} {{ x }}"',
    "run: echo ${{ secrets.X }}",
    "{{.Names}} {{ .Names }} {{range .Items}}{{end}}",
    "{{ item | default(3) }} {{ 1 + 1 }}",
    r"{{a_2}^2} {{\beta={beta}}} {{ a }^2}",
    'x = "{#x"',
    'y = "#}"',
    'z = "{# no comment #}"',
    "{{ station.",
    "{{ range(3) }}",
    'x = "{% if user %}{{ user }}{% else %}{% endif %}"',
    'x = "{% for i in range(3) %}{{ i }}{% endfor %} {% include "nope.html" %} {% block a %}{% endblock %}"',
    'x = "{% %} {%x%} {%"',
]


@pytest.mark.parametrize("line", OWN)
@pytest.mark.parametrize(
    ("name", "around"),
    [
        ("slides_x.py", "# %%\n{}\n"),
        ("slides_x.cpp", '// %% tags=["keep"]\n{}\n'),
        ("slides_x.py", "# %% [markdown]\n# ```yaml\n# {}\n# ```\n"),
        ("slides_x.py", "# %% [markdown]\n# Text ``{}`` text.\n"),
        ("slides_x.py", "# %% [markdown]\n# Text:\n#\n#     {}\n"),
        ("slides_x.py", "# %% [raw]\n# a {}\n"),
        ("slides_x.md", "Text\n\n<!-- #raw -->\na {}\n<!-- #endraw -->\n\nText\n"),
        ("slides_x.py", "# %% [markdown]\n# <pre>\n# {}\n# </pre>\n"),
        ("slides_x.cpp", "// %% [markdown]\n// - Item\n//\n//       {}\n//\n// Text\n"),
        ("slides_x.cpp", "// %% [markdown]\n// A <code>{}</code>.\n"),
        ("slides_x.md", "Text\n\n```bash\n{}\n```\n"),
        ("slides_x.md", "Text\n\n```python\n{}\n```\n"),
        ("slides_x.md", "Text\n\n~~~~\n{}\n~~~~\n"),
    ],
)
def test_what_is_not_jinjas_stays_as_it_is(course: Course, name: str, around: str, line: str) -> None:
    text = around.format(line)
    assert expanded(course, text, name).text == text
    assert expanded(course, text, name, is_html=False).text == text


@pytest.mark.parametrize(
    "formula",
    [r"$\mathbf{{1}}$", "$x^{{ 2 }}$", "$$\n# {{a_2}^2}\n# $$", r"\(x^{{2}}\)", r"\\({{1}}\\)", r"\\[{{1}}\\]"],
)
def test_formulas_are_left_alone(course: Course, formula: str) -> None:
    text = f"# %% [markdown]\n# In TeX {formula} and words.\n"
    assert expanded(course, text).text == text


def test_a_formula_of_several_paragraphs_is_one(course: Course) -> None:
    text = "\\begin{align}\n\nx^{{2}}\n\n\\end{align}\n"
    assert expanded(course, text, "slides_x.md").text == text


KNOWN = [
    ("# %%\nBusy('{{ station }}')\n", "# %%\nBusy('Bridge')\n"),
    ("# %%\n# {{ station | upper }}\n", "# %%\n# BRIDGE\n"),
    ("# %%\n# {% if lang == 'en' %}\nx\n# {% endif %}\n", "# %%\n# \nx\n# \n"),
    ("# %%\n# {% for n in (1, 2) %}\n{{ n }}\n# {% endfor %}\n{{ n }}\n", "# %%\n# \n1\n# \n2\n# \n{{ n }}\n"),
    ("# %%\n# j2 set n = 3\nx = {{ n }}\n", "# %%\nx = 3\n"),
    ("{% set n = 3 %}# %%\nx = {{ n }}\n", "# %%\nx = 3\n"),
    ("# j2 macro m(a)\n# %%\n{{ a }}\n# j2 endmacro\n# {{ m(1) }}\n{{ a }}\n# %%\n{{ a }} {{ m(2) }}\n", None),
    ("# %%\n# {% raw %}{{ station }}{% endraw %}\n", "# %%\n# {{ station }}\n"),
    ("# %%\n# {# for nobody #}\n{# nor this #}x\n", "# %%\n# \nx\n"),
    ("# %%\nt = '''\n{# shown #}\n{% if user %}{{ user }}{% endif %}\n'''\n", None),
    ("# %%\n# {% if is_html %}a{% else %}b{% endif %}\n", "# %%\n# a\n"),
    ("# %%\nx = '{% if is_html %}a{% elif lang %}b{% endif %}'\n", "# %%\nx = 'a'\n"),
    ("# %% [markdown]\n# {{ station }} $x^{{2}}$ {{ 1 + 1 }}\n", "# %% [markdown]\n# Bridge $x^{{2}}$ 2\n"),
    ("# %% [markdown]\n# ```\n# {% include 'part.py' %}\n# ```\n", "# %% [markdown]\n# ```\n# part\n# ```\n"),
    ("# %%\n# {% import 'm.j2' as m %}{{ m.x }}\n", "# %%\n# 5\n"),
    ("# %%\n# {% set a = 1 %}{% if true %}{# x #}{{ a }}{% endif %}\n", "# %%\n# 1\n"),
    ("# %%\n# {% set a %}q{% endset %}{{ a }}\n", "# %%\n# q\n"),
    ("# %%\n# {% with b = 1 %}{{ b }}{% endwith %}{{ b }}\n", "# %%\n# 1{{ b }}\n"),
    ("# %% [markdown]\n# # Head {#sec:a .x}\n", "# %% [markdown]\n# # Head {#sec:a .x}\n"),
    ("# %% [markdown]\n# {#note#} {# a } b#}\n", "# %% [markdown]\n#  \n"),
    ("# %%\n# {% for a in unknown2 %}{% endfor %}\n", "error"),
    ("# %%\n# {% if is_htlm %}x{% endif %}\n", "error"),
    ("# %% [markdown]\n# {{ nope }}\n", "error"),
    ("# %% [markdown]\n# Cost $5: {{ station }}, not $6.\n", "# %% [markdown]\n# Cost $5: Bridge, not $6.\n"),
    ("# %% [markdown]\n# It costs $5, says {{ nope }}, not $6.\n", "error"),
    ("# %% [raw]\n# {{ station }} {{1}}\n", "# %% [raw]\n# Bridge {{1}}\n"),
    (
        "# %% [markdown]\n# a\n#     {{ 1 + 1 }}\n# - b\n#\n#     {{ 2 }}\n",
        "# %% [markdown]\n# a\n#     2\n# - b\n#\n#     2\n",
    ),
    ("# %% [markdown]\n# `<pre>` {{ 1 + 1 }} `</pre>`\n", "# %% [markdown]\n# `<pre>` 2 `</pre>`\n"),
    ("# %% [markdown]\n# a\n#\n#     {{ station }} {{1}}\n", "# %% [markdown]\n# a\n#\n#     Bridge {{1}}\n"),
    ("a{{1, 2}}\n", "a{{1, 2}}\n"),
]


@pytest.mark.parametrize(("text", "becomes"), KNOWN)
def test_what_the_deck_knows_is_jinjas(course: Course, text: str, becomes: str | None) -> None:
    course.write("part.py", "part")
    course.write("m.j2", "{% set x = 5 %}")
    if becomes == "error":
        with pytest.raises(ConversionError, match="is undefined"):
            expanded(course, text)
        return
    found = expanded(course, text).text
    if becomes is None:
        known = {"macro": "1\n\n{{ a }}\n# %%\n{{ a }} ", "'''": text}
        assert next(each for word, each in known.items() if word in text) in found
    else:
        assert found == becomes


def test_a_block_of_anothers_templates_does_not_swallow_the_decks_own(course: Course) -> None:
    text = (
        "# %% [markdown]\n# ```jinja\n# {% for a in them %}\n# ```\n\n"
        "# j2 for n in (1, 2)\n# %%\nprint({{ n }})\n# j2 endfor\n"
        "# %% [markdown]\n# ```jinja\n# {% endfor %}\n# ```\n"
    )
    found = expanded(course, text).text
    assert "print(1)" in found
    assert "print(2)" in found
    assert "{% for a in them %}" in found
    assert "{% endfor %}" in found


def test_included_sources_keep_their_braces(course: Course) -> None:
    course.write("part.cpp", "int a{{1, 2}};\n// {{ station }}\n")
    assert expanded(course, "// %%\n// j2 include 'part.cpp'\n", "slides_x.cpp").text == (
        "// %%\nint a{{1, 2}};\n// Bridge\n"
    )


def test_jinja_can_be_switched_off_by_the_deck(course: Course) -> None:
    text = "# ---\n# title: x\n# jinja: false\n# ---\n# %%\n# j2 nonsense\n{{ station }} {% x %} {# y #}\n"
    assert expanded(course, text).text == text
    text = "---\njinja: false\n---\n{{ station }}\n"
    assert expanded(course, text, "slides_x.md").text == text
    assert "Bridge" in expanded(course, text.replace("false", "true"), "slides_x.md").text


def test_jinja_can_be_switched_off_from_outside(course: Course) -> None:
    text = "{{ station }}\n# j2 nonsense\n"
    found = expanded(course, text, jinja=False)
    assert found.text == text
    assert found.deck_lines() == [1, 2, None]


def test_a_name_that_is_nearly_known_is_told(course: Course) -> None:
    found = expanded(course, "# %%\nx = 1\nBusy('{{ staton }}', '{{ other }}', '{{ station }}')\n")
    assert "'{{ staton }}', '{{ other }}', 'Bridge'" in found.text
    assert found.slips == ((3, "staton", "station"),)
    tight = expanded(course, "# %%\n'{{station}} {{x}} {{staton}}'\n# %% [markdown]\n# {{station}}\n")
    assert "'{{station}} {{x}} {{staton}}'" in tight.text
    assert "# Bridge" in tight.text
    assert tight.slips == ((2, "station", "{{ station }}"),)
    path = course.write("slides_x.py", "# %%\n{{ staton }}\n")
    asked = Asked(str(course.root), path, ["en"], [(True, False)], {"station": "Bridge"}, "python")
    assert read_deck(asked).respelt == [
        f"{path}:2: the braces around 'staton' stand in code and stay as they are; did you mean 'station'?"
    ]


def test_lines_are_known_as_ever(course: Course) -> None:
    found = expanded(course, "# %%\na{{1}}\n# j2 if true\nb{{2}}\n# j2 endif\nc{{3}}\n")
    assert found.text == "# %%\na{{1}}\nb{{2}}\nc{{3}}\n"
    assert found.deck_lines() == [1, 2, 4, 6, None]


def test_code_is_found_where_it_stands() -> None:
    text = "a{{1}}\n# head\n# %% [md]\n# `a` {{ $b$ {\n# ```\n# c\n# ```\n# %%\nd\n'''\ne\n'''\n"
    places = code_places(text, "#", is_markdown=False)
    found = [(text[place.start : place.end].strip(), place.kind) for place in places]
    assert [each for each in found if each[0]] == [
        ("a{{1}}", "head"),
        ("`a`", "shown"),
        ("$b$", "shown"),
        ("# c", "shown"),
        ("d", "cell"),
        ("'''", "cell"),
        ("e", "shown"),
        ("'''", "shown"),
    ]


def test_what_is_guarded_wholly_is_the_same_without_its_guards() -> None:
    text = "{{ a }} {% b %} {# c #} {{{{\n  # j2 d\n"
    given = guarded_wholly(text, "# j2")
    assert given.count(GUARD) == 7
    assert unguarded(given) == text


@pytest.mark.parametrize(
    ("text", "is_told"),
    [
        ("# # Title\n\nx = 1\n", True),
        ("# % [markdown]\n# text\n", True),
        ("# %%\nx = 1\n", False),
        ("# %% [markdown]\n# text\n", False),
        ("x = '# %% y'\n", True),
    ],
)
def test_a_deck_without_markers_is_told(course: Course, text: str, is_told: bool) -> None:
    path = course.write("slides_x.py", text)
    asked = Asked(str(course.root), path, ["de", "en"], [(True, False), (False, True)], {}, "python")
    told = [
        (
            f"{path}: there is no `# %%` in it, so that all of it is one code cell; "
            "begin cells with `# %%`, texts with `# %% [markdown]`."
        )
    ]
    assert read_deck(asked).respelt == (told if is_told else [])
