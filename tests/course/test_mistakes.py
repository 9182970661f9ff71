"""All that is wrong with a course is told at once, whichever kinds of mistakes there are; but not without end."""

from __future__ import annotations

import pytest
from tests.support.courses import Course
from tests.support.planning import Here, planner_of

from clx.course import broken_spec
from clx.course.mistakes import TOLD, Collected, EnoughError, Mistakes, gathered, texts_of
from clx.course.spec import load_spec
from clx.errors import CourseError


@pytest.fixture(autouse=True)
def _decks_are_read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broken_spec, "DeckReader", Here)


def told(course: Course) -> str:
    """What a build says of a course file that is wrong."""
    path = course.root / "course.yaml"
    with pytest.raises(CourseError) as caught:
        load_spec(path)
    return str(broken_spec.with_decks(caught.value, path))


def test_several_mistakes_end_in_the_next_step_of_the_last() -> None:
    error = Mistakes(["a:1: wrong\nWrite b.", "c:2: odd"])
    assert (error.fact, error.next_step) == ("a:1: wrong\nWrite b.", "c:2: odd")
    assert (Mistakes(["odd"]).fact, Mistakes(["odd"]).next_step) == ("odd", "")
    assert texts_of(error) == ["a:1: wrong\nWrite b.", "c:2: odd"]
    assert texts_of(CourseError("a", "b")) == ["a\nb"]


def test_no_more_are_told_than_somebody_corrects() -> None:
    error = Mistakes(f"{number}" for number in range(TOLD + 1))
    assert (len(error.texts), error.next_step) == (TOLD, "There may be more.")
    collected = Collected()
    collected.finish()
    with pytest.raises(EnoughError):
        collected.add(*map(str, range(TOLD)))


def test_topics_decks_and_collisions_are_told_in_one_run(course: Course) -> None:
    course.deck("marker", "# %% tags=[\n")
    course.deck("jinja", "# %% [markdown]\n# {{ nobody }}\n")
    for name in ("a.pu", "a.puml"):
        course.write(f"slides/module_1/topic_100_marker/{name}", "@startuml\na -> b\n@enduml\n")
    course.spec("marker", "unknown", "jinja")
    with pytest.raises(Mistakes) as caught:
        planner_of(course).plan()
    found = str(caught.value)
    for part in (
        '7:9: there is no topic "unknown"',
        "slides_marker.py:1: ",
        "slides_jinja.py:2: ",
        "would both become",
    ):
        assert part in found
    assert len(caught.value.texts) == 4


def test_a_course_file_that_is_wrong_hides_no_mistake_of_topics_and_decks(course: Course) -> None:
    course.deck("marker", "# %% tags=[\n")
    course.spec("marker", "unknown")
    course.write("course.yaml", (course.root / "course.yaml").read_text() + "evaluate: perhaps\n")
    found = told(course)
    for part in ("course.yaml:8:11: evaluate must be", '7:9: there is no topic "unknown"', "slides_marker.py:1: "):
        assert part in found


@pytest.mark.parametrize("line", ["variabels: {nobody: x}", "languages: [deu]", "prog_lang: pyhton", "sections: 7"])
def test_what_only_follows_from_a_mistake_is_none(course: Course, line: str) -> None:
    course.deck("jinja", "# %% [markdown]\n# {{ nobody }}\n" if "nobody" in line else None)
    course.spec("jinja")
    key = line.partition(":")[0]
    kept = [each for each in (course.root / "course.yaml").read_text().splitlines() if not each.startswith(key)]
    kept = kept[:2] if key == "sections" else kept
    course.write("course.yaml", "\n".join([*kept, line, ""]))
    path = course.root / "course.yaml"
    with pytest.raises(CourseError) as caught:
        load_spec(path)
    assert broken_spec.with_decks(caught.value, path) is caught.value


def test_a_course_file_that_is_no_yaml_or_is_full_of_mistakes_is_told_alone(course: Course) -> None:
    path = course.root / "course.yaml"
    for text in ("name: [\n", "".join(f"key{number}: 1\n" for number in range(30))):
        path.write_text(text)
        with pytest.raises(CourseError) as caught:
            load_spec(path)
        assert broken_spec.with_decks(caught.value, path) is caught.value


def test_what_many_decks_give_reason_for_is_told_once() -> None:
    told = [*(f"slides/s{number}.py:2: cells with lang come out nowhere" for number in range(5)), "a.py:1: other: one"]
    assert gathered(told) == [
        "slides/s0.py:2 and 4 more places: cells with lang come out nowhere",
        "a.py:1: other: one",
    ]
    assert gathered(told[:3]) == told[:3]
