"""Why each job runs or does not."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.planning import job_of

from clx.course.build_state import BuildState
from clx.course.explain import Reasons

BEFORE: dict[str, Any] = {
    "key": "old",
    "payload": {"source": "a.py", "lang": "en", "evaluate": True},
    "files": [("a.py", "1"), ("b.csv", "1")],
    "tools": {"clx": "1", "python": "3.11"},
}


@pytest.fixture
def reasons(state: BuildState) -> Reasons:
    return Reasons("/course", state)


def why(reasons: Reasons, *, forced: bool = False, **changes: Any) -> str:
    job = job_of("a.py", **{**BEFORE, **changes})
    [(label, reason)] = reasons.tell([job], {job.key}, forced=forced)
    assert label == "a.py (execute en)"
    return reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"files": [("a.py", "2"), ("b.csv", "1")]}, "a.py changed"),
        ({"files": [("a.py", "1")]}, "b.csv is gone"),
        ({"files": [("a.py", "1"), ("b.csv", "1"), ("c", "1")]}, "c is new"),
        ({"files": [("a.py", "2"), ("c", "1")]}, "a.py changed; c is new; b.csv is gone"),
        ({"payload": {"source": "a.py", "lang": "en", "evaluate": False}}, "option evaluate changed"),
        ({"payload": {**BEFORE["payload"], "scale": 2}}, "option scale changed"),
        ({"payload": {**BEFORE["payload"], "source": "moved.py"}}, "something it depends on changed"),
        ({"tools": {"clx": "2", "python": "3.11"}}, "clx changed"),
        ({"tools": {"clx": "1", "python": "3.12", "new": "1"}}, "python changed; new changed"),
        (
            {"files": [("a.py", "2"), ("b.csv", "1")], "tools": {"clx": "2", "python": "3.11"}},
            "a.py changed; clx changed",
        ),
    ],
)
def test_what_changed_since_the_last_result_is_named(reasons: Reasons, changes: dict[str, Any], reason: str) -> None:
    reasons.remember([job_of("a.py", **BEFORE)])
    assert why(reasons, key="new", **changes) == reason


def test_a_job_that_is_as_it_was_lost_its_output_or_failed(reasons: Reasons) -> None:
    assert why(reasons) == "new: it has no result yet"
    reasons.remember([job_of("a.py", **BEFORE)])
    assert why(reasons) == "its stored output is missing or damaged"
    reasons.remember([job_of("a.py", **BEFORE)], failed=True)
    assert why(reasons) == "it failed last time"


def test_force_is_reason_enough(reasons: Reasons) -> None:
    reasons.remember([job_of("a.py", **BEFORE)])
    assert why(reasons, key="new", forced=True) == "--force"


def test_a_job_with_a_result_is_up_to_date_even_when_forced(reasons: Reasons) -> None:
    job = job_of("a.py", **BEFORE)
    for forced in (False, True):
        assert reasons.tell([job], set(), forced=forced) == [(job.label, "up to date")]


def test_courses_of_one_database_do_not_know_each_others_jobs(reasons: Reasons, state: BuildState) -> None:
    reasons.remember([job_of("a.py", **BEFORE)])
    assert why(Reasons("/other", state)) == "new: it has no result yet"


def test_without_a_database_all_is_new_until_there_is_one(reasons: Reasons, state: BuildState) -> None:
    later = BuildState()
    first = Reasons("/course", later)
    assert why(first) == "new: it has no result yet"
    later.database = state.database
    first.remember([job_of("a.py", **BEFORE)])
    assert why(reasons) == "its stored output is missing or damaged"
