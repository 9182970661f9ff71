"""Two course files of one name do not overwrite each other's index; one that has moved goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.courses import SPEC

from clx.course.build_state import BuildState, Owner, PublishedFile
from clx.course.layout import Selection
from clx.course.name_clash import require_own_index
from clx.course.spec import load_spec
from clx.errors import CourseError

INDEX = "En/My Course/Slides/Html/Completed/index.html"


class Place:
    """A directory with course files, the first of which was built."""

    def __init__(self, root: Path, state: BuildState) -> None:
        self.root, self.state = root, state
        self.first = self.course("first.yaml")
        target = str(root / "output/public")
        rows = [(INDEX, "en/completed/html", "index"), ("index.html", "//", "index")]
        self.state.published(
            self.owner(self.first),
            [PublishedFile(target, path, part, "x", task, "k", "d", 1, 2) for path, part, task in rows],
        )

    def course(self, name: str, spec: str = SPEC) -> Path:
        path = self.root / name
        path.write_text(spec % "      - a", encoding="utf-8")
        return path

    def owner(self, path: Path, output: str = "output") -> Owner:
        return Owner(str(path), str(self.root / output))

    def look(self, path: Path, output: str = "output", selection: Selection | None = None) -> None:
        require_own_index(self.state, self.owner(path, output), load_spec(path), selection or Selection())


@pytest.fixture
def place(tmp_path: Path, state: BuildState) -> Place:
    return Place(tmp_path, state)


def test_the_second_course_of_a_name_is_told_what_to_type(place: Place) -> None:
    second = place.course("second.yaml")
    with pytest.raises(CourseError) as caught:
        place.look(second)
    target = place.root / "output/public"
    assert caught.value.fact == f"{second}: {place.first} has this name, too, and its pages lie in {target}"
    assert (
        caught.value.next_step
        == "Give one of them another name:, or build second.yaml with -o DIR into another directory."
    )
    place.look(place.first)


@pytest.mark.parametrize(
    "spec",
    [
        SPEC.replace("My Course", "Second").replace("Mein Kurs", "Zweiter"),
        SPEC + "index: false\n",
        SPEC + "languages: [de]\n",
        SPEC + "output_targets: [{name: a, path: a}]\n",
    ],
    ids=["of another name", "without an index", "in another language", "in another target"],
)
def test_a_course_that_writes_elsewhere_is_not(place: Place, spec: str) -> None:
    place.look(place.course("second.yaml", spec))


def test_another_output_directory_keeps_them_apart(place: Place) -> None:
    place.look(place.course("second.yaml"), "elsewhere")


def test_a_target_that_is_not_asked_for_is_left_alone(place: Place) -> None:
    second = place.course("second.yaml")
    place.look(second, selection=Selection(targets=frozenset({"speaker"})))
    with pytest.raises(CourseError):
        place.look(second, selection=Selection(targets=frozenset({"public"})))


def test_a_course_file_that_was_renamed_goes_on(place: Place) -> None:
    renamed = place.first.rename(place.root / "renamed.yaml")
    place.look(renamed)
    place.first.symlink_to(renamed)
    place.look(renamed)


def test_a_course_that_has_another_name_now_is_in_nobodys_way(place: Place) -> None:
    second = place.course("second.yaml")
    place.course("first.yaml", SPEC.replace("My Course", "Other"))
    place.look(second)
    place.first.write_text("name: [", encoding="utf-8")
    with pytest.raises(CourseError, match=r"first\.yaml has this name, too"):
        place.look(second)
