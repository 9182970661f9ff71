"""Notebooks as decks."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clx.errors import ConversionError
from clx.jobtypes.notebook.cells import Cell, cells_of, read_cells
from clx.jobtypes.notebook.deck import PROG_LANG
from clx.jobtypes.notebook.deck_text import Asked, read_deck
from clx.jobtypes.notebook.expand import Expanded, expand
from clx.jobtypes.notebook.notebook_source import read_notebook
from clx.jobtypes.notebook.telltale import Telltale

from .conftest import Course

PYTHON = PROG_LANG["python"]


def cell(kind: str, source: str, **metadata: Any) -> dict[str, Any]:
    return {"cell_type": kind, "metadata": metadata, "source": source.splitlines(keepends=True)}


def notebook(*cells: dict[str, Any], **metadata: Any) -> str:
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def expanded(course: Course, text: str, **options: Any) -> Expanded:
    path = course.write("slides_x.ipynb", text)
    given: dict[str, Any] = {
        "lang": "en",
        "is_html": True,
        "is_notebook": False,
        "variables": {},
        "prog_lang": "python",
    }
    return expand(PurePosixPath(path), course.root, **{**given, **options})


def cells(course: Course, text: str) -> list[Cell]:
    return cells_of(expanded(course, text), PYTHON)


DECK = notebook(
    cell("markdown", "# Title\n\ntext", slideshow={"slide_type": "slide"}),
    cell("code", "%%bash\necho hello\nfor i in 1; do\n  echo $i\ndone"),
    cell("code", "1 + 1", tags=["keep"], collapsed=True),
    cell("raw", "as *it* is"),
    cell("markdown", "mine", tags=["private"]),
    cell("markdown", "Hallo", lang="de"),
    kernelspec={"name": "python3", "display_name": "Python", "language": "python"},
)


def test_a_notebook_has_the_cells_it_has(course: Course) -> None:
    assert [(each.kind, each.source, each.tags, each.lang) for each in cells(course, DECK)] == [
        ("markdown", "# Title\n\ntext", ("slide",), None),
        ("code", "%%bash\necho hello\nfor i in 1; do\n  echo $i\ndone", (), None),
        ("code", "1 + 1", ("keep", "hide-output"), None),
        ("raw", "as *it* is", (), None),
        ("markdown", "mine", ("private",), None),
        ("markdown", "Hallo", (), "de"),
    ]


LINES = st.sampled_from(
    [
        *(
            "",
            "x = 1",
            "# %matplotlib inline",
            "%time x",
            "!ls",
            "# %% [markdown]",
            "# %%",
            "%% x",
            "%%",
            '"""',
            "'''",
            "# c",
        ),
        *("# # %%", "```", "ls", "# ls", "    # %% a", "$$", "In[1]:", "# In[1]:", "#| eval: true", "/* a", "// %% b"),
    ]
)


@pytest.mark.parametrize("language", ["python", "cpp"])
@given(
    written=st.lists(st.tuples(st.sampled_from(["code", "markdown", "raw"]), st.lists(LINES, max_size=5)), min_size=1)
)
def test_whatever_stands_in_a_cell_stays_in_it(language: str, written: list[tuple[str, list[str]]]) -> None:
    text = notebook(*(cell(kind, "\n".join(lines)) for kind, lines in written))
    source = read_notebook(text.encode(), PROG_LANG[language])
    found = [(each.kind, each.source) for each in read_cells(source.text, PROG_LANG[language])]
    assert found == [(kind, "\n".join(lines).strip("\n")) for kind, lines in written]


def test_attached_pictures_are_kept_with_their_cell(course: Course) -> None:
    picture = {"a.png": {"image/png": "AAAA"}}
    with_picture = {**cell("markdown", "![](attachment:a.png)", tags=["slide"]), "attachments": picture}
    first, second = cells(course, notebook(cell("markdown", "a"), with_picture))
    assert (first.attachments, second.attachments) == ({}, picture)
    assert second.tags == ("slide",)
    assert second.unread == ()


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("{", "no Jupyter notebook"),
        ("[" * 100_000, "no Jupyter notebook"),
        ("[]", "no list of cells"),
        ('{"worksheets": []}', "no list of cells"),
        (notebook(cell("code", "x"), kernelspec={"language": "R"}), "in R, but the course is in python"),
        (notebook(cell("code", "x"), language_info={"name": "julia"}), "in julia, but"),
        (notebook(cell("markdown", "a"), cell("markdown", "{{ nope }}")), "cell 2: 'nope' is undefined"),
        (notebook(cell("markdown", "a"), cell("markdown", "b", tags=["Private"])), 'cell 2: unknown tag "Private"'),
    ],
)
def test_what_is_wrong_is_told_with_its_cell(course: Course, text: str, fact: str) -> None:
    with pytest.raises(ConversionError, match=fact) as caught:
        cells(course, text)
    assert caught.value.line is None


def test_versions_of_a_language_are_that_language() -> None:
    text = notebook(cell("code", "int x{{1}};"), kernelspec={"language": "C++17"}, language_info={"name": "c++"})
    assert "int x{{1}};" in read_notebook(text.encode(), PROG_LANG["cpp"]).text


def test_warnings_name_the_cell(course: Course) -> None:
    path = course.write(
        "slides_x.ipynb", notebook(cell("code", "1"), cell("code", "2", odd=1), cell("code", "3", lang="fr"))
    )
    found = read_deck(Asked(str(course.root), path, ["en"], [(True, False)], {}, "python"))
    assert found.respelt == [
        f'{path}: cell 3: cells with lang="fr" come out nowhere: the course is in en.',
        f"{path}: cell 2: the attribute 'odd' of this cell means nothing to CLX.",
    ]


def test_hidden_cells_of_a_notebook_are_known_without_a_line(course: Course) -> None:
    path = course.write("slides_x.ipynb", notebook(cell("code", "password = 'Zebra crossing'", tags=["private"])))
    [told] = read_deck(Asked(str(course.root), path, ["en"], [(True, False)], {}, "python")).hidden
    assert msgspec.convert(told, Telltale).line == 0


def test_a_notebook_becomes_pages_notebooks_and_code(course: Course) -> None:
    outputs = course.convert(DECK, name="slides_x.ipynb")
    assert "Title" in (outputs / "code-along.html").read_text(encoding="utf-8")
    for path in outputs.iterdir():
        assert ("mine" in path.read_text(encoding="utf-8")) == path.name.startswith("speaker"), path.name
    assert sorted(path.suffix for path in outputs.glob("completed*")) == [".ipynb", ".py"]
