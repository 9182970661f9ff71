"""Topics of a section whose files meet lie apart; nobody else does."""

from __future__ import annotations

from tests.support.courses import SPEC, Course
from tests.support.planning import ENGLISH, ONE, linking, payload, places, plan_of

from clx.course.spec import TopicRef
from clx.course.survey import Survey, told_apart
from clx.course.topics import CourseTopic, Topic


def test_topics_whose_files_meet_lie_apart_and_nobody_else_does(two: Course) -> None:
    two.deck("three", "# %% [markdown]\n# [x](../topic_100_one/slides_one.py)\n")
    linking(two, "../topic_100_two/slides_two.py", "../logo.png")
    two.write("slides/module_1/logo.png", "1")
    for name in ("one", "two"):
        two.write(f"slides/module_1/topic_100_{name}/data.csv", name)
    two.spec("one", "two", "three")
    plan = plan_of(two, selection=ENGLISH)
    assert places(plan, "one/data.csv") == {"Week 1/one/data.csv"}
    assert places(plan, "two/data.csv") == {"Week 1/two/data.csv"}
    pages = {place.path.split("/", 5)[5] for job in plan.jobs for each in job.places.values() for place in each}
    assert {"Week 1/one/01 slides_one.html", "Week 1/two/02 two en.html", "Week 1/03 slides_three.html"} <= pages
    assert [note.rpartition(": ")[2] for note in plan.notes] == ["one/", "two/"]
    one, three = payload(plan, "slides_one.py"), payload(plan, "slides_three.py")
    assert one["links"]["html"] == {"../topic_100_two/slides_two.py": "../two/02 two en.html"}
    assert one["pictures"] == {"../logo.png": "../course-files/slides/module_1/logo.png"}
    assert three["links"]["html"] == {"../topic_100_one/slides_one.py": "one/01 slides_one.html"}


def test_equal_files_files_that_are_not_copied_and_other_sections_do_not_meet(two: Course) -> None:
    for name in ("one", "two"):
        two.write(f"slides/module_1/topic_100_{name}/same.csv", "1")
        two.write(f"slides/module_1/topic_100_{name}/slides_{name}.py.orig", name)
        two.write(f"slides/module_1/topic_100_{name}/slides_x.py.orig", name)
    assert plan_of(two).notes == []
    for name in ("one", "two"):
        two.write(f"slides/module_1/topic_100_{name}/data.csv", name)
    two.write("course.yaml", SPEC % "      - one" + "  - name: Week 2\n    topics: [two]\n")
    assert plan_of(two).notes == []
    two.write("course.yaml", SPEC % "      - one" + "  - name: {de: Zwei, en: Week 1}\n    topics: [two]\n")
    assert len(plan_of(two).notes) == 2, "they meet in one language"


def test_diagrams_of_one_name_meet_and_each_page_shows_its_own(two: Course) -> None:
    for name in ("one", "two"):
        two.write(f"slides/module_1/topic_100_{name}/overview.pu", "@startuml\nA -> B\n@enduml\n")
    plan = plan_of(two, selection=ENGLISH)
    drawn = [place.path.split("/", 5)[5] for job in plan.jobs if job.is_diagram for place in job.places["1.png"]]
    assert set(drawn) == {"Week 1/one/img/overview.png", "Week 1/two/img/overview.png"}


def test_a_deck_lies_below_its_topic_as_in_the_sources() -> None:
    place = CourseTopic(0, TopicRef("one"), Topic("one", ONE, is_directory=True))
    survey = Survey(place, True, pictures={"img/x.png": f"{ONE}/x.pu"}, others=[f"{ONE}/a.csv", f"{ONE}/img/x.png"])
    survey.folder = "one/"
    assert survey.folder_of(f"{ONE}/slides_a.py") == "one/"
    assert survey.folder_of(f"{ONE}/sub/slides_a.py") == "one/sub/"
    assert dict(survey.claims()) == {"img/x.png": f"{ONE}/x.pu", "a.csv": f"{ONE}/a.csv"}


def test_many_topics_apart_are_told_in_few_lines() -> None:
    place = CourseTopic(0, TopicRef("one"), Topic("one", ONE, is_directory=True))
    lines = told_apart([("a.csv", Survey(place, True), Survey(place, True))] * 9)
    assert (len(lines), lines[-1][:13]) == (7, "3 more topics")
