"""The format `slides`: the pages of a course that begin as slides, without a second run."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.courses import Course

DECK = """# %% [markdown] tags=["slide"]
# # Values

# %%
print("value", 6 * 7)
open("ran.txt", "a").write("x")

# %% [markdown] tags=["notes"]
# The secret of this deck is a pineapple.
"""
SPEC = "name: My Course\nprog_lang: python\nindex: false\nsections:\n  - name: Week 1\n    topics:\n      - values\n"


@pytest.fixture
def course(tmp_path: Path) -> Course:
    course = Course(tmp_path / "course")
    course.deck("values", DECK)
    course.write("slides/module_1/topic_100_values/img/a.png", b"picture")
    course.write("course.yaml", SPEC)
    return course


def _html(course: Course) -> dict[str, str]:
    return {path.relative_to(course.output).as_posix(): path.read_text() for path in course.output.rglob("*.html")}


def test_asking_for_slides_later_runs_nothing_and_changes_one_word(course: Course) -> None:
    course.build()
    pages = _html(course)
    assert not [path for path in pages if "/Slides/Slides/" in path]
    built = course.build("--format", "slides")
    assert built.ran == 0
    slides = {path: text for path, text in _html(course).items() if "/Slides/Slides/" in path}
    assert len(slides) == 3
    assert pages.items() <= _html(course).items()  # what was there stays
    for path, text in slides.items():
        page = pages[path.replace("/Slides/Slides/", "/Slides/Html/")]
        assert text == page.replace('data-view="page"', 'data-view="slides"', 1) != page
        assert ("pineapple" in text) == ("/Speaker/" in path)
    assert len(list(course.output.rglob("Slides/Slides/*/Week 1/img/a.png"))) == 3
    times = {path: path.stat().st_mtime_ns for path in course.output.rglob("*.html")}
    course.build("--format", "slides")
    assert times == {path: path.stat().st_mtime_ns for path in course.output.rglob("*.html")}


def test_slides_alone_are_executed_pages_and_go_when_nobody_wants_them(course: Course) -> None:
    course.build("--format", "slides", "--kind", "completed")
    (path,) = _html(course)
    assert "value 42" in _html(course)[path]
    course.build()
    assert len(_html(course)) == 3
    assert path not in _html(course)


def test_slides_of_students_hold_nothing_hidden_whatever_brought_it_there(course: Course) -> None:
    course.deck("values", DECK + '\n# %% tags=["keep"]\nprint(".elppaenip a si kced siht fo terces ehT"[::-1])\n')
    built = course.build("--format", "slides", "--kind", "completed", code=1)
    assert "would be published in public/En/My Course/Slides/Slides/Completed" in str(built.report)
    assert _html(course) == {}


def test_changed_slides_are_kept_aside(course: Course) -> None:
    course.build("--format", "slides", "--kind", "completed")
    (path,) = course.output.rglob("*.html")
    before = path.read_bytes()
    path.write_bytes(b"mine")
    built = course.build("--format", "slides", "--kind", "completed")
    assert path.read_bytes() == before
    assert "not as CLX had written it" in str(built.report)
