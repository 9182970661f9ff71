"""What directory groups must not hold."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.support.courses import SPEC, Course
from tests.support.planning import copied, plan_of

from clx.errors import CourseError


@pytest.fixture
def values(course: Course) -> Course:
    course.deck("values")
    for path in ("div/a.txt", "div/deep/b.txt", "README.md", "slides/module_1/notes/c.txt", ".clx/jobs.db", "output/d"):
        course.write(path, "x")
    course.write("slides/unused/topic_100_other/sub/slides_other.py", "# %%\n")
    return course


def with_group(course: Course, group: str) -> None:
    course.write("course.yaml", SPEC % "      - values" + f"dir_groups:\n  - {{name: All, {group}}}\n")


@pytest.mark.parametrize(
    ("group", "fact"),
    [
        ("path: .", "the output directory"),
        ("path: ., subdirs: [div, output]", "the output directory"),
        ("path: output", "the output directory"),
        ("path: output/public", "the output directory"),
        ("path: ., subdirs: [.clx]", "CLX's own directory .clx"),
        ("path: .clx", "CLX's own directory .clx"),
        ("path: .clx, recursive: false", "CLX's own directory .clx"),
        ("path: .clx/logs", "CLX's own directory .clx"),
        ("path: slides", "the deck slides/"),
        ("path: ., subdirs: [slides]", "the deck slides/"),
        ("path: slides/module_1", "the deck slides/module_1/topic_100_values/slides_values.py"),
        ("path: slides, subdirs: [unused]", "the deck slides/unused/topic_100_other/sub/slides_other.py"),
        ("path: slides/unused/topic_100_other/sub, recursive: false", "the deck slides/unused"),
        ("path: slides/module_1/topic_100_values, subdirs: [deep], include_root_files: true", "the deck slides/mod"),
        ("path: linked", "the deck linked/module_1"),
        ("path: to_output", "the output directory"),
    ],
)
def test_a_group_with_decks_or_what_clx_writes_is_an_error_with_its_place(
    values: Course, group: str, fact: str
) -> None:
    (values.root / "linked").symlink_to("slides")
    (values.root / "to_output").symlink_to("output")
    (values.root / ".clx/logs").mkdir()
    values.write("slides/module_1/topic_100_values/deep/a.txt", "x")
    (values.root / "output/public").mkdir()
    with_group(values, group)
    with pytest.raises(CourseError, match=r"course\.yaml:8:5: the directory group ") as caught:
        plan_of(values)
    assert fact in str(caught.value)


def test_the_group_of_a_topic_has_its_place_too(values: Course) -> None:
    values.spec("{id: values, dir_groups: [{name: A, path: slides/module_1}]}")
    with pytest.raises(CourseError, match=r"course\.yaml:6:35: .*slides_values\.py"):
        plan_of(values)


def test_all_groups_are_told_at_once(values: Course) -> None:
    groups = "dir_groups:\n  - {name: A, path: slides}\n  - {name: B, path: output}\n  - {name: C, path: no}\n"
    values.write("course.yaml", SPEC % "      - values" + groups)
    with pytest.raises(CourseError) as caught:
        plan_of(values)
    assert [f"course.yaml:{line}:5" in str(caught.value) for line in (8, 9, 10)] == [True] * 3


@pytest.mark.parametrize(
    ("group", "names"),
    [
        ("path: div", {"a.txt", "b.txt"}),
        ("path: ., recursive: false", {"README.md", "course.yaml"}),
        ("path: ., subdirs: [div], include_root_files: true", {"a.txt", "b.txt", "README.md", "course.yaml"}),
        ("path: slides/module_1/notes", {"c.txt"}),
        ("path: handouts", {"slides_of_last_year.md"}),
    ],
)
def test_other_groups_are_copied(values: Course, group: str, names: set[str]) -> None:
    values.write("handouts/slides_of_last_year.md", "x")
    with_group(values, group)
    assert copied(plan_of(values)) == names


@pytest.mark.slow
@pytest.mark.parametrize("group", ["path: dist", "path: dist/speaker", "path: ., subdirs: [dist]"])
def test_the_output_of_an_earlier_build_is_not_copied_until_it_is_gone(course: Course, group: str) -> None:
    course.deck("values")
    course.spec("values")
    course.build("-o", str(course.root / "dist"), "--format", "code")
    with_group(course, group)
    built = course.build("--format", "code", code=2)
    assert "course.yaml:8:5: the directory group dist" in built.stderr
    assert "the output of an earlier build" in built.stderr
    shutil.rmtree(course.root / "dist")
    course.write("dist/speaker/a.txt", "x")
    course.build("--format", "code")


def test_a_deck_behind_a_link_in_a_group_is_a_deck(values: Course) -> None:
    deck = values.root / "slides/module_1/topic_100_values/slides_values.py"
    (values.root / "div/slides_values.py").symlink_to(deck)
    with_group(values, "path: div")
    with pytest.raises(CourseError, match=r"contains the deck div/slides_values\.py"):
        plan_of(values)


@pytest.mark.slow
def test_an_output_inside_a_group_is_refused_before_anything_is_written(values: Course, tmp_path: Path) -> None:
    with_group(values, "path: div")
    built = values.build("-o", str(values.root / "div" / "built"), code=2)
    assert "course.yaml:8:5: the directory group div contains the output directory" in built.stderr
    assert not (values.root / "div" / "built").exists()
