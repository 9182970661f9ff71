"""Jinja in decks."""

from __future__ import annotations

import time
from pathlib import PurePosixPath
from typing import Any

import pytest

from clx.errors import ConversionError
from clx.jobtypes.notebook.cells import read_cells
from clx.jobtypes.notebook.deck import PROG_LANG
from clx.jobtypes.notebook.expand import Expanded, expand

from .conftest import Course

HEADER = "{c} j2 from 'macros.j2' import header\n{c} {{{{ header('Klassen ', 'Classes') }}}}\n"


def expanded(course: Course, text: str, name: str = "slides_x.py", **options: Any) -> Expanded:
    path = course.write(name, text)
    given: dict[str, Any] = {
        "lang": "de",
        "is_html": True,
        "is_notebook": False,
        "variables": {},
        "prog_lang": "python",
    }
    return expand(PurePosixPath(path), course.root, **{**given, **options})


@pytest.mark.parametrize("language", PROG_LANG.values(), ids=lambda language: language.name)
def test_header_gives_a_title_cell_per_language_in_every_programming_language(course: Course, language: Any) -> None:
    text = HEADER.format(c=language.comment) + f"\n{language.comment} %%\nx\n"
    found = expanded(course, text, f"slides_x{language.extension}")
    cells = read_cells(found.text, language)
    assert found.title == "Klassen"
    assert [(cell.kind, cell.source, cell.lang, cell.tags) for cell in cells] == [
        ("markdown", "# Klassen", "de", ("slide",)),
        ("markdown", "# Classes", "en", ("slide",)),
        ("code", "x", None, ()),
    ]


@pytest.mark.parametrize("start", ["{% from 'macros.j2' import header %}", "# j2 from 'macros.j2' import header"])
def test_header_works_in_markdown_decks(course: Course, start: str) -> None:
    found = expanded(course, f"{start}\n{{{{ header('Klassen', 'Classes') }}}}\n\nText\n", "slides_x.md")
    cells = read_cells(found.text, PROG_LANG["python"], is_markdown=True)
    assert [(cell.source, cell.lang, cell.tags) for cell in cells] == [
        ("# Klassen", "de", ("slide",)),
        ("# Classes", "en", ("slide",)),
        ("Text", None, ()),
    ]


def test_the_title_is_that_of_the_language(course: Course) -> None:
    text = HEADER.format(c="#")
    assert expanded(course, text, lang="en").title == "Classes"
    assert expanded(course, text, lang="fr").title is None
    assert expanded(course, "# %%\n").title is None


def test_the_author_stands_below_the_title(course: Course) -> None:
    found = expanded(course, HEADER.format(c="#"), variables={"author": "Jane"})
    assert read_cells(found.text, PROG_LANG["python"])[0].source == "# Klassen\n\nJane"


def test_a_course_has_macros_of_its_own(course: Course) -> None:
    macro = '{% macro header(en, de) %}%% [markdown] lang="{{ lang }}"\n# {{ de }} by {{ author }}{% endmacro %}'
    course.write("templates/macros.j2", macro)
    text = "# j2 from 'macros.j2' import header\n# {{ header('Classes', 'Klassen') }}\n"
    found = expanded(course, text, variables={"author": "Jane"})
    assert found.title == "Klassen"
    assert 'lang="de"' in found.text
    assert "Klassen by Jane" in found.text
    assert tuple(found.templates) == ("templates/macros.j2",)


def test_templates_beside_the_deck_come_first(course: Course) -> None:
    course.write("part.j2", "beside")
    course.write("templates/part.j2", "course")
    found = expanded(course, "# j2 include 'part.j2'\n")
    assert found.text == "beside"
    assert tuple(found.templates) == ("slides/module_100_m/topic_100_x/part.j2",)


def test_the_format_is_known_to_the_deck(course: Course) -> None:
    text = "# j2 if is_html\nhtml\n# j2 elif is_notebook\nnotebook\n# j2 else\ncode\n# j2 endif\n{{ lang }}\n"
    assert expanded(course, text).text == "html\nde\n"
    assert expanded(course, text, is_html=False, is_notebook=True).text == "notebook\nde\n"
    assert expanded(course, text, is_html=False).text == "code\nde\n"


def test_line_ends_and_a_byte_order_mark_are_evened_out(course: Course) -> None:
    assert expanded(course, "\ufeffa\r\nb\rc\n").text == "a\nb\nc\n"


def test_whose_braces_are_anothers_is_told_how_to_keep_them(course: Course) -> None:
    with pytest.raises(ConversionError) as caught:
        expanded(course, "# %%\n# {% for i in xs %}\n# {% endfor %}\n")
    assert "{% raw %}" in caught.value.next_step
    assert "jinja: false" in caught.value.next_step


@pytest.mark.parametrize(
    ("text", "line", "fact"),
    [
        ("a\nb\n{{ nope }}\n", 3, "'nope' is undefined"),
        ("a\n{{ x }\n", 2, "unexpected '}'"),
        ("a\n# j2 nonsense\n", 2, "unknown tag 'nonsense'"),
        ("a\n# j2 include 'nope.j2'\n", 2, "there is no template 'nope.j2'"),
        ("a\n# j2 include '/etc/passwd'\n", 2, "outside the course"),
        ("a\n# j2 include '../../../../secret.j2'\n", 2, "outside the course"),
        ("a\n# j2 include 'link.j2'\n", 2, "outside the course"),
        ("a\n{{ ''.__class__.__mro__ }}\n", 2, "unsafe"),
        ("a\n{{ [].append(1) }}\n", 2, "unsafe"),
        ("a\n{{ 1 // 0 }}\n", 2, "ZeroDivisionError"),
        ("a\n# j2 include 'broken.j2'\n", 2, "broken.j2, line 3: unexpected"),
        ("a\n# j2 include 'undefined.j2'\n", 2, "undefined.j2, line 2: 'gone' is undefined"),
    ],
)
def test_errors_name_the_line_of_the_deck(course: Course, text: str, line: int, fact: str) -> None:
    (course.root.parent / "secret.j2").write_text("secret")
    (course.root / "slides/module_100_m/topic_100_x/link.j2").symlink_to(course.root.parent / "secret.j2")
    course.write("broken.j2", "\n\n{{ oops")
    course.write("undefined.j2", "\n{{ gone }}")
    with pytest.raises(ConversionError) as caught:
        expanded(course, text)
    assert fact in caught.value.fact
    assert caught.value.line == line
    assert caught.value.next_step
    assert not caught.value.retryable


@pytest.mark.parametrize(
    "text",
    [
        "{" * 4000,
        "{{ " + "(" * 4000,
        "{{ " + "not " * 3000 + "1 }}",
        "{{ 1" + " + 1" * 5000 + " }}",
        "{{ 1" + " | string" * 3000 + " }}",
        "{% if 1 %}" * 500 + "x" + "{% endif %}" * 500,
        "{% for i in [1] %}" * 30 + "x" + "{% endfor %}" * 30,
    ],
    ids=lambda text: text[:20],
)
def test_a_deck_that_is_nested_too_deeply_says_so_and_where(course: Course, text: str) -> None:
    """It calls nothing: that is said of a macro that does."""
    with pytest.raises(ConversionError) as caught:
        expanded(course, f"a\nb\n# {text}\n")
    assert caught.value.fact == "braces, operators or blocks are nested too deeply"
    assert caught.value.line == 3
    assert "{% raw %}" in caught.value.next_step
    with pytest.raises(ConversionError, match="templates call each other without end"):
        expanded(course, "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}")


def test_a_deck_that_is_not_utf8_says_where(course: Course) -> None:
    path = course.write("slides_x.py", "")
    (course.root / path).write_bytes(b"# %%\n# gr\xfc\xdfe\n")
    with pytest.raises(ConversionError, match="UTF-8") as caught:
        expand(
            PurePosixPath(path),
            course.root,
            lang="de",
            is_html=True,
            is_notebook=False,
            variables={},
            prog_lang="python",
        )
    assert caught.value.line == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "bomb",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{% for b in range(99999) %}some text{% endfor %}{% endfor %}",
        "{% set text = 'a' * 900000 %}{% for a in range(99999) %}{{ text }}{% endfor %}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ range(10000000) }}",
        "{{ 'a' * 10000000000 }}",
        "{{ 10 ** 10000000000 }}",
    ],
)
def test_templates_that_never_end_are_stopped(course: Course, bomb: str) -> None:
    started = time.monotonic()
    with pytest.raises(ConversionError):
        expanded(course, bomb)
    assert time.monotonic() - started < 20, "a bomb of this kind would take hours"


DECK_WITH_SHIFTS = """\
# j2 from 'macros.j2' import header
# {{ header("A", "B") }}

# %% one {# a comment
over lines #}
# j2 if true
a

# j2 endif
# j2 include 'part.j2'
{% for n in (1, 2) %}
# %% turn {{ n }}
{% endfor -%}

{% raw %}
{{ raw }}
{% endraw %}
# j2 macro box()
  {{ caller() | trim | upper }}
# j2 endmacro
# j2 call box()

  # %% in a call
# j2 endcall
# %% last{{ "  " }}
"""


def test_every_line_of_an_expansion_knows_the_line_it_was(course: Course) -> None:
    course.write("part.j2", "# %% from a template\n")
    found = expanded(course, DECK_WITH_SHIFTS)
    pairs = zip(found.text.split("\n"), found.deck_lines(), strict=True)
    assert [(text, line) for text, line in pairs if text.strip()] == [
        ('# %% [markdown] lang="de" tags=["slide"]', 2),
        ("# # A", None),
        ('# %% [markdown] lang="en" tags=["slide"]', None),
        ("# # B", None),
        ("# %% one ", 4),
        ("a", 7),
        ("# %% from a template", None),
        ("# %% turn 1", 12),
        ("# %% turn 2", 12),
        ("{{ raw }}", 16),
        ("  # %% IN A CALL", 23),
        ("# %% last  ", 25),
    ]


@pytest.mark.parametrize("line", ["{% set text %}\na\n{% endset %}{{ text | length }}", "a\x021\x03"])
def test_no_line_is_claimed_where_the_two_expansions_differ(course: Course, line: str) -> None:
    assert set(expanded(course, f"a\n{line}\nb\n").deck_lines()) == {None}


def test_a_deck_that_is_gone_by_then_has_no_lines(course: Course) -> None:
    found = expanded(course, "a\nb\n")
    (course.root / "slides/module_100_m/topic_100_x/slides_x.py").unlink()
    assert found.deck_lines() == [None, None, None]
