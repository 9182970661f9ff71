"""Theme, words and other formats on their way from the course file to the jobs of its decks."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.courses import Course
from tests.support.planning import plan_of

from clx.course.layout import Selection
from clx.course.look import Look
from clx.course.plan import PlannedJob
from clx.course.source_files import SourceFiles
from clx.course.spec import load_spec
from clx.errors import CourseError

THEME = "theme: {css: templates/t.css, logo: templates/l.svg, mode: light}\n"


@pytest.fixture
def themed(course: Course) -> Course:
    """A course with one deck and a theme."""
    course.deck("values")
    course.write("templates/t.css", ":root { --accent: #b00; }\n")
    course.write("templates/l.svg", "<svg/>")
    with course.spec("values").open("a") as spec:
        spec.write(THEME)
    return course


def jobs(course: Course, **options: Any) -> dict[str, PlannedJob]:
    return {job.task: job for job in plan_of(course, **options).jobs}


def test_every_page_depends_on_the_theme(themed: Course) -> None:
    before = jobs(themed)
    for job in before.values():
        assert job.payload["theme"] == {"css": "templates/t.css", "logo": "templates/l.svg", "mode": "light"}
        assert {"templates/t.css", "templates/l.svg"} <= {path for path, _ in job.files}
    themed.write("templates/t.css", ":root { --accent: #00b; }\n")
    after = jobs(themed)
    assert all(after[task].key != before[task].key for task in before)


@pytest.mark.parametrize(("make", "fact"), [(os.mkdir, "Is a directory"), (os.mkfifo, "named pipe")])
def test_what_is_no_file_is_told_with_the_place(themed: Course, make: Callable[[str], None], fact: str) -> None:
    path = themed.root / "templates/t.css"
    path.unlink()
    make(str(path))
    with pytest.raises(CourseError, match=rf"course\.yaml:\d+: the theme names templates/t\.css: .*{fact}"):
        plan_of(themed)


@pytest.mark.parametrize(
    ("path", "content", "fact"),
    [
        ("templates/l.svg", None, "the theme names templates/l.svg, which is no file of the course"),
        ("templates/t.css", b"@import 'x.css';", "names another file, and a page is one file"),
        ("templates/t.css", b"\xff", "templates/t.css is not UTF-8"),
    ],
)
def test_a_theme_that_cannot_be_used_is_an_error_of_the_course(
    themed: Course, path: str, content: bytes | None, fact: str
) -> None:
    (themed.root / path).unlink()
    if content is not None:
        themed.write(path, content)
    with pytest.raises(CourseError) as caught:
        plan_of(themed)
    assert fact in caught.value.fact
    assert "course.yaml:7: " in caught.value.fact
    assert caught.value.next_step


def test_a_theme_outside_of_the_course_is_not_read(themed: Course) -> None:
    outside = themed.root.parent / "outside.css"
    outside.write_text("a {}")
    (themed.root / "templates/t.css").unlink()
    (themed.root / "templates/t.css").symlink_to(outside)
    with pytest.raises(CourseError, match="which is no file of the course"):
        plan_of(themed)


def test_the_words_of_a_language_go_to_its_pages_only(course: Course) -> None:
    course.deck("values")
    with course.spec("values").open("a") as spec:
        spec.write("labels: {en: {notes: Mine}}\n")
    found = jobs(course)
    assert found["render en"].payload["labels"] == {"notes": "Mine"}
    assert "labels" not in found["render de"].payload
    assert "theme" not in found["render de"].payload


def test_a_page_offers_what_lies_beside_it_in_every_target_whatever_is_asked_for(course: Course) -> None:
    course.deck("values")
    course.spec("values")
    both = [("notebook", "Notebooks"), ("code", "Python")]
    everything = {"code-along": both, "completed": both, "speaker": both}
    assert jobs(course)["render en"].payload["downloads"] == everything
    only = Selection(formats=frozenset({"html"}), languages=frozenset({"en"}))
    assert jobs(course, selection=only)["render en"].payload["downloads"] == everything
    with (course.root / "course.yaml").open("a") as spec:
        spec.write(
            "output_targets:\n"
            "  - {name: a, path: a, kinds: [completed, speaker]}\n"
            "  - {name: b, path: b, kinds: [completed], formats: [html, notebook], languages: [en]}\n"
            "  - {name: c, path: c, kinds: [speaker], formats: [html], languages: [en]}\n"
        )
    found = jobs(course)
    assert found["render en"].payload["downloads"] == {"completed": [("notebook", "Notebooks")]}
    assert found["render de"].payload["downloads"] == {"completed": both, "speaker": both}


def test_options_are_made_once_for_all_decks(themed: Course) -> None:
    look = Look(load_spec(themed.root / "course.yaml"), SourceFiles(themed.root, {}))
    assert look.problem == ""
    assert [path for path, _ in look.files] == ["templates/t.css", "templates/l.svg"]
    assert look.options("de") is look.options("de")
