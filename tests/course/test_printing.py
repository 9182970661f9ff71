"""The formats `pdf` and `slides-pdf`: what is planned for them, and what is built."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from pypdf import PdfReader
from tests.support.courses import Course, tree
from tests.support.planning import plan_of
from tests.support.tools import require

from clx.course.layout import Selection
from clx.course.plan import Plan, PlannedJob
from clx.course.printing import PRINTED
from clx.course.stages import Stages

DECK = """# %% [markdown] tags=["slide"]
# # Deck of {name}
#
# ![a](img/a.png)

# %%
print("value", 6 * 7)

# %% [markdown] tags=["notes"]
# The secret of this deck is a pineapple.
"""
SPEC = "name: My Course\nprog_lang: python\nindex: false\nsections:\n  - name: Week 1\n    topics:\n%s"
SPEC %= "      - values\n      - names\n"
ASKED = Selection(formats=frozenset({"pdf"}), kinds=frozenset({"completed"}))


@pytest.fixture
def course(tmp_path: Path) -> Course:
    course = Course(tmp_path / "course")
    for name in ("values", "names"):
        course.deck(name, DECK.format(name=name))
    course.write("slides/module_1/topic_100_values/img/a.png", b"picture")
    course.write("slides/module_1/topic_100_values/data.csv", b"1,2")
    course.write("slides/module_1/topic_100_values/pu/flow.pu", b"@startuml\nA -> B\n@enduml\n")
    course.write("course.yaml", SPEC)
    return course


def prints(plan: Plan) -> list[PlannedJob]:
    return [job for job in plan.jobs if job.type == "pdf"]


def test_nothing_is_printed_that_nobody_asks_for(course: Course) -> None:
    assert prints(plan_of(course)) == []
    assert prints(plan_of(course, selection=Selection(formats=frozenset({"slides", "html"})))) == []


def test_each_page_is_printed_with_what_it_shows_and_the_course_as_one_file(course: Course) -> None:
    plan = plan_of(course, selection=ASKED)
    values, names, whole = prints(plan)
    page = next(job for job in plan.jobs if job.source.endswith("values.py") and job.task == "execute en")
    flow = next(job for job in plan.jobs if job.type == "plantuml")
    assert values.made_from == (("page.html", page.key, "completed.html"), ("img/flow.png", flow.key, "1.png"))
    assert [path for path, _ in values.files] == ["slides/module_1/topic_100_values/img/a.png"]
    assert values.payload["beside"] == [("slides/module_1/topic_100_values/img/a.png", "img/a.png")]
    assert len(names.made_from) == 1
    assert [each[1:] for each in whole.made_from] == [(values.key, PRINTED), (names.key, PRINTED)]
    places = sorted(place.path for job in prints(plan) for wanted in job.places.values() for place in wanted)
    assert places == [
        "En/My Course/Slides/Pdf/Completed/My Course.pdf",
        "En/My Course/Slides/Pdf/Completed/Week 1/01 Deck of values.pdf",
        "En/My Course/Slides/Pdf/Completed/Week 1/02 Deck of names.pdf",
    ]
    # and nothing else is published: what pages show is in them
    assert sorted(path for _, path in plan.places) == places
    assert [copy.source for copy in plan.copies if copy.places] == []


def test_a_picture_prints_its_own_topic_anew_and_the_course(course: Course) -> None:
    before = {job.label: job.key for job in prints(plan_of(course, selection=ASKED))}
    course.write("slides/module_1/topic_100_values/img/a.png", b"another")
    after = {job.label: job.key for job in prints(plan_of(course, selection=ASKED))}
    assert [label for label in before if before[label] != after[label]] == [
        "slides/module_1/topic_100_values/slides_values.py (pdf completed en)",
        "course.yaml (pdf completed en)",
    ]


def test_what_is_made_from_others_waits_for_them(course: Course) -> None:
    plan = plan_of(course, selection=ASKED)
    stages = Stages(SimpleNamespace(plan=plan, done={}), None, None)  # type: ignore[arg-type]
    told = [[job.task for job in jobs] for jobs in stages.in_order(list(reversed(plan.jobs)))]
    assert [sorted(set(tasks)) for tasks in told] == [["", "execute en"], ["pdf completed en"], ["pdf completed en"]]
    assert [len(tasks) for tasks in told] == [3, 2, 1]
    assert stages.ready(prints(plan)) == ([], [])  # nothing is known of their pages


def test_slides_are_printed_by_themselves(course: Course) -> None:
    both = Selection(formats=frozenset({"pdf", "slides-pdf", "html"}), kinds=frozenset({"completed"}))
    found = prints(plan_of(course, selection=both))
    assert {(job.payload["task"], job.payload["view"]) for job in found} == {
        (task, view) for task in ("print", "join") for view in ("page", "slides")
    }
    assert len({job.key for job in found}) == 6


def _text(path: Path) -> str:
    return "".join(page.extract_text() for page in PdfReader(io.BytesIO(path.read_bytes())).pages)


@pytest.mark.slow
def test_a_course_on_paper(course: Course) -> None:
    require("browser")
    course.spec("values", "names")
    course.write("course.yaml", SPEC)
    (course.root / "slides/module_1/topic_100_values/pu/flow.pu").unlink()
    built = course.build("--format", "pdf", "--format", "slides-pdf")
    files = {path.relative_to(course.output).as_posix(): path for path in course.output.rglob("*.pdf")}
    assert len(files) == 3 * 2 * 3
    assert {path.suffix for path in course.output.rglob("*") if path.is_file()} == {".pdf"}
    for name, path in files.items():
        text = _text(path)
        assert "Deck of" in text
        assert ("pineapple" in text) == ("/Pdf/Speaker/" in name), name  # slides have no notes
    assert built.ran == 4 + 3 * 2 * 3
    assert course.build("--format", "pdf", "--format", "slides-pdf").ran == 0
    before = tree(course.output)
    course.build("--format", "pdf", "--format", "slides-pdf", "--force")
    assert tree(course.output) == before
    # the pages are known by now, and so nothing runs for other formats of them
    assert course.build("--format", "html").ran == 0
    # an edit of one deck prints that deck and the course
    course.deck("names", DECK.format(name="other"))
    edited = course.build("--format", "pdf", "--kind", "completed")
    assert edited.ran == 3
    deck = "slides/module_1/topic_100_names/slides_names.py (pdf completed"
    assert edited.reason(deck) == "what it is printed from changed"
    assert "Deck of other" in _text(next(course.output.rglob("Pdf/Completed/My Course.pdf")))


@pytest.mark.slow
def test_a_page_with_hidden_text_is_not_printed_and_what_was_printed_goes(course: Course) -> None:
    require("browser")
    course.write("course.yaml", SPEC.replace("      - names\n", ""))
    only = ("--format", "pdf", "--kind", "completed")
    course.build(*only)
    assert len(list(course.output.rglob("*.pdf"))) == 2
    leak = '\n# %% tags=["keep"]\nprint(".elppaenip a si kced siht fo terces ehT"[::-1])\n'
    course.deck("values", DECK.format(name="values") + leak)
    built = course.build(*only, code=1)
    assert "the text of this notes cell would be published in public/En/My Course/Slides/Pdf" in str(built.report)
    # a cell that is hidden from now on may stand in what was printed of the deck
    course.deck(
        "values", DECK.format(name="values") + '\n# %% [markdown] tags=["private"]\n# The moon is a cheese, too.\n'
    )
    course.build("--format", "html")
    assert list(course.output.rglob("*.pdf")) == []


@pytest.mark.slow
def test_a_deck_that_fails_is_not_printed_and_the_others_are(course: Course) -> None:
    require("browser")
    (course.root / "slides/module_1/topic_100_values/pu/flow.pu").unlink()
    course.deck("names", "# %%\n1 / 0\n")
    built = course.build("--format", "pdf", "--kind", "completed", code=1)
    assert [path.name for path in course.output.rglob("*.pdf")] == ["01 Deck of values.pdf"]
    assert len(built.report["failures"]) == 1
