"""Which jobs a course needs, on what their keys depend, and where each result goes."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
from tests.support.courses import HEADER, SPEC, Course
from tests.support.planning import TOOLS, copied, job_of, plan_of, planner_of

from clx.course.layout import Selection
from clx.course.plan import OutputPath, Plan, PlannedJob
from clx.course.planner import Planner
from clx.errors import CourseError
from clx.jobtypes.drawio.settings import DrawioSettings
from clx.settings.schema import DiagramSettings, Settings

TOPIC = "slides/module_1/topic_100_values"
DECK = f"{TOPIC}/slides_values.py"
ENGLISH = Selection(languages=frozenset({"en"}))
PAGE = "En/My Course/Slides/Html/Completed/Week 1"


@pytest.fixture
def values(course: Course) -> Course:
    course.deck("values")
    course.spec("values")
    return course


def labels(plan: Plan) -> list[str]:
    return [job.label for job in plan.jobs]


def job(plan: Plan, task: str, source: str = DECK) -> PlannedJob:
    return next(each for each in plan.jobs if (each.source, each.task) == (source, task))


def keys(plan: Plan) -> dict[str, str]:
    return {each.label: each.key for each in plan.jobs}


def names_of_pages(plan: Plan) -> list[str]:
    """File names of completed English pages, in the order of the plan."""
    places = [place for each in plan.jobs for places in each.places.values() for place in places]
    return [place.path.rpartition("/")[2] for place in places if place.path.startswith(f"{PAGE}/")]


# -- decks that are no templates --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "more"),
    [("{id: values, jinja: false}", ""), ("values", "jinja: false\n"), ("{id: values, jinja: true}", "jinja: false\n")],
)
def test_a_course_or_a_topic_may_have_decks_that_are_no_templates(course: Course, topic: str, more: str) -> None:
    course.deck("values", text="# %% [markdown]\n# {{ nope }}\n")
    (course.root / "course.yaml").write_text(SPEC % f"      - {topic}" + more, encoding="utf-8")
    if "true" in topic:
        with pytest.raises(CourseError, match="'nope' is undefined"):
            plan_of(course)
        return
    planner = planner_of(course)
    plan = planner.plan()
    assert job(plan, "render en").payload["jinja"] is False
    known = planner.learned()[1]
    assert planner_of(course, known).plan().jobs
    (course.root / "course.yaml").write_text(SPEC % "      - values", encoding="utf-8")
    with pytest.raises(CourseError, match="'nope' is undefined"):
        planner_of(course, known).plan()


# -- jobs and places --------------------------------------------------------------------------------


def test_a_deck_is_run_once_and_rendered_once_for_each_language(values: Course) -> None:
    plan = plan_of(values)
    assert labels(plan) == [f"{DECK} ({task})" for task in ("render de", "execute de", "render en", "execute en")]
    assert plan.decks == 1
    assert plan.warnings == []


def test_of_a_deck_only_the_pages_that_show_results_need_the_run(values: Course) -> None:
    plan = plan_of(values)
    assert sorted(job(plan, "execute en").places) == ["completed.html", "speaker.html"]
    assert sorted(job(plan, "render en").places) == [
        "code-along.html", "code-along.ipynb", "code-along.py",
        "completed.ipynb", "completed.py",
        "speaker.ipynb", "speaker.py",
    ]  # fmt: skip
    assert job(plan, "execute en").places["completed.html"] == [
        OutputPath(0, f"{PAGE}/01 values en.html", "en/completed/html")
    ]
    assert job(plan, "execute en").places["speaker.html"][0].target == 1


@pytest.mark.parametrize(
    ("topic", "course_option", "runs"),
    [
        ("values", "", True),
        ("{id: values, evaluate: false}", "", False),
        ("values", "evaluate: false\n", False),
        ("{id: values, evaluate: true}", "evaluate: false\n", True),
    ],
)
def test_a_topic_says_for_itself_whether_it_is_run_else_the_course_does(
    values: Course, topic: str, course_option: str, runs: bool
) -> None:
    values.write("course.yaml", SPEC % f"      - {topic}" + course_option)
    plan = plan_of(values, selection=ENGLISH)
    assert [each.task for each in plan.jobs] == ["render en", *(["execute en"] if runs else [])]
    assert job(plan, "render en").payload["evaluate"] is runs
    assert names_of_pages(plan) == ["01 values en.html"]


def test_a_topic_without_pages_is_not_run_and_has_no_html(values: Course) -> None:
    values.write(f"{TOPIC}/data.csv", "1")
    values.spec("{id: values, html: false}")
    plan = plan_of(values, selection=ENGLISH)
    assert [each.task for each in plan.jobs] == ["render en"]
    places = [
        place for each in (plan.jobs[0].places, {"copy": plan.copies[0].places}) for place in chain(*each.values())
    ]
    assert {place.variant.rpartition("/")[2] for place in places} == {"notebook", "code"}


@pytest.mark.parametrize(
    ("selection", "tasks"),
    [
        (Selection(formats=frozenset({"code"}), languages=frozenset({"de"})), ["render de"]),
        (Selection(kinds=frozenset({"speaker"}), formats=frozenset({"html"})), ["execute de", "execute en"]),
        (Selection(kinds=frozenset({"code-along"}), formats=frozenset({"html"})), ["render de", "render en"]),
    ],
)
def test_what_is_not_asked_for_is_not_planned(values: Course, selection: Selection, tasks: list[str]) -> None:
    assert [each.task for each in plan_of(values, selection=selection).jobs] == tasks


def test_decks_are_numbered_through_a_section_and_anew_in_the_next(course: Course) -> None:
    for name in ("a", "b", "c"):
        course.deck(name)
    course.write("slides/module_1/topic_100_a/slides_zz.py", "# %%\n")
    course.write(
        "course.yaml",
        SPEC % "      - b\n      - a" + "  - name: {de: Woche 2, en: Week 2}\n    topics: [c]\n",
    )
    plan = plan_of(course, selection=Selection(frozenset({"en"}), frozenset({"completed"}), frozenset({"html"})))
    assert [place.path.split("/", 5)[5] for each in plan.jobs for place in chain(*each.places.values())] == [
        "Week 1/01 b en.html",
        "Week 1/02 a en.html",
        "Week 1/03 slides_zz.html",  # no header: the file's own name
        "Week 2/01 c en.html",
    ]


def test_the_title_of_each_language_names_its_files(course: Course) -> None:
    course.deck("values", HEADER % ("Werte: die/ersten", "Values") + "# %%\n1\n")
    course.spec("values")
    names = {place.path.rpartition("/")[2] for each in plan_of(course).jobs for place in chain(*each.places.values())}
    assert names == {f"01 {title}.{ext}" for title in ("Werte die_ersten", "Values") for ext in ("html", "ipynb", "py")}


def test_a_topic_that_is_a_file_takes_what_lies_beside_it_but_no_other_deck(course: Course) -> None:
    course.write("slides/m/topic_100_one.py", "# %%\n1\n")
    course.write("slides/m/topic_200_two.py", "# %%\n2\n")
    course.write("slides/m/data.csv", "1")
    course.write("slides/m/deep/more.csv", "1")
    course.spec("one")
    plan = plan_of(course, selection=ENGLISH)
    assert {each.source for each in plan.jobs} == {"slides/m/topic_100_one.py"}
    assert [copy.source for copy in plan.copies] == ["slides/m/data.csv"]


def test_links_of_a_file_topic_are_copied_from_below_and_from_elsewhere(course: Course) -> None:
    course.write(
        "slides/m/topic_100_one.py", "# %% [markdown]\n# ![a](deep/a.png) ![b](../other/b.png) ![c](gone.png)\n"
    )
    course.write("slides/m/deep/a.png", "1")
    course.write("slides/other/b.png", "1")
    course.spec("one")
    plan = plan_of(course, selection=ENGLISH)
    assert {copy.source for copy in plan.copies} == {"slides/m/deep/a.png", "slides/other/b.png"}
    assert plan.warnings == ["slides/m/topic_100_one.py: line 2: shows gone.png, which does not exist."]


@pytest.mark.parametrize(
    ("write", "warning"),
    [
        (
            "slides/module_1/topic_100_empty/notes.txt",
            "slides/module_1/topic_100_empty has no deck (slides_… or topic_…).",
        ),
    ],
)
def test_a_topic_without_a_deck_is_a_warning(course: Course, write: str, warning: str) -> None:
    course.write(write, "x")
    course.spec("empty")
    assert plan_of(course).warnings == [warning, "The course has no deck at all."]


# -- keys -------------------------------------------------------------------------------------------

EXECUTES = {f"{DECK} (execute {language})" for language in ("de", "en")}
TASKS = ("render", "execute")
RENDERS = {f"{DECK} (render {language})" for language in ("de", "en")}


@pytest.mark.parametrize(
    ("path", "text", "changed"),
    [
        (DECK, HEADER % ("a", "b") + "# %%\nvalue = 2\n", EXECUTES | RENDERS),
        (f"{TOPIC}/data.csv", "2", EXECUTES),
        (f"{TOPIC}/deep/new.csv", "1", EXECUTES),
        ("elsewhere.csv", "2", set()),
        ("slides/module_1/topic_200_other/data.csv", "2", set()),
        ("course.yaml", SPEC % "      - values" + "variables: {x: 1}\n", EXECUTES | RENDERS),
        ("course.yaml", SPEC.replace("My Course", "X") % "      - values", {f"{DECK} ({t} en)" for t in TASKS}),
        ("course.yaml", SPEC % "      - values" + "author: {de: A, en: A}\n", EXECUTES | RENDERS),
        ("course.yaml", SPEC % "      - values" + "certificate: {de: A, en: A}\n", set()),
    ],
)  # fmt: skip
def test_a_key_changes_with_what_the_result_depends_on_and_with_nothing_else(
    values: Course, path: str, text: str, changed: set[str]
) -> None:
    values.write(f"{TOPIC}/data.csv", "1")
    before = keys(plan_of(values))
    values.write(path, text)
    after = keys(plan_of(values))
    assert {label for label in before if before[label] != after.get(label)} == changed


def test_a_key_changes_with_the_tools(values: Course) -> None:
    before, after = keys(plan_of(values)), keys(plan_of(values, tools={**TOOLS, "notebook": {"python": "4"}}))
    assert all(before[label] != after[label] for label in before)


def test_the_order_in_which_tools_are_told_does_not_matter(values: Course) -> None:
    one, other = {"a": "1", "b": "2"}, {"b": "2", "a": "1"}
    assert keys(plan_of(values, tools={**TOOLS, "notebook": one})) == keys(
        plan_of(values, tools={**TOOLS, "notebook": other})
    )


def test_two_plans_of_one_course_are_equal(values: Course) -> None:
    values.write(f"{TOPIC}/a.pu", "@startuml\nA -> B\n@enduml\n")
    assert plan_of(values) == plan_of(values)


def test_what_an_earlier_plan_learned_gives_the_same_plan(values: Course) -> None:
    first: Planner = planner_of(values)
    plan = first.plan()
    again = planner_of(values, first.closures.learned)
    assert again.plan() == plan
    assert again.closures.learned == {}


def test_a_deck_in_two_sections_of_one_name_is_made_once(values: Course) -> None:
    values.write("course.yaml", SPEC % "      - values" + "  - name: {de: Woche 1, en: Week 1}\n    topics: [values]\n")
    plan = plan_of(values, selection=ENGLISH)
    assert [each.task for each in plan.jobs] == ["render en", "execute en"]


# -- diagrams ---------------------------------------------------------------------------------------


def test_diagrams_become_pictures_beside_every_page(values: Course) -> None:
    values.write(f"{TOPIC}/pu/a.pu", "@startuml\nA -> B\n@enduml\n")
    values.write(f"{TOPIC}/drawio/b.drawio", "<mxfile/>")
    plan = plan_of(values, settings=Settings().having(DrawioSettings(scale=2.5, border=7)))
    uml, drawing = job(plan, "", f"{TOPIC}/pu/a.pu"), job(plan, "", f"{TOPIC}/drawio/b.drawio")
    assert (uml.type, uml.payload) == ("plantuml", {"source": f"{TOPIC}/pu/a.pu", "format": "png", "scale": 2.0})
    assert (drawing.type, drawing.payload) == (
        "drawio",
        {"source": f"{TOPIC}/drawio/b.drawio", "format": "png", "scale": 2.5, "border": 7},
    )
    paths = [place.path for place in uml.places["1.png"]]
    assert len(paths) == len(set(paths)) == 18
    assert f"{PAGE}/img/a.png" in paths
    assert not plan.copies


def test_the_run_of_a_deck_does_not_depend_on_diagrams_it_does_not_name(values: Course) -> None:
    values.write(f"{TOPIC}/a.pu", "@startuml\nA -> B\n@enduml\n")
    before = keys(plan_of(values))
    values.write(f"{TOPIC}/a.pu", "@startuml\nA -> C\n@enduml\n")
    after = keys(plan_of(values))
    assert {label for label in before if before[label] != after[label]} == {f"{TOPIC}/a.pu"}


@pytest.mark.parametrize("extension", [".pu", ".puml", ".plantuml", ".PU"])
def test_every_extension_of_plantuml_is_a_diagram(values: Course, extension: str) -> None:
    values.write(f"{TOPIC}/a{extension}", "@startuml\nA -> B\n@enduml\n")
    assert job(plan_of(values), "", f"{TOPIC}/a{extension}").type == "plantuml"


def test_a_picture_beside_its_source_is_replaced_with_a_word(values: Course) -> None:
    values.write(f"{TOPIC}/a.pu", "@startuml\nA -> B\n@enduml\n")
    values.write(f"{TOPIC}/img/a.png", "old")
    plan = plan_of(values)
    assert plan.copies == []
    assert plan.warnings == [f"{TOPIC}/img/a.png is replaced by the picture made from {TOPIC}/a.pu."]


def test_two_diagrams_of_one_name_are_told_once(values: Course) -> None:
    for path in ("pu/a.pu", "drawio/a.drawio"):
        values.write(f"{TOPIC}/{path}", "@startuml\nA -> B\n@enduml\n")
    with pytest.raises(CourseError, match=r"would both become img/a\.png in the output") as caught:
        plan_of(values)
    assert "\n" not in caught.value.fact  # once, not again for each place
    assert caught.value.next_step == "Rename one of them."


@pytest.mark.parametrize(
    ("format_", "shown", "renamed", "warnings"),
    [
        ("png", "img/a.png", None, []),
        ("png", "img/a.svg", {"img/a.svg": "img/a.png"}, []),
        ("svg", "img/a.png", {"img/a.png": "img/a.svg"}, []),
        ("svg", "img/a-2.png", {"img/a-2.png": "img/a-2.svg"}, []),
        ("svg", "img/b.png", {}, [f"{DECK}: line 2: shows img/b.png, which does not exist."]),
        ("svg", "img/a.gif", {}, []),
    ],
)
def test_a_page_shows_the_picture_that_is_made_whatever_format_the_deck_names(
    course: Course, format_: Any, shown: str, renamed: dict[str, str] | None, warnings: list[str]
) -> None:
    course.deck("values", f"# %% [markdown]\n# ![x]({shown})\n")
    course.write(f"{TOPIC}/a.pu", "@startuml\nA -> B\n@enduml\n")
    course.spec("values")
    plan = plan_of(course, selection=ENGLISH, settings=Settings(diagrams=DiagramSettings(format=format_)))
    assert job(plan, "render en").payload.get("pictures") == (renamed or None)
    assert plan.warnings == warnings


@pytest.mark.parametrize(
    ("name", "path"),
    [("1.png", "img/a.png"), ("2.png", "img/a-2.png"), ("12.png", "img/a-12.png"), ("2.svg", None), ("x.png", None)],
)
def test_further_pages_of_a_diagram_lie_beside_the_first(name: str, path: str | None) -> None:
    diagram = job_of("a.drawio", "", places={"1.png": [OutputPath(1, "img/a.png", "en/speaker/html")]})
    assert diagram.places_of(name) == ([] if path is None else [OutputPath(1, path, "en/speaker/html")])


def test_diagrams_are_made_before_the_pages_that_show_them() -> None:
    assert job_of("a.pu", "").priority > job_of("a.py", "render en").priority
    assert (job_of("a.pu", "").is_diagram, job_of("a.py", "render en").is_diagram) == (True, False)


# -- copies, groups and conflicts -------------------------------------------------------------------


def test_files_beside_a_deck_go_wherever_it_goes(values: Course) -> None:
    values.write(f"{TOPIC}/data/a.csv", "1")
    [copy] = plan_of(values).copies
    assert copy.source == f"{TOPIC}/data/a.csv"
    assert len(copy.places) == 18
    assert OutputPath(0, f"{PAGE}/data/a.csv", "en/completed/html") in copy.places


def test_equal_files_may_want_one_place(values: Course) -> None:
    values.deck("other")
    values.spec("values", "other")
    for topic in ("values", "other"):
        values.write(f"slides/module_1/topic_100_{topic}/same.csv", "1")
    plan = plan_of(values)
    assert [len(copy.places) for copy in plan.copies] == [18, 0]


def test_different_files_may_not_want_one_place(values: Course) -> None:
    for name in ("one", "two"):
        values.write(f"div/{name}/same.csv", name)
    groups = "".join(f"  - {{name: Extra, path: div/{name}}}\n" for name in ("one", "two"))
    values.write("course.yaml", SPEC % "      - values" + f"dir_groups:\n{groups}")
    with pytest.raises(CourseError) as caught:
        plan_of(values)
    lines = caught.value.fact.splitlines()
    assert len(lines) == 1  # once for both files, not for each of their places
    assert lines[0].startswith("div/one/same.csv and div/two/same.csv both want the output ")
    assert "Rename one of them" in caught.value.next_step


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("Extra", "En/My Course/Extra/deep/a.txt"),
        ("'.'", "En/My Course/deep/a.txt"),
        ("''", "En/My Course/deep/a.txt"),
    ],
)
def test_a_directory_group_lies_beside_the_slides_once_for_each_target(values: Course, name: str, place: str) -> None:
    values.write("div/deep/a.txt", "1")
    values.write("course.yaml", SPEC % "      - values" + f"dir_groups:\n  - {{name: {name}, path: div}}\n")
    [copy] = plan_of(values, selection=ENGLISH).copies
    assert copy.places == [OutputPath(0, place, "en//"), OutputPath(1, place, "en/speaker/")]


@pytest.mark.parametrize(
    ("variant", "is_public"),
    [("en/completed/html", True), ("en//", True), ("en/speaker/html", False), ("en/speaker/", False)],
)
def test_only_what_is_for_speakers_is_not_public(variant: str, is_public: bool) -> None:
    assert OutputPath(0, "x", variant).is_public is is_public


def test_all_that_is_wrong_is_told_in_one_go_but_not_without_end(course: Course) -> None:
    names = [f"t{number:02}" for number in range(30)]
    for name in names:
        course.deck(name, "# %% tags=[\n")
    course.spec(*names[:3])
    with pytest.raises(CourseError) as caught:
        plan_of(course)
    assert all(f"slides_{name}.py:1" in str(caught.value) for name in names[:3])
    course.spec(*names)
    with pytest.raises(CourseError) as caught:
        plan_of(course)
    assert caught.value.next_step == "There may be more."
    assert [f"slides_{name}.py:1" in str(caught.value) for name in names] == [True] * 20 + [False] * 10


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


def test_pointers_of_git_lfs_are_neither_copied_nor_converted(course: Course) -> None:
    course.deck("values")
    topic = "slides/module_1/topic_100_values"
    for name in ("photo.png", "plan.drawio", "seq.puml"):
        course.write(f"{topic}/{name}", POINTER)
    course.write(f"{topic}/whole.puml", "@startuml\n!include seq.puml\n@enduml\n")
    course.write(f"{topic}/data.csv", "1")
    course.spec("values")
    plan = plan_of(course)
    assert plan.pointers == [f"{topic}/{name}" for name in ("photo.png", "plan.drawio", "seq.puml")]
    assert copied(plan) == {"data.csv"}
    assert {job.type for job in plan.jobs} == {"notebook"}


def test_pointers_of_git_lfs_and_their_pictures_are_told_once(course: Course) -> None:
    course.deck("values", "# %% [markdown]\n# ![s](img/seq.png) ![t](img/gone.png)\n")
    course.write("slides/module_1/topic_100_values/pu/seq.puml", POINTER)
    course.spec("values")
    (warning,) = plan_of(course).warnings
    assert "gone.png, which does not exist" in warning


@pytest.mark.parametrize("name", ["slides_values.py", "parts.j2"])
def test_a_deck_that_is_a_pointer_or_reads_one_says_what_to_type(course: Course, name: str) -> None:
    course.deck("values", "# j2 include 'parts.j2'\n")
    course.write(f"slides/module_1/topic_100_values/{name}", POINTER)
    course.spec("values")
    with pytest.raises(CourseError) as caught:
        plan_of(course)
    assert caught.value.fact == f"slides/module_1/topic_100_values/{name} is a Git LFS pointer, not the file itself."
    assert caught.value.next_step == "Type: git lfs pull"


def test_decks_of_a_topic_are_numbered_as_people_count(course: Course) -> None:
    for number in (1, 2, 10):
        course.write(f"slides/module_1/topic_100_values/slides_{number}_part.py", HEADER % (f"T{number}", f"T{number}"))
    course.spec("values")
    pages = {
        place.path.rpartition("/")[2] for job in plan_of(course).jobs for place in job.places.get("speaker.py", ())
    }
    assert sorted(pages) == ["01 T1.py", "02 T2.py", "03 T10.py"]


def sections(course: Course, *names: str) -> None:
    """A course with a section of each name, and the topic of it."""
    text = "name: Course\nprog_lang: python\nsections:\n"
    for number, name in enumerate(names):
        course.deck(f"t{number}")
        text += f"  - {{name: {name}, topics: [t{number}]}}\n"
    course.write("course.yaml", text)


def test_sections_that_differ_in_case_only_are_refused(course: Course) -> None:
    sections(course, "Week", "week", "Week")
    with pytest.raises(CourseError) as caught:
        plan_of(course)
    assert caught.value.fact.endswith(
        'course.yaml:5:5: the sections "Week" and "week" have one directory on Windows and macOS'
    )
    assert caught.value.next_step.startswith("Rename one; the first is in ")


def test_names_that_windows_has_not_are_altered_or_told(course: Course) -> None:
    sections(course, "CON")
    course.write("slides/module_1/topic_100_t0/aux.csv", "1")
    plan = plan_of(course)
    assert {path.split("/")[-2] for _, path in plan.places if path.endswith(".ipynb")} == {"CON_"}
    assert '"CON" is a device on Windows; its directory is called CON_.' in plan.warnings
    told = "Windows cannot have files of these names: slides/module_1/topic_100_t0/aux.csv."
    assert told in plan.warnings


def test_a_source_of_diagrams_that_is_only_included_makes_no_picture(course: Course) -> None:
    course.deck("values")
    topic = "slides/module_1/topic_100_values"
    course.write(f"{topic}/style.puml", "skinparam monochrome true\n")
    course.write(f"{topic}/seq.puml", "@startuml\n!include style.puml\na -> b\n@enduml\n")
    course.write(f"{topic}/left.puml", "skinparam monochrome true\n")
    course.spec("values")
    planner = planner_of(course)
    plan = planner.plan()
    assert [job.source for job in plan.jobs if job.is_diagram] == [f"{topic}/seq.puml"]
    assert [path for path, _ in plan.jobs[0].files] == [f"{topic}/seq.puml", f"{topic}/style.puml"]
    assert copied(plan) == set()
    told = f"{topic}/left.puml has no diagram (no line begins with @start), and none includes it: "
    told += "no picture is made of it."
    assert plan.warnings == [told]
    assert plan_of(course, known=dict(planner.learned()[1])).warnings == [told]  # remembered


def test_the_scale_of_diagrams_is_no_matter_of_svg(course: Course) -> None:
    course.deck("values")
    course.write("slides/module_1/topic_100_values/seq.puml", "@startuml\na -> b\n@enduml\n")
    course.spec("values")
    scales = {}
    for format_ in ("png", "svg"):
        plan = plan_of(course, settings=Settings(diagrams=DiagramSettings(format=format_)))
        scales[format_] = next(job.payload.get("scale") for job in plan.jobs if job.is_diagram)
    assert scales == {"png": 2.0, "svg": None}
