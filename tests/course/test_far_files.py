"""Inputs are published where notebooks look for them, and what is private or in the way is kept back and told."""

from __future__ import annotations

import pytest
from tests.support.courses import SPEC, Course
from tests.support.planning import plan_of, planner_of

from clx.course.far_files import FarFiles
from clx.course.layout import Layout, Selection
from clx.course.plan import OutputPath, Plan
from clx.course.shared_inputs import InputPlaces, told
from clx.course.source_files import SourceFiles
from clx.course.spec import load_spec
from clx.course.survey import Survey
from clx.course.topics import resolve_topics

TOPIC = "slides/module_1/topic_100_values"
ENGLISH = Selection(frozenset({"en"}))
SLIDES = "En/My Course/Slides"


def places(plan: Plan, source: str) -> set[tuple[int, str, str]]:
    return {
        (place.target, place.path, place.variant)
        for copy in plan.copies
        if copy.source == source
        for place in copy.places
    }


def inputs_of(course: Course, text: str, *, more: str = "", selection: Selection = ENGLISH) -> Plan:
    course.write("course.yaml", SPEC % f"      - {{id: values, inputs: {text}}}" + more)
    return plan_of(course, selection=selection)


@pytest.fixture
def values(course: Course) -> Course:
    course.deck("values")
    course.write("shared/helper.py", "x = 1\n")
    return course


def test_inputs_lie_as_far_from_notebooks_as_from_the_deck(values: Course) -> None:
    values.write("slides/module_1/common/a.csv", "1")
    values.write("slides/module_1/b.csv", "1")
    plan = inputs_of(values, '["shared/*.py", slides/module_1/common/a.csv, slides/module_1/b.csv]')
    assert places(plan, "shared/helper.py") == {
        (0, f"{SLIDES}/shared/helper.py", "en//"),
        (1, f"{SLIDES}/shared/helper.py", "en/speaker/"),
    }
    assert places(plan, "slides/module_1/common/a.csv") == {
        (number, f"{SLIDES}/{name}/{kind}/common/a.csv", f"en/{kind.lower()}/{format_}")
        for name, format_ in (("Notebooks", "notebook"), ("Python", "code"))
        for number, kind in ((0, "Code-Along"), (0, "Completed"), (1, "Speaker"))
    }
    assert plan.warnings == []


def test_between_a_format_and_its_kinds_lies_one_copy_for_all_kinds(values: Course) -> None:
    values.write("slides/two/topic_100_file.py", "# %%\n1\n")
    values.write("course.yaml", SPEC % "      - {id: file, inputs: [shared/helper.py]}")
    assert places(plan_of(values, selection=ENGLISH), "shared/helper.py") == {
        (number, f"{SLIDES}/{name}/shared/helper.py", f"en/{kind}/{format_}")
        for number, kind in ((0, ""), (1, "speaker"))
        for name, format_ in (("Notebooks", "notebook"), ("Python", "code"))
    }


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [(Selection(formats=frozenset({"html"})), True), (Selection(languages=frozenset({"de"})), False)],
)
def test_what_several_variants_have_is_planned_whichever_is_asked_for(
    values: Course, selection: Selection, wanted: bool
) -> None:
    plan = inputs_of(values, "[shared/helper.py]", selection=selection)
    paths = {path for _, path, _ in places(plan, "shared/helper.py")}
    assert (f"{SLIDES}/shared/helper.py" in paths) is wanted


@pytest.mark.parametrize("text", ["[{path: shared/helper.py, publish: false}]", "[shared/helper.py], publish: false"])
def test_who_says_so_keeps_inputs_back(values: Course, text: str) -> None:
    plan = inputs_of(values, text)
    assert (plan.copies, plan.warnings) == ([], [])
    assert any(path == "shared/helper.py" for job in plan.jobs for path, _ in job.files)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("slides/module_1/topic_100_other/slides_other.py", "a deck, or a copy of one"),
        ("shared/.env", "not among the files of the course"),
        ("shared/marked.py", "has private cells"),
        (f"{'far/' * 3}x.csv", ""),
    ],
)
def test_what_may_be_private_is_kept_back_and_told(values: Course, path: str, why: str) -> None:
    values.write(path, '# %% tags=["private"]\n# the secret\n' if "marked" in path else "1")
    plan = inputs_of(values, f"[{path}]")
    assert bool(plan.copies) is not bool(why)
    assert [f"{path} ({why})" in text for text in plan.warnings] == ([True] if why else [])


def test_inputs_make_way_for_other_files(values: Course) -> None:
    values.write("div/shared/helper.py", "y = 2\n")
    group = "dir_groups:\n  - {name: Slides, path: div}\n"
    (warning,) = inputs_of(values, "[shared/helper.py]", more=group).warnings
    assert "shared/helper.py (div/shared/helper.py lies in its place)" in warning


def test_files_of_the_topic_itself_are_copied_with_it(values: Course) -> None:
    values.write(f"{TOPIC}/data.csv", "1")
    plan = inputs_of(values, f"[{TOPIC}/*.csv]")
    assert f"{SLIDES}/Html/Completed/Week 1/data.csv" in {path for _, path, _ in places(plan, f"{TOPIC}/data.csv")}
    assert plan.warnings == []


def test_many_are_told_in_one_line() -> None:
    text = told("t", {str(number): "why" for number in range(12)})
    assert "9 (why) and 2 more" in text
    assert "\n" not in text


class Nowhere(InputPlaces):
    """An output in which no input finds its place."""

    def of(self, survey: Survey, path: str) -> list[OutputPath] | None:
        return None


def test_what_would_lie_outside_of_the_output_is_told(values: Course) -> None:
    values.write("course.yaml", SPEC % "      - {id: values, inputs: [shared/helper.py]}")
    planner, plan, spec = planner_of(values), Plan(), load_spec(values.root / "course.yaml")
    files = SourceFiles(values.root, {})
    (place,) = resolve_topics(spec, files.bounds)
    nowhere = Nowhere(Layout(spec, ENGLISH))
    far = FarFiles(files, planner.closures, plan, {}, nowhere, lambda *_: [], lambda *_: pytest.fail("copied"))
    far.publish_inputs(Survey(place, True))
    (warning,) = plan.warnings
    assert "shared/helper.py (would lie outside of the output)" in warning
