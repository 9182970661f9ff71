"""Notebooks of other tools as decks: cells, tags, attachments, what is told."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell

from clx.course.import_cells import mapping
from clx.course.import_course import import_directory, import_file
from clx.course.importing import import_notebook, is_notebook
from clx.errors import CourseError, UsageError
from clx.jobtypes.notebook.cells import read_cells

PIXEL = base64.b64encode(b"\x89PNG pixel").decode()


def written(path: Path, *cells: Any, language: str = "python") -> Path:
    notebook = new_notebook(cells=list(cells))
    notebook.metadata["language_info"] = {"name": language}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def test_the_cells_are_the_same(tmp_path: Path) -> None:
    sources = [
        ("markdown", "# Title\n\nText with `code` and $x$.\n\n- a\n- b"),
        ("code", "def f(x):\n    return x\n\n\n# a comment\nf(1)"),
        ("code", "%matplotlib inline\n!ls"),
        ("code", "%%bash\necho hello"),
        ("raw", "raw text"),
        ("code", "x = 1"),
    ]
    make = {"markdown": new_markdown_cell, "code": new_code_cell, "raw": new_raw_cell}
    found = import_notebook(written(tmp_path / "a.ipynb", *(make[kind](text) for kind, text in sources)))
    cells = read_cells(found.text, found.language)
    assert [(cell.kind, cell.source) for cell in cells] == sources
    assert (found.cells, found.language.name) == (len(sources), "python")


def test_tags_and_slide_types_are_mapped_and_outputs_left(tmp_path: Path) -> None:
    output = new_output("stream", text="out")
    found = import_notebook(
        written(
            tmp_path / "a.ipynb",
            new_markdown_cell("# A", metadata={"slideshow": {"slide_type": "slide"}}),
            new_markdown_cell("secret", metadata={"slideshow": {"slide_type": "notes"}}),
            new_markdown_cell("gone", metadata={"slideshow": {"slide_type": "skip"}}),
            new_code_cell("x", metadata={"tags": ["hide-input", "strange"]}, outputs=[output]),
            new_code_cell("y", metadata={"jupyter": {"source_hidden": True}, "nbgrader": {"solution": True}}),
            new_code_cell("### BEGIN SOLUTION\n1\n### END SOLUTION"),
        )
    )
    cells = read_cells(found.text, found.language)
    assert [sorted(cell.tags) for cell in cells] == [["slide"], ["notes"], ["del"], ["hide-input"], ["hide-input"], []]
    left = " ".join(found.left)
    assert all(word in left for word in ("outputs", "'strange'", "'nbgrader'", "BEGIN SOLUTION"))
    assert "slide_type 'notes' is the tag 'notes'" in found.mapped
    assert "out" not in found.text


def test_attachments_become_files(tmp_path: Path) -> None:
    cells = []
    for content in (PIXEL, PIXEL, base64.b64encode(b"another").decode()):
        cells.append(new_markdown_cell("![a](attachment:my%20image.png)"))
        cells[-1]["attachments"] = {"my image.png": {"image/png": content}}
    path = written(tmp_path / "a.ipynb", *cells)
    deck = import_file(path, tmp_path / "out", force=False, tell=lambda _line: None).decks[0]
    text = deck.read_text("utf-8")
    assert "attachment:" not in text
    assert text.count("(img/a-my-image.png)") == 2
    assert text.count("(img/a-my-image-2.png)") == 1
    assert (tmp_path / "out/img/a-my-image.png").read_bytes() == b"\x89PNG pixel"
    assert (tmp_path / "out/img/a-my-image-2.png").read_bytes() == b"another"


@pytest.mark.parametrize(("text", "is_template"), [("a {{ b }} c", True), ("f'{x}' and {y}", False)])
def test_braces_are_no_template(tmp_path: Path, text: str, is_template: bool) -> None:
    found = import_notebook(written(tmp_path / "a.ipynb", new_markdown_cell(text)))
    assert found.text.startswith("# ---\n# jinja: false\n# ---\n") == is_template
    assert text in found.text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.Rmd", "---\ntitle: T\n---\n\n# Head\n\n```{python}\nx = 1\n```\n"),
        ("a.qmd", "---\ntitle: T\n---\n\n# Head\n\n```{python}\nx = 1\n```\n"),
        ("a.md", "---\nkernelspec:\n  name: python3\n---\n\n# Head\n\n```{code-cell}\nx = 1\n```\n"),
    ],
)
def test_documents_with_cells(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    assert is_notebook(path)
    found = import_notebook(path)
    assert ("code", "x = 1") in [(cell.kind, cell.source) for cell in read_cells(found.text, found.language)]


def test_plain_markdown_is_no_notebook(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Read me\n\n```python\nx\n```\n", "utf-8")
    assert not is_notebook(tmp_path / "README.md")


@pytest.mark.parametrize(("content", "word"), [(b"no json", "no notebook"), (b"\xff\xfe", "no notebook")])
def test_what_is_no_notebook_is_told(tmp_path: Path, content: bytes, word: str) -> None:
    (tmp_path / "a.ipynb").write_bytes(content)
    with pytest.raises(CourseError, match=word):
        import_notebook(tmp_path / "a.ipynb")


def test_a_language_that_is_unknown_is_told(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="'julia', which CLX does not know"):
        import_notebook(written(tmp_path / "a.ipynb", new_code_cell("x"), language="julia"))


def test_nothing_is_replaced_unless_asked(tmp_path: Path) -> None:
    path = written(tmp_path / "a.ipynb", new_code_cell("x"))
    deck = tmp_path / "slides_a.py"
    deck.write_text("mine", "utf-8")
    with pytest.raises(UsageError, match="is there already"):
        import_file(path, tmp_path, force=False, tell=lambda _line: None)
    assert deck.read_text("utf-8") == "mine"
    import_file(path, tmp_path, force=True, tell=lambda _line: None)
    assert "mine" not in deck.read_text("utf-8")
    import_file(path, tmp_path, force=False, tell=lambda _line: None)  # the same again


def test_a_directory_becomes_a_course(tmp_path: Path) -> None:
    source, target = tmp_path / "lessons", tmp_path / "course"
    written(source / "intro/01 First.ipynb", new_markdown_cell("# First"))
    written(source / "intro/.ipynb_checkpoints/01 First.ipynb", new_markdown_cell("# Old"))
    written(source / "more/b.ipynb", new_markdown_cell("# B"))
    written(source / "more/r.ipynb", new_code_cell("x"), language="R")
    (source / "more/data").mkdir()
    (source / "more/data/x.csv").write_text("1", "utf-8")
    result = import_directory(source, target, force=False, tell=lambda _line: None)
    assert [deck.relative_to(target).as_posix() for deck in result.decks] == [
        "slides/module_100_imported/topic_010_intro/slides_01_First.py",
        "slides/module_100_imported/topic_020_more/slides_b.py",
    ]
    assert (target / "slides/module_100_imported/topic_020_more/data/x.csv").read_text("utf-8") == "1"
    assert result.course is not None
    assert "topics:\n  - intro\n" in result.course.read_text("utf-8")
    assert ["'r'" in str(error) for error in result.failed] == [True]
    result.course.write_text("mine", "utf-8")
    again = import_directory(source, target, force=False, tell=lambda _line: None)
    assert (again.course, (target / "course.yaml").read_text("utf-8")) == (None, "mine")


def test_sections_are_in_the_order_of_people(tmp_path: Path) -> None:
    source, target = tmp_path / "lessons", tmp_path / "course"
    for name in ("week 10", "Week 2", "apples", "Zebra", "week 1"):
        written(source / name / "a.ipynb", new_markdown_cell("# A"))
    result = import_directory(source, target, force=False, tell=lambda _line: None)
    assert result.topics == ["apples", "week_1", "week_2", "week_10", "zebra"]


def test_a_directory_without_notebooks_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no notebooks"):
        import_directory(tmp_path, tmp_path / "out", force=False, tell=lambda _line: None)


ODD = [
    ("code", "x = 1\n# %% tags=['keep']\nzqx = 2"),
    ("code", "# In[1]:\nzqx"),
    ("code", 'x = """open\nzqx'),
    ("code", "%%bash\necho zqx\n# %%\nq"),
    ("code", "x\n%%time\nzqx"),
    ("markdown", "a\n%% [markdown]\nzqx"),
    ("markdown", "%% zqx"),
    ("markdown", "In[1]:\nzqx"),
    ("markdown", "```\nopen zqx"),
    ("markdown", '# %% [markdown]\n"""\nzqx'),
    ("raw", "%%\nzqx"),
    ("raw", "---\na: b\n---\nzqx"),
]


@pytest.mark.parametrize(("kind", "source"), ODD)
@pytest.mark.parametrize("language", ["python", "java"])
def test_nothing_in_a_hidden_cell_ends_it(tmp_path: Path, kind: str, source: str, language: str) -> None:
    make = {"markdown": new_markdown_cell, "code": new_code_cell, "raw": new_raw_cell}[kind]
    one, two = (make(source, metadata={"tags": ["private"]}) for _ in range(2))
    cells = [one, new_markdown_cell("public"), two, new_code_cell("y"), new_markdown_cell("text")]
    found = import_notebook(written(tmp_path / "a.ipynb", *cells, language=language))
    read = read_cells(found.text, found.language)
    assert [cell.kind for cell in read] == [kind, "markdown", kind, "code", "markdown"]
    assert [cell.source for cell in read if "private" not in cell.tags] == ["public", "y", "text"]
    if kind == "code" and "%%time" not in source:
        assert read[0].source == source


@pytest.mark.parametrize("tag", ["private", "notes", "del", "answer", "alt"])
def test_attachments_that_not_all_get_stay_in_their_cell(tmp_path: Path, tag: str) -> None:
    cell = new_markdown_cell("![a](attachment:z.png)", metadata={"tags": [tag]})
    cell["attachments"] = {"z.png": {"image/png": PIXEL}}
    found = import_notebook(written(tmp_path / "a.ipynb", cell))
    assert found.pictures == {}
    assert read_cells(found.text, found.language)[0].attachments == cell["attachments"]


def test_long_names_are_cut(tmp_path: Path) -> None:
    name = f"{'ä' * 200}.png"
    cell = new_markdown_cell(f"![a](attachment:{name})")
    cell["attachments"] = {name: {"image/png": PIXEL}}
    path = written(tmp_path / f"{'b' * 249}.ipynb", cell)
    (deck,) = import_file(path, tmp_path / "out", force=False, tell=lambda _line: None).decks
    (picture,) = (tmp_path / "out/img").iterdir()
    assert picture.suffix == ".png"
    assert picture.name.startswith("bbb")
    assert deck.suffix == ".py"


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_in_the_way_is_told(tmp_path: Path, make: Callable[[str], None]) -> None:
    path = written(tmp_path / "lessons/a.ipynb", new_code_cell("x"))
    make(str(tmp_path / "slides_a.py"))
    with pytest.raises(UsageError, match="is there already"):
        import_file(path, tmp_path, force=False, tell=lambda _line: None)


def test_an_attachment_that_no_text_names_is_left_out(tmp_path: Path) -> None:
    cell = new_markdown_cell("text")
    cell["attachments"] = {"z.png": {"image/png": PIXEL}}
    assert import_notebook(written(tmp_path / "a.ipynb", cell)).pictures == {}


@pytest.mark.parametrize("ending", [".qmd", ".Rmd", ".ipynb"])
def test_blocks_of_notes_are_cells(tmp_path: Path, ending: str) -> None:
    text = "# A\n\n::: {.notes}\nzqx\n\n\nzqx\n:::\n\npublic\n\n::: notes\nzqx\n\n"
    path = tmp_path / f"a{ending}"
    if ending == ".ipynb":
        more = [new_code_cell("zqx"), new_markdown_cell("zqx\n:::\nend")]
        written(path, new_markdown_cell(text), *more)
    else:
        path.write_text(f"{text}```{{python}}\nzqx\n```\n\nzqx\n\n:::\n\nend\n", "utf-8")
    found = import_notebook(path)
    cells = read_cells(found.text, found.language)
    public = "\n".join(cell.source for cell in cells if "notes" not in cell.tags)
    assert "zqx" not in public
    assert all(word in public for word in ("# A", "public", "end"))
    assert found.text.count("zqx") == 5


def test_braces_and_a_yaml_block(tmp_path: Path) -> None:
    path = tmp_path / "a.qmd"
    path.write_text("---\ntitle: T\n---\n\na {{ b }} c\n", "utf-8")
    found = import_notebook(path)
    assert found.text.startswith("# ---\n# jinja: false\n# title: T\n# ---\n")


def test_tags_as_quarto_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "a.qmd"
    path.write_text("```{python}\n#| echo: false\n#| tags: [private, keep]\nx = 1\n```\n", "utf-8")
    found = import_notebook(path)
    (cell,) = read_cells(found.text, found.language)
    assert (sorted(cell.tags), cell.source) == (["keep", "private", "remove-input"], "#| echo: false\nx = 1")
    path.write_text("```{python}\n#| tags:\n#|   - private\nx = 1\n```\n", "utf-8")
    with pytest.raises(CourseError, match="private"):
        import_notebook(path)


def test_what_a_build_would_refuse_names_the_cell(tmp_path: Path) -> None:
    cells = [new_code_cell("x"), new_markdown_cell('a\n<aside class="notes">b</aside>')]
    with pytest.raises(CourseError, match=r"cell 2: .*would be published"):
        import_notebook(written(tmp_path / "a.ipynb", *cells))


def test_the_language_of_a_cell_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path / "a.ipynb", new_markdown_cell("a", metadata={"lang": "de"}))
    found = import_notebook(path)
    assert read_cells(found.text, found.language)[0].lang == "de"


def noted(path: Path, **cell: Any) -> Path:
    one = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "zqx"} | cell
    top = cell.pop("top", {})
    path.write_text(json.dumps({"cells": [one], "metadata": top, "nbformat": 4, "nbformat_minor": 5}), "utf-8")
    return path


@pytest.mark.parametrize(
    ("metadata", "tag"),
    [
        ({"tags": "private"}, "private"),
        ({"tags": ["private "]}, "private"),
        ({"slideshow": {"slide_type": "Notes"}}, "notes"),
        ({"slideshow": {"slide_type": " skip"}}, "del"),
    ],
)
def test_what_a_build_honours_is_kept(tmp_path: Path, metadata: Any, tag: str) -> None:
    found = import_notebook(noted(tmp_path / "a.ipynb", metadata=metadata))
    assert [cell.tags for cell in read_cells(found.text, found.language)] == [(tag,)]


@pytest.mark.parametrize(
    "metadata",
    [
        {"jupyter": {"tags": ["private"]}},
        {"tags": ["Private"]},
        {"tags": ["notes,private"]},
        {"private": True},
        {"cell_tags": ["private"]},
        {"Tags": ["private"]},
        {"tags": 5},
        {"slideshow": {"slide_type": ["a"]}},
    ],
)
def test_what_a_build_refuses_is_refused(tmp_path: Path, metadata: Any) -> None:
    with pytest.raises(CourseError, match="cell 1"):
        import_notebook(noted(tmp_path / "a.ipynb", metadata=metadata))


@pytest.mark.parametrize(
    "cell",
    [
        {"metadata": {"tags": None, "slideshow": None, "jupyter": "x"}},
        {"metadata": None},
        {"top": {"kernelspec": None, "language_info": "x", "jupytext": 1}},
        {"source": ["zq", "x"]},
        {"source": "zqx \ud800"},
        {"cell_type": "code", "source": "zqx", "outputs": None, "execution_count": None},
    ],
)
def test_odd_values_are_none(tmp_path: Path, cell: dict[str, Any]) -> None:
    found = import_notebook(noted(tmp_path / "a.ipynb", **cell))
    assert "zqx" in found.text
    assert found.text.encode()


def test_what_is_no_mapping_is_an_empty_one() -> None:
    assert [mapping(value) for value in (None, "x", {"a": 1})] == [{}, {}, {"a": 1}]


@pytest.mark.parametrize("source", [None, 5, {}])
def test_a_source_that_is_no_text(tmp_path: Path, source: Any) -> None:
    assert import_notebook(noted(tmp_path / "a.ipynb", source=source)).cells == 1


def test_without_cells_it_is_no_deck(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="has no cells"):
        import_notebook(written(tmp_path / "a.ipynb"))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    for name in ("a.ipynb", "a.md"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(CourseError, match="named pipe"):
        import_notebook(tmp_path / "a.ipynb")
    assert not is_notebook(tmp_path / "a.md")
