"""Where each variant of a course goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from clx.course.layout import Layout, Selection, Variant
from clx.course.spec import CourseSpec, read_spec
from clx.errors import UsageError

SPEC = """name: {de: "Mein Kurs: 1", en: My Course}
prog_lang: %s
sections:
  - name: {de: Woche 1, en: Week 1/2}
    topics: []
"""
TARGETS = """output_targets:
  - {name: handout, path: hand/out, kinds: [completed], formats: [html], languages: [de]}
  - {name: all, path: .}
"""


def spec_of(more: str = "", prog_lang: str = "python") -> CourseSpec:
    return read_spec(SPEC % prog_lang + more, "course.yaml")


def paths(layout: Layout) -> dict[str, list[str]]:
    """Directories by the name of their target."""
    found: dict[str, list[str]] = {target.name: [] for target in layout.targets}
    for each in layout.variants:
        found[layout.targets[each.target].name].append(each.path)
    return found


def test_without_targets_students_get_two_audiences_and_speakers_theirs() -> None:
    layout = Layout(spec_of(), Selection())
    assert [(target.name, target.path, target.kinds) for target in layout.targets] == [
        ("public", "public", ("code-along", "completed")),
        ("speaker", "speaker", ("speaker",)),
    ]
    assert len(layout.variants) == 18
    assert paths(layout)["speaker"] == [
        "De/Mein Kurs 1/Folien/Html/Speaker",
        "De/Mein Kurs 1/Folien/Notebooks/Speaker",
        "De/Mein Kurs 1/Folien/Python/Speaker",
        "En/My Course/Slides/Html/Speaker",
        "En/My Course/Slides/Notebooks/Speaker",
        "En/My Course/Slides/Python/Speaker",
    ]
    assert paths(layout)["public"][:2] == [
        "De/Mein Kurs 1/Folien/Html/Code-Along",
        "De/Mein Kurs 1/Folien/Html/Completed",
    ]


def test_sections_are_named_in_each_language_as_one_component() -> None:
    layout = Layout(spec_of(), Selection())
    assert layout.sections == {"de": ["Woche 1"], "en": ["Week 1_2"]}


def test_a_target_gets_only_what_it_names_and_lies_where_it_says() -> None:
    layout = Layout(spec_of(TARGETS), Selection())
    assert paths(layout)["handout"] == ["De/Mein Kurs 1/Folien/Html/Completed"]
    assert len(paths(layout)["all"]) == 18


def test_targets_lie_below_the_output_and_one_may_be_it() -> None:
    layout = Layout(spec_of(TARGETS), Selection())
    assert layout.directories(Path("/out")) == ["/out/hand/out", "/out"]


@pytest.mark.parametrize(("prog_lang", "directory"), [("python", "Python"), ("cpp", "Cpp"), ("csharp", "CSharp")])
def test_the_directory_of_code_is_called_after_its_language(prog_lang: str, directory: str) -> None:
    chosen = Selection(formats=frozenset({"code"}), languages=frozenset({"en"}), kinds=frozenset({"completed"}))
    assert [each.path for each in Layout(spec_of(prog_lang=prog_lang), chosen).variants] == [
        f"En/My Course/Slides/{directory}/Completed"
    ]


@pytest.mark.parametrize(
    ("selection", "slices"),
    [
        (Selection(languages=frozenset({"en"}), kinds=frozenset({"speaker"})), ["html", "notebook", "code"]),
        (Selection(targets=frozenset({"speaker"}), languages=frozenset({"en"})), ["html", "notebook", "code"]),
    ],
)
def test_a_selection_leaves_the_rest_out(selection: Selection, slices: list[str]) -> None:
    found = [each.variant for each in Layout(spec_of(), selection).variants]
    assert [str(each) for each in found] == [f"en/speaker/{format_}" for format_ in slices]


@pytest.mark.parametrize(
    ("selection", "fact", "there"),
    [
        (Selection(languages=frozenset({"fr"})), 'no language "fr"', "It has: de, en. Leave --language out"),
        (Selection(kinds=frozenset({"teacher"})), 'no kind "teacher"', "code-along, completed, speaker"),
        (Selection(formats=frozenset({"docx", "html"})), 'no format "docx"', "html, notebook, code"),
        (Selection(targets=frozenset({"handout"})), 'no target "handout"', "public, speaker"),
    ],
)
def test_what_a_course_does_not_have_is_told_with_what_it_has(selection: Selection, fact: str, there: str) -> None:
    with pytest.raises(UsageError, match=fact) as caught:
        Layout(spec_of(), selection)
    assert there in caught.value.next_step


@pytest.mark.parametrize(
    ("variant", "is_covered"),
    [
        ("en/completed/html", True),
        ("de/completed/html", False),
        ("en/speaker/html", False),
        ("en/completed/code", False),
        ("en//", True),  # a group for whichever audience and format
        ("de//", False),
        ("en/speaker/", False),
    ],
)
def test_a_slice_is_covered_where_all_its_parts_are_asked_for_or_are_any(variant: str, is_covered: bool) -> None:
    selection = Selection(frozenset({"en"}), frozenset({"completed"}), frozenset({"html"}))
    assert selection.covers(variant) == is_covered
    assert Selection().covers(variant)


def test_a_slice_is_written_as_rows_name_it() -> None:
    assert str(Variant("de", "code-along", "notebook")) == "de/code-along/notebook"


def test_a_course_names_the_directory_of_its_decks() -> None:
    layout = Layout(spec_of("labels: {en: {slides: 'Decks: 1'}}\n"), Selection(languages=frozenset({"en"})))
    assert paths(layout)["speaker"][0] == "En/My Course/Decks 1/Html/Speaker"


def test_a_region_keeps_its_case_in_the_directory() -> None:
    text = "name: {pt-BR: Curso}\nprog_lang: python\nsections: [{name: S, topics: []}]\n"
    assert paths(Layout(read_spec(text, "x"), Selection()))["speaker"][0] == "Pt-BR/Curso/Slides/Html/Speaker"


def test_slides_are_made_where_they_are_asked_for() -> None:
    assert not [path for path in paths(Layout(spec_of(), Selection()))["public"] if "/Slides/Slides/" in path]
    asked = Selection(formats=frozenset({"slides"}), languages=frozenset({"en"}))
    assert paths(Layout(spec_of(), asked)) == {
        "public": ["En/My Course/Slides/Slides/Code-Along", "En/My Course/Slides/Slides/Completed"],
        "speaker": ["En/My Course/Slides/Slides/Speaker"],
    }
    named = TARGETS.replace("formats: [html]", "formats: [html, slides]")
    assert "De/Mein Kurs 1/Folien/Slides/Completed" in paths(Layout(spec_of(named), Selection()))["handout"]
    only_here = paths(Layout(spec_of(named), Selection(formats=frozenset({"slides"}))))
    assert only_here["handout"] == ["De/Mein Kurs 1/Folien/Slides/Completed"]
    assert len(only_here["all"]) == 6


def test_slides_that_no_target_has_are_refused_with_what_to_write() -> None:
    html_only = TARGETS.replace("  - {name: all, path: .}\n", "")
    with pytest.raises(UsageError, match="No output target has the format") as told:
        Layout(spec_of(html_only), Selection(formats=frozenset({"slides"})))
    assert "formats of a target in course.yaml" in told.value.next_step


def test_what_no_target_has_is_told() -> None:
    with pytest.raises(UsageError, match="No output target has files of what is asked for"):
        Layout(spec_of(), Selection(targets=frozenset({"public"}), kinds=frozenset({"speaker"})))
