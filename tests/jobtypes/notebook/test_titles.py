"""What decks are called."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

import pytest

from clx.jobtypes.notebook.cells import cells_of
from clx.jobtypes.notebook.deck import deck_language
from clx.jobtypes.notebook.expand import expand
from clx.jobtypes.notebook.titles import title_of

from .conftest import Course


def title(course: Course, text: str, name: str = "slides_x.py", lang: str = "en") -> str | None:
    path = course.write(name, text)
    given: dict[str, Any] = {"is_html": True, "is_notebook": False, "variables": {}, "prog_lang": "python"}
    found = expand(PurePosixPath(path), course.root, lang=lang, **given)
    language, is_markdown = deck_language(name, "python"), name.endswith(".md")
    cells = cells_of(found, language, is_markdown=is_markdown)
    return title_of(found, cells, lang, language, is_markdown=is_markdown)


HEADER = "# j2 from 'macros.j2' import header\n# {{ header('Klassen', 'Classes') }}\n"
HEADING = "# %% [markdown]\n# # A *first* [step](x.md)\n"


def test_header_wins_over_yaml_and_that_over_a_heading(course: Course) -> None:
    yaml = "# ---\n# title: From YAML\n# jupyter: {a: 1}\n# ---\n"
    assert title(course, HEADER + HEADING) == "Classes"
    assert title(course, yaml + HEADER + HEADING) == "Classes"
    assert title(course, yaml + HEADING) == "From YAML"
    assert title(course, HEADING) == "A first step"
    assert title(course, "# %%\n1\n") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("---\ntitle: From YAML\n---\n\n# Head\n", "From YAML"),
        ("---\ntitle: {de: Deutsch, en: English}\n---\n\n# Head\n", "English"),
        ("---\ntitle: {de: Deutsch}\n---\n\n# Head\n", "Head"),
        ("---\ntitle: 1\n---\n\n# Head\n", "Head"),
        ("---\njupyter: {title: x}\n---\n\n## Head ##\n", "Head"),
        ("Text\n\nHead\n====\n", "Head"),
        ("Head\n---\n", "Head"),
        ("two\nlines\n---\n\n# Head\n", "Head"),
        ("- a\n---\n# Head\n", "Head"),
        ("```\n# no heading\n```\n\n# Head {#id .x}\n", "Head"),
        ("# Head {.x key=1}\n", "Head"),
        ("# J {% raw %}{# z #}{% endraw %}\n", "J {# z #}"),
        ("# The set {a}\n", "The set {a}"),
        ("<h1 class='x'>A <b>Head</b></h1>\n", "A Head"),
        ("# ![](a.png)\n\n# `x` \\*is\\* __Head__\n", "x *is* Head"),
        ("# $\\alpha$ and a_b_c\n", "$\\alpha$ and a_b_c"),
    ],
)
def test_titles_of_markdown_decks(course: Course, text: str, expected: str) -> None:
    assert title(course, text, "slides_x.md") == expected


def test_a_yaml_block_of_a_percent_deck_is_a_comment_where_it_is_none(course: Course) -> None:
    assert title(course, "# ---\n# title: a: b\n# ---\n" + HEADING) == "A first step"
    assert title(course, "// ---\n// title: In C++\n// ---\n// %%\n1;\n", "slides_x.cpp") == "In C++"


@pytest.mark.parametrize("tags", ['"private"', '"notes"', '"del"', '"alt"', '"answer"'])
def test_what_some_students_do_not_see_names_nothing(course: Course, tags: str) -> None:
    hidden = f"# %% [markdown] tags=[{tags}]\n# # Zebra\n"
    assert title(course, hidden + HEADING) == "A first step"
    assert title(course, hidden) is None
    slide = '# %% [markdown] slideshow={"slide_type": "notes"}\n# # Zebra\n'
    assert title(course, slide + HEADING) == "A first step"


def test_a_title_is_that_of_the_language(course: Course) -> None:
    text = '# %% [markdown] lang="de"\n# # Deutsch\n# %% [markdown] lang="en"\n# # English\n'
    assert (title(course, text), title(course, text, lang="de"), title(course, text, lang="fr")) == (
        "English",
        "Deutsch",
        None,
    )


def test_a_notebook_says_it_in_its_metadata_or_by_a_heading(course: Course) -> None:
    cell = {"cell_type": "markdown", "metadata": {}, "source": "# Head"}
    for metadata, expected in (({"title": "Said"}, "Said"), ({}, "Head")):
        assert title(course, json.dumps({"cells": [cell], "metadata": metadata}), "slides_x.ipynb") == expected


def test_quartos_header_in_a_notebook_is_no_cell(course: Course) -> None:
    block = {"cell_type": "raw", "metadata": {}, "source": "---\ntitle: Quarto\njinja: false\n---\n"}
    cell = {"cell_type": "markdown", "metadata": {}, "source": "# {{ Head }}"}
    text = json.dumps({"cells": [block, cell], "metadata": {}})
    assert title(course, text, "slides_x.ipynb") == "Quarto"
    outputs = course.convert(text, name="slides_x.ipynb")
    notebook = json.loads((outputs / "completed.ipynb").read_text(encoding="utf-8"))
    assert ["".join(each["source"]) for each in notebook["cells"]] == ["# {{ Head }}"]


def test_pages_are_called_so(course: Course) -> None:
    course.convert(HEADING)
    assert course.facts["title"] == "A first step"
