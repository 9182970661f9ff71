"""Which files beside a deck are not copied."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.courses import Course
from tests.support.planning import copied, plan_of, planner_of

from clx.course import withheld

TOPIC = "slides/module_1/topic_100_values"
SECRET = '# %%\nx = 1\n\n# %% tags=["private"]\nsecret = 1\n'


def notebook(metadata: dict[str, object], indent: int | None = 1) -> str:
    cell = {"cell_type": "code", "metadata": metadata, "source": ["secret = 1"], "outputs": []}
    return json.dumps({"cells": [cell], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}, indent=indent)


@pytest.fixture
def values(course: Course) -> Course:
    course.deck("values", SECRET)
    course.spec("values")
    return course


@pytest.mark.parametrize(
    "name",
    [
        "#slides_values.py#",
        *(f"slides_values.py.{end}" for end in ("orig", "bak", "rej", "save", "mine", "r123", "txt", "html", "png")),
        "slides_values.py~HEAD",
        "slides_values.py~",
        "slides_values (copy).py.txt",
        "slides_values - Kopie.txt",
        "slides_values.PY",
        "Slides_Values.Py",
        "SLIDES_VALUES.PY.BAK",
        "Copy of slides_values.py",
        "old_slides_values.py",
        "slides_values.ipynb",
        "slides_values.html",
        "slides_values.slides.html",
        "slides_values.pdf.txt",
        "slides_values_old.txt",
        "old/slides_values.rst",
        "slides_gone.py.orig",
        "2024-slides_gone.cpp.bak",
        ".env",
        ".netrc",
        ".slides_values.py.swo",
        ".#slides_values.py",
        ".backup/data.csv",
        ".backup/slides_values.py",
        "old/.secret/data.csv",
    ],
)
def test_copies_of_decks_and_dot_files_are_left_out_and_named(values: Course, name: str) -> None:
    values.write(f"{TOPIC}/{name}", "nothing")
    values.write(f"{TOPIC}/data.csv", "1")
    plan = plan_of(values)
    assert copied(plan) == {"data.csv"}
    assert plan.decks == 1
    if name.endswith("~"):
        return  # never a source, and nobody takes it for one
    [warning] = plan.warnings
    assert f"{TOPIC}/{name}" in warning
    assert "data.csv" not in warning.replace(name, "")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("old.txt", SECRET),
        ("old.cpp", SECRET.replace("# %%", "// %%")),
        ("old.js", '//%% tags=["slide", "notes"]\nsecret\n'),
        ("light.py", '# + tags=["del"]\nsecret = 1\n'),
        ("conflict.patch", '+# %% tags=["private"]\n+secret = 1\n'),
        ("handout.md", '<!-- #region tags=["private"] -->\nsecret\n<!-- #endregion -->\n'),
        ("handout.rst", '```python tags=["notes"]\nsecret\n```\n'),
        ("other.ipynb", notebook({"tags": ["slide", "private"]})),
        ("other.json", notebook({"tags": ["notes"]}, indent=None)),
        ("other.txt", notebook({"slideshow": {"slide_type": "notes"}})),
        ("wide.txt", "\ufeff" + SECRET),
        ("deep/er/old.txt", "filler\n" * 1_000_000 + SECRET),
    ],
)
def test_texts_and_notebooks_with_marked_cells_are_left_out(values: Course, name: str, text: str) -> None:
    values.write(f"{TOPIC}/{name}", text.encode("utf-16" if name.startswith("wide") else "utf-8"))
    plan = plan_of(values)
    assert copied(plan) == set()
    [warning] = plan.warnings
    assert f"{TOPIC}/{name}" in warning


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("helper.py", "def private(notes):\n    del notes\n"),
        ("values.py", "x = 1\n"),
        ("topic_helper.txt", "x"),
        ("my_topic_helper.py", "x = 1\n"),
        ("slides_values.png", "picture"),
        ("slides_values.csv", "1,2\n"),
        ("slides_values.svg", "<svg/>"),
        ("README.md", "tags: [notes, private]\n\n# %% is how cells begin\n"),
        ("exercise.ipynb", notebook({"tags": ["keep"]})),
        ("tags.json", '{"tags": ["notebook", "privateer"]}'),
        ("blob.bin", "\0" + SECRET),
    ],
)
def test_other_files_are_copied_without_a_word(values: Course, name: str, text: str) -> None:
    values.write(f"{TOPIC}/{name}", text)
    plan = plan_of(values)
    assert copied(plan) == {name}
    assert plan.warnings == []


def test_a_deck_of_another_number_is_no_copy(course: Course) -> None:
    course.write(f"{TOPIC}/slides_1.py", SECRET)
    course.write(f"{TOPIC}/slides_12.txt", "x")
    course.spec("values")
    assert copied(plan_of(course)) == {"slides_12.txt"}


@pytest.mark.parametrize("pattern", ["slides_values.ipynb", "*.ipynb", "slides_v[a]lues.ipynb"])
def test_what_inputs_name_is_copied(values: Course, pattern: str) -> None:
    values.write(f"{TOPIC}/slides_values.ipynb", "{}")
    values.write(f"{TOPIC}/slides_values.py.bak", "x")
    values.spec(f'{{id: values, inputs: ["{TOPIC}/{pattern}"]}}')
    plan = plan_of(values)
    assert "slides_values.ipynb" in copied(plan)
    assert any("slides_values.py.bak" in warning for warning in plan.warnings)


@pytest.mark.parametrize("pattern", ["*", "**/*", "*.*"])
def test_a_pattern_for_everything_names_nothing(values: Course, pattern: str) -> None:
    values.write(f"{TOPIC}/slides_values.ipynb", "{}")
    values.spec(f'{{id: values, inputs: ["{TOPIC}/{pattern}"]}}')
    assert copied(plan_of(values)) == set()


def test_dot_files_are_not_copied_whoever_names_them(values: Course) -> None:
    values.write(f"{TOPIC}/.env", "x")
    values.write("div/.env", "x")
    values.write("div/a.txt", "x")
    values.spec(f'{{id: values, inputs: ["{TOPIC}/.env"], dir_groups: [{{name: D, path: div}}]}}')
    plan = plan_of(values)
    assert copied(plan) == {"a.txt"}
    [warning] = plan.warnings
    assert f"{TOPIC}/.env" in warning
    assert "div/.env" in warning


def test_what_a_directory_group_names_is_copied(values: Course) -> None:
    values.write(f"{TOPIC}/pairs/slides_values.ipynb", "{}")
    values.spec(f"{{id: values, dir_groups: [{{name: Pairs, path: {TOPIC}/pairs}}]}}")
    plan = plan_of(values)
    assert copied(plan) == {"slides_values.ipynb"}
    assert plan.warnings == []


def test_beside_a_file_topic_copies_of_its_neighbours_are_left_out_too(course: Course) -> None:
    for name in ("topic_100_values", "topic_110_names"):
        course.write(f"slides/module_1/{name}.py", SECRET)
    course.write("slides/module_1/topic_110_names.ipynb", "{}")
    course.spec("values")
    assert copied(plan_of(course)) == set()


def test_files_that_have_not_changed_are_not_read_again(values: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    values.write(f"{TOPIC}/old.txt", SECRET)
    first = planner_of(values)
    first.plan()
    monkeypatch.setattr("clx.course.closure.is_marked", lambda path: pytest.fail(f"{path} was read again"))
    again = planner_of(values, first.closures.learned)
    assert copied(again.plan()) == set()
    with pytest.raises(pytest.fail.Exception):
        planner_of(values).plan()


def test_many_files_are_told_in_one_line(values: Course) -> None:
    for number in range(30):
        values.write(f"{TOPIC}/slides_values.py.{number}", "x")
    [warning] = plan_of(values).warnings
    assert "and 10 more" in warning


@pytest.mark.slow
def test_looking_for_marks_takes_no_longer_for_odd_texts(tmp_path: Path) -> None:
    odd = tmp_path / "odd.txt"
    for text in ("# %% tags" * 200_000, '"tags": [' * 200_000, "\n" * 1_000_000, "# %%" + " tags=" * 200_000):
        odd.write_text(text)
        assert not withheld.is_marked(odd)
