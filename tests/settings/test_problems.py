"""What is wrong in something a user wrote, as one error; and what was meant."""

from __future__ import annotations

import pytest

from clx.errors import CourseError, SettingsError
from clx.settings.problems import PROBLEM_LIMIT, Problem, closest, did_you_mean, quoted, raise_problems, shortened


def test_no_problem_is_no_error() -> None:
    raise_problems([], SettingsError, "x")


def test_one_problem_is_told_as_every_error_is() -> None:
    with pytest.raises(CourseError) as caught:
        raise_problems([Problem("c.yaml:1", "is wrong", "Mend it.")], CourseError, "c.yaml")
    assert (caught.value.fact, caught.value.next_step) == ("c.yaml:1: is wrong", "Mend it.")
    with pytest.raises(SettingsError) as told:
        raise_problems([Problem("c.yaml:1", "is wrong")], SettingsError, "c.yaml")
    assert told.value.next_step == "Correct it and run again."


def test_several_are_counted_and_listed_in_their_order() -> None:
    with pytest.raises(SettingsError) as caught:
        raise_problems([Problem("b", "is wrong", "Mend it."), Problem("a", "too")], SettingsError, "the settings")
    assert caught.value.fact == "2 problems in the settings"
    assert caught.value.next_step == "b: is wrong. Mend it\na: too"


@pytest.mark.parametrize(("number", "last"), [(PROBLEM_LIMIT, "19: wrong"), (PROBLEM_LIMIT + 3, "… and 3 more")])
def test_what_goes_beyond_the_limit_is_only_counted(number: int, last: str) -> None:
    with pytest.raises(SettingsError) as caught:
        raise_problems([Problem(str(each), "wrong") for each in range(number)], SettingsError, "x")
    assert caught.value.fact == f"{number} problems in x"
    lines = caught.value.next_step.splitlines()
    assert (len(lines), lines[-1]) == (min(number, PROBLEM_LIMIT + 1), last)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("lease", "lease"),
        ("LEASE", "lease"),
        ("leese", "lease"),
        ("max-runs", "max_runs"),
        ("Max_Runz", "max_runs"),
        ("zzz", None),
        ("", None),
        ("lease" * 10_000, None),
    ],
)
def test_a_word_is_taken_for_its_neighbour_when_it_is_near_enough(word: str, meant: str | None) -> None:
    assert closest(word, ["lease", "max_runs"]) == meant


def test_without_a_neighbour_all_there_is_is_named() -> None:
    assert did_you_mean("leese", ["lease", "grace"]) == 'Did you mean "lease"?'
    assert did_you_mean("zzz", ["lease", "grace"]) == "Possible here: lease, grace."


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a", "a"), ("x" * 60, "x" * 60), ("x" * 61, "x" * 60 + "…"), ("a\x1b[2J\n", "a\\x1b[2J\\n"), ("ü日", "ü日")],
)
def test_text_of_a_user_is_short_and_harmless(text: str, shown: str) -> None:
    assert shortened(text) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [("a", '"a"'), (True, "true"), (False, "false"), (3, "3"), ([1], "[1]"), (None, "None")]
)
def test_a_value_is_quoted_as_its_file_has_it(value: object, shown: str) -> None:
    assert quoted(value) == shown
