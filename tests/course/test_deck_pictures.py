"""Pictures that a deck shows by other names than they get, and those that are not there."""

from __future__ import annotations

import pytest
from tests.support.courses import Course
from tests.support.planning import ENGLISH, ONE, linking, payload, plan_of

from clx.course.closure import DeckInfo
from clx.course.deck_pictures import DeckPictures
from clx.course.plan import Plan
from clx.course.source_files import SourceFiles
from clx.course.spec import TopicRef
from clx.course.survey import Survey
from clx.course.topics import CourseTopic, Topic
from clx.settings.schema import DiagramSettings, Settings


def test_a_picture_in_another_case_is_told_and_one_in_other_unicode_is_shown(two: Course) -> None:
    linking(two, "Upper.png", "gr\u00f6\u00dfe.png")
    two.write(f"{ONE}/upper.PNG", "1")
    two.write(f"{ONE}/gro\u0308\u00dfe.png", "1")
    plan = plan_of(two, selection=ENGLISH)
    assert plan.warnings == [f"{ONE}/slides_one.py: line 2: shows Upper.png, which does not exist; there is upper.PNG."]
    assert payload(plan, "slides_one.py")["pictures"] == {"gr\u00f6\u00dfe.png": "gro\u0308\u00dfe.png"}


@pytest.mark.parametrize(
    ("deck", "written", "renamed"),
    [
        ("slides_one.py", "img/x.png", {"img/x.png": "img/x.svg"}),
        ("slides_one.py", "img/x-2.png", {"img/x-2.png": "img/x-2.svg"}),
        ("slides_one.py", "img/x.svg", {}),
        ("sub/slides_deep.py", "img/x.png", {"img/x.png": "../img/x.svg"}),
        ("sub/slides_deep.py", "../img/x.png", {"../img/x.png": "../img/x.svg"}),
    ],
)
def test_pictures_of_diagrams_are_shown_by_the_names_that_they_get(
    two: Course, deck: str, written: str, renamed: dict[str, str]
) -> None:
    two.write(f"{ONE}/{deck}", f"# %% [markdown]\n# ![]({written})\n")
    two.write(f"{ONE}/x.pu", "@startuml\nA -> B\n@enduml\n")
    settings = Settings(diagrams=DiagramSettings(format="svg"))
    plan = plan_of(two, selection=ENGLISH, settings=settings)
    assert plan.warnings == []
    assert payload(plan, deck.rpartition("/")[2]).get("pictures", {}) == renamed


def test_pictures_that_cells_write_are_awaited_unless_they_are_there(two: Course) -> None:
    code = "# %%\nsave('p.png'); save('old.png'); save('drawn.png')\n\n"
    two.write(f"{ONE}/slides_one.py", code + "# %% [markdown]\n# ![](img/p.png) ![](old.png) ![](img/drawn.png)\n")
    two.write(f"{ONE}/old.png", "1")
    two.write(f"{ONE}/drawn.pu", "@startuml\nA -> B\n@enduml\n")
    plan = plan_of(two, selection=ENGLISH)
    assert plan.warnings == []
    assert payload(plan, "slides_one.py")["awaited"] == ["img/p.png"]
    assert "awaited" not in payload(plan, "slides_two.py")


def test_what_is_told_of_a_picture_is_noted_for_whoever_looks_at_pages(course: Course) -> None:
    place = CourseTopic(0, TopicRef("one"), Topic("one", ONE, is_directory=True))
    info = DeckInfo("", {}, [], {}, [], [f"{ONE}/sub/gone.png"], [])
    plan = Plan()
    course.write(f"{ONE}/sub/slides_a.py", "# %% [markdown]\n# {{ picture() }}\n")
    found = DeckPictures(SourceFiles(course.root, {}), "png", plan).renamed(
        Survey(place, True), f"{ONE}/sub/slides_a.py", info
    )
    assert (found, plan.told_links) == ({}, {(f"{ONE}/sub/slides_a.py", "gone.png")})
    assert plan.warnings == [f"{ONE}/sub/slides_a.py shows sub/gone.png, which does not exist."]
