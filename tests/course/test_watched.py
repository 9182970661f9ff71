"""Which edits begin a build: those that can make a difference, and never what builds themselves write."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Event

import pytest
from tests.support.courses import Course
from tests.support.planning import planner_of

from clx.course.spec import load_spec
from clx.course.watch import Changes
from clx.course.watched import Watched

SPEC = """name: Course
prog_lang: python
sections:
  - name: S
    topics:
      - {id: one, inputs: ["data/**/*.csv"]}
dir_groups:
  - {name: Bonus, path: bonus}
"""


@pytest.fixture
def seen(course: Course) -> Watched:
    """What is known after a build of a course that reads files from everywhere."""
    course.write("course.yaml", SPEC)
    course.deck("one", "# %% [markdown]\n# ![](../../../shared/up.png) ![](../../../pictures/none.png)\n")
    for path in ("shared/up.png", "data/deep/a.csv", "bonus/x.txt"):
        course.write(path, "x")
    watched = Watched(os.path.realpath(course.root), course.root / "course.yaml", [course.root / "report.json"])
    planner = planner_of(course)
    watched.learn_spec(load_spec(course.root / "course.yaml"))
    watched.learn_plan(planner.plan(), planner.closures.would_be_read())
    return watched


@pytest.mark.parametrize(
    "path",
    [
        *("course.yaml", "slides/module_1/topic_100_one/slides_one.py", "slides/m/topic_100_new", "templates/new.j2"),
        *("shared/up.png", "pictures/none.png", "data/deep/a.csv", "data/new.csv", "data/new/b.csv", "bonus/new.txt"),
        *("data", "shared", "bonus", "slides", "common/style.iuml"),
    ],
)
def test_what_is_read_copied_or_could_be_newly_found_matters(seen: Watched, path: str) -> None:
    assert seen.matters(path)


@pytest.mark.parametrize(
    "path",
    ["report.json", "build.log", "README.md", "data/notes.txt", "shared/other.png", "other.yaml", "slidesX/a.py"],
)
def test_nothing_else_matters(seen: Watched, path: str) -> None:
    assert not seen.matters(path)


def test_before_anything_is_known_the_places_of_sources_matter(course: Course) -> None:
    watched = Watched(os.path.realpath(course.root), course.root / "course.yaml")
    assert [watched.matters(path) for path in ("course.yaml", "slides/a", "templates/a.j2")] == [True] * 3
    assert not watched.matters("build.log")


def test_a_group_of_the_whole_course_makes_everything_matter_but_the_report(course: Course) -> None:
    course.deck("one")
    course.write("course.yaml", SPEC.replace("path: bonus", 'path: "."').replace(', inputs: ["data/**/*.csv"]', ""))
    watched = Watched(os.path.realpath(course.root), course.root / "course.yaml", [course.root / "report.json"])
    watched.learn_spec(load_spec(course.root / "course.yaml"))
    assert watched.matters("README.md")
    assert not watched.matters("report.json")


def test_what_a_build_says_into_a_file_is_no_edit(tmp_path: Path) -> None:
    root, kept = os.path.realpath(tmp_path), os.dup(2)
    (tmp_path / "slides").mkdir()
    try:
        with (tmp_path / "slides/build.log").open("w") as stream:
            os.dup2(stream.fileno(), 2)
        watched = Watched(root, tmp_path / "course.yaml")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    assert not watched.matters("slides/build.log")
    assert watched.matters("slides/other.log")


def test_a_report_that_is_written_anew_is_no_change(course: Course) -> None:
    course.spec("one")
    report, told = course.root / "report.json", Event()
    watched = Watched(os.path.realpath(course.root), course.root / "course.yaml", [report])
    with Changes(course.root, [], watched, told.set) as changes:
        report.write_text("{}")
        course.deck("one")
        assert told.wait(60)
        assert all(path.startswith("slides/") for path in changes.take())
