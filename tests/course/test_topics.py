"""Which topics a course has, and which its sections mean."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.courses import Course

from clx.course.spec import load_spec
from clx.course.symlinks import Bounds
from clx.course.topics import Topic, find_course_root, resolve_topics
from clx.errors import CourseError


def topics_of(course: Course, *named: str, warnings: list[str] | None = None, shared: Path | None = None) -> list[str]:
    """Paths of the topics that a course with these names has."""
    spec = load_spec(course.spec(*named))
    told = [] if warnings is None else warnings
    return [place.topic.path for place in resolve_topics(spec, Bounds(course.root, shared), warn=told.append)]


@pytest.mark.parametrize(
    ("path", "id_"),
    [
        ("slides/m/topic_100_values/slides_a.py", "values"),
        ("slides/m/topic_100_two_words/slides_a.py", "two_words"),
        ("slides/m/any_thing_values/slides_a.py", "values"),
        ("slides/m/slides_100_values.py", "values"),
        ("slides/m/topic_100_values.v2.py", "values.v2"),
    ],
)
def test_an_id_is_the_name_without_its_first_two_parts(course: Course, path: str, id_: str) -> None:
    course.write(path, "")
    topic = "/".join(path.split("/")[:3])
    assert topics_of(course, id_) == [topic]


@pytest.mark.parametrize(
    "path",
    [
        "slides/m/topic_values/slides_a.py",
        "slides/m/topic_100_/slides_a.py",
        "slides/m/.topic_100_values/slides_a.py",
        "slides/.m/topic_100_values/slides_a.py",
        "slides/m/notes_100_values.py",
        "slides/m/topic_100_values.txt",
        "slides/topic_100_values.py",
        "other/m/topic_100_values/slides_a.py",
    ],
)
def test_what_is_not_named_as_a_topic_is_none(course: Course, path: str) -> None:
    course.write(path, "")
    with pytest.raises(CourseError, match=r'course\.yaml:6:9: there is no topic "values" below slides/'):
        topics_of(course, "values")


def test_topics_come_in_the_order_of_the_course_and_not_of_the_disk(course: Course) -> None:
    for name in ("a", "b", "c"):
        course.deck(name)
    assert [path[-1] for path in topics_of(course, "c", "a", "b")] == ["c", "a", "b"]


def test_an_id_in_two_directories_must_be_told_apart(course: Course) -> None:
    for module in ("one", "two"):
        course.write(f"slides/{module}/topic_100_values/slides_a.py", "")
    assert topics_of(course, "two/values", "one/values") == [
        "slides/two/topic_100_values",
        "slides/one/topic_100_values",
    ]
    with pytest.raises(CourseError) as caught:
        topics_of(course, "values")
    assert caught.value.fact.endswith(
        'course.yaml:6:9: the topic "values" occurs more than once: '
        "slides/one/topic_100_values, slides/two/topic_100_values"
    )
    assert caught.value.next_step == "Write which one, for example one/values."


def test_an_id_twice_in_one_directory_can_only_be_renamed(course: Course) -> None:
    for number in (100, 200):
        course.write(f"slides/one/topic_{number}_values/slides_a.py", "")
    with pytest.raises(CourseError) as caught:
        topics_of(course, "one/values")
    assert caught.value.next_step == "Rename one of them."


@pytest.mark.parametrize(
    ("named", "step"),
    [
        ("valus", 'Did you mean "values"?'),
        ("xyz", "Topics are named slides/<module>/topic_100_<id>."),
        ("Values", 'There is "values", in another case.'),
        ("elsewhere/values", "It is in slides/module_1/topic_100_values."),
    ],
)
def test_an_unknown_topic_comes_with_what_was_meant(course: Course, named: str, step: str) -> None:
    course.deck("values")
    with pytest.raises(CourseError) as caught:
        topics_of(course, named)
    assert caught.value.next_step == step


def test_all_unknown_topics_are_told_at_once_but_not_more_than_twenty(course: Course) -> None:
    with pytest.raises(CourseError) as caught:
        topics_of(course, *(f"t{number}" for number in range(30)))
    lines = caught.value.fact.splitlines()
    assert len(lines) == 20
    assert [line.split(":")[1] for line in lines[:3]] == ["6", "7", "8"]


def test_topics_behind_links_to_outside_are_left_out_with_a_word_unless_shared(course: Course, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "topic_100_far").mkdir(parents=True)
    (course.root / "slides/linked").symlink_to(outside)
    course.deck("near")
    warnings: list[str] = []
    assert topics_of(course, "near", "far", warnings=warnings) == ["slides/module_1/topic_100_near"]
    assert [each.split(":")[0] for each in warnings] == ['the topic "far" was left out']
    assert "slides/linked is a link to outside the course" in warnings[0]
    assert topics_of(course, "far", shared=outside) == ["slides/linked/topic_100_far"]


def test_a_link_within_the_course_is_a_topic_like_another(course: Course) -> None:
    course.write("store/topic_100_kept/slides_a.py", "")
    (course.root / "slides/m").mkdir()
    (course.root / "slides/m/topic_100_kept").symlink_to("../../store/topic_100_kept")
    assert topics_of(course, "kept") == ["slides/m/topic_100_kept"]


@pytest.mark.parametrize(
    ("topic", "base", "directory"),
    [
        (Topic("a", "slides/m/topic_100_a", True), "slides/m/topic_100_a", "m"),
        (Topic("a", "slides/m/topic_100_a.py", False), "slides/m", "m"),
    ],
)
def test_the_files_of_a_topic_lie_in_it_or_beside_it(topic: Topic, base: str, directory: str) -> None:
    assert (topic.base, topic.directory) == (base, directory)


def test_the_root_is_the_nearest_directory_upwards_with_slides(course: Course) -> None:
    (course.root / ".git").mkdir()
    spec = course.write("specs/2024/course.yaml", "")
    assert find_course_root(spec) == course.root
    (course.root / "specs/slides").mkdir()
    assert find_course_root(spec) == course.root / "specs"


def test_without_slides_the_error_says_what_to_put_where(tmp_path: Path) -> None:
    spec = tmp_path / "lone" / "course.yaml"
    spec.parent.mkdir()
    with pytest.raises(CourseError) as caught:
        find_course_root(spec)
    assert f"no directory from {spec.parent} upwards holds slides/" in caught.value.fact
    assert "slides/<module>/topic_100_<id>/" in caught.value.next_step
