"""``clx import``: a directory of notebooks becomes a course that builds."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from tests.support.courses import clx


def write(path: Path, *cells: nbformat.NotebookNode) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=list(cells)), path)


def test_the_course_of_a_directory_builds_and_shows_the_same_cells(tmp_path: Path) -> None:
    write(
        tmp_path / "lessons/start/first.ipynb",
        new_markdown_cell("# First {{ braces }}", metadata={"slideshow": {"slide_type": "slide"}}),
        new_code_cell("print(open('data.txt').read())"),
        new_markdown_cell("for the speaker", metadata={"slideshow": {"slide_type": "notes"}}),
    )
    (tmp_path / "lessons/start/data.txt").write_text("what was read", "utf-8")
    done = clx("import", str(tmp_path / "lessons"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "slide_type 'notes' is the tag 'notes'" in done.stdout
    course = tmp_path / "lessons-course/course.yaml"
    assert f"clx build {course}" in done.stdout
    built = clx("build", str(course))
    assert built.returncode == 0, built.stderr
    pages = {path.parts[-3]: path.read_text("utf-8") for path in course.parent.rglob("output/public/**/* First*.html")}
    assert sorted(pages) == ["Code-Along", "Completed"]
    assert "First {{ braces }}" in pages["Completed"]
    assert "what was read" in pages["Completed"]
    assert not any("for the speaker" in page for page in pages.values())


def test_what_cannot_be_imported_is_told(tmp_path: Path) -> None:
    gone = clx("import", str(tmp_path / "gone.ipynb"))
    assert (gone.returncode, gone.stderr.splitlines()[1]) == (2, "Name a notebook, or a directory of them.")
    write(tmp_path / "a/good.ipynb", new_markdown_cell("# Good"))
    (tmp_path / "a/bad.ipynb").write_text("{", "utf-8")
    part = clx("import", str(tmp_path / "a"))
    assert part.returncode == 1
    assert "bad.ipynb is no notebook" in part.stderr
    assert "Made a course of 1 deck." in part.stdout
