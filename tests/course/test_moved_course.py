"""A course that is moved or copied as a whole knows its own output in its new place."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.course.test_withdraw import TAGS, deck, holding
from tests.support.courses import Course

WAYS: dict[str, Callable[[Path, Path], object]] = {
    "moved": lambda before, now: before.rename(now),
    "copied": lambda before, now: shutil.copytree(before, now, symlinks=True),
}


@pytest.fixture(params=WAYS)
def elsewhere(course: Course, request: pytest.FixtureRequest) -> Course:
    """A course that was built in another place."""
    course.deck("values", deck())
    course.deck("names")
    course.spec("values", "names")
    course.build()
    now = course.root.with_name("elsewhere")
    WAYS[request.param](course.root, now)
    return Course(now)


def test_what_becomes_private_leaves_its_files(elsewhere: Course) -> None:
    elsewhere.deck("values", deck(TAGS))
    done = elsewhere.build("--format", "code")
    assert holding(elsewhere) == set()
    assert "what is private now" in done.stderr


def test_what_is_no_longer_made_is_removed_and_nothing_else_is_replaced(elsewhere: Course) -> None:
    untouched = {path: path.stat().st_mtime_ns for path in elsewhere.output.rglob("*alues*") if path.is_file()}
    assert untouched
    elsewhere.spec("values")
    done = elsewhere.build()
    assert not list(elsewhere.output.rglob("*names*"))
    assert done.ran == 0
    assert "not as CLX had written it" not in done.stderr
    assert {path: path.stat().st_mtime_ns for path in untouched} == untouched


def test_two_places_do_not_take_each_others_files(course: Course) -> None:
    course.deck("values", deck())
    course.spec("values")
    course.build()
    now = course.root.with_name("elsewhere")
    shutil.copytree(course.root, now, symlinks=True)
    Course(now).build()
    assert course.build().ran == 0
    course.deck("values", deck(TAGS))
    course.build("--format", "code")
    assert holding(course) == set()
    assert holding(Course(now)) != set()  # its own next build looks through it
