"""Warnings of results are told by every build that uses the results, and no longer than these are there."""

from __future__ import annotations

import pytest
from tests.support.planning import job_of

from clx.course.build_state import BuildState, Owner, PublishedFile
from clx.course.kept_warnings import KeptWarnings

ROOT = "/course"
ONE = job_of("slides/one.py")
TWO = job_of("slides/two.py")


def result(*warnings: str) -> dict[str, object]:
    return {"outputs": [], "warnings": list(warnings)}


def keep(state: BuildState, *warnings: str) -> list[str]:
    """Note these as those of ONE; TWO has none."""
    return KeptWarnings(state, ROOT).keep([ONE, TWO], {ONE.key: result(*warnings), TWO.key: result()})


def test_what_was_kept_is_told_with_its_file_to_later_builds_of_the_same_course(state: BuildState) -> None:
    told = ["slides/one.py: line 3: a", "slides/one.py: b"]
    assert keep(state, "line 3: a", "b") == told
    assert KeptWarnings(state, ROOT).of([TWO, ONE]) == told
    assert KeptWarnings(state, "/other").of([ONE]) == []


def test_a_result_of_another_key_has_not_its_warnings(state: BuildState) -> None:
    keep(state, "a")
    assert KeptWarnings(state, ROOT).of([job_of("slides/one.py", key="another")]) == []


def test_a_job_that_was_run_again_without_warnings_has_none_any_more(state: BuildState) -> None:
    keep(state, "a")
    assert keep(state) == []
    assert state.warnings(ROOT) == {}


def test_nothing_is_written_where_nothing_has_changed(state: BuildState, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(state, "a")
    monkeypatch.setattr(state.database, "write", lambda *_: pytest.fail("written"))
    keep(state, "a")


@pytest.mark.parametrize("is_published", [True, False])
def test_warnings_stay_as_long_as_a_file_of_theirs(state: BuildState, is_published: bool) -> None:
    keep(state, "a")
    if is_published:
        file = PublishedFile("/output", "a.html", "en//", ONE.source, ONE.task, ONE.key, "d", 1, 1)
        state.published(Owner("/course.yaml", "/output"), [file])
    KeptWarnings(state, ROOT).forget()
    assert KeptWarnings(state, ROOT).of([ONE]) == (["slides/one.py: a"] if is_published else [])


def test_warnings_go_along_when_the_course_is_moved(state: BuildState) -> None:
    keep(state, "a")
    here = Owner("/here/course.yaml", "/here/output")
    state.move(Owner("/course/course.yaml", "/course/output"), here, ROOT, "/here")
    assert KeptWarnings(state, "/here").of([ONE]) == ["slides/one.py: a"]
