"""What each source depends on, and what of it is remembered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.courses import HEADER, SPEC, Course
from tests.support.planning import TOOLS, Here

from clx.course.closure import MAX_DECK, Closures
from clx.course.source_files import SourceFiles
from clx.course.spec import load_spec
from clx.course.topics import CourseTopic, resolve_topics
from clx.errors import CourseError
from clx.jobtypes.notebook.deck_text import Asked, DeckText

TOPIC = "slides/module_1/topic_100_values"
DECK = f"{TOPIC}/slides_values.py"


class Counting(Here):
    """Reads decks in this process and notes which."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Asked] = []

    def read(self, asked: Asked) -> DeckText:
        self.asked.append(asked)
        return super().read(asked)


class Looked:
    """The closures of a course as it is now."""

    def __init__(self, course: Course, known: Any = None, tools: Any = None) -> None:
        spec = load_spec(course.root / "course.yaml")
        self.reader = Counting()
        files = SourceFiles(course.root, {})
        self.closures = Closures(spec, files, known or {}, tools or TOOLS["notebook"], self.reader)
        self.place: CourseTopic = resolve_topics(spec, files.bounds)[0]

    def sees(self, deck: str = DECK) -> list[str]:
        """What a deck can see when it runs: paths below its topic, or below the root."""
        found = self.closures.deck_closure(self.place, self.closures.info(deck))
        return sorted(path.removeprefix(f"{TOPIC}/") for path, _ in found)


@pytest.fixture
def values(course: Course) -> Course:
    course.deck("values", HEADER % ("Werte", "Values") + "# %%\nopen('data.csv')\n")
    course.spec("values")
    return course


# -- what a deck sees -------------------------------------------------------------------------------


def test_a_deck_sees_all_of_its_topic_but_other_decks_and_diagrams(values: Course) -> None:
    for name in ("data.csv", "deep/more.csv", "helper.py", "slides_other.py", "pu/a.pu", "b.drawio", "c.DRAWIO"):
        values.write(f"{TOPIC}/{name}", "# %%\n")
    assert Looked(values).sees() == ["data.csv", "deep/more.csv", "helper.py", "slides_values.py"]


@pytest.mark.parametrize("source", ["import slides_other", "open('slides_other.py')", "from slides_other import x"])
def test_a_deck_sees_a_neighbour_that_it_names(values: Course, source: str) -> None:
    values.write(f"{TOPIC}/slides_other.py", "# %%\n")
    values.deck("values", f"# %%\n{source}\n")
    assert Looked(values).sees() == ["slides_other.py", "slides_values.py"]


def test_a_deck_sees_a_diagram_source_that_it_names(values: Course) -> None:
    values.write(f"{TOPIC}/pu/a.pu", "x")
    values.deck("values", "# %%\nopen('pu/a.pu')\n")
    assert Looked(values).sees() == ["pu/a.pu", "slides_values.py"]


def test_a_deck_sees_the_templates_it_reads(values: Course) -> None:
    values.write("templates/mine.j2", "# %%\n# {% include 'inner.j2' %}\n")
    values.write("templates/inner.j2", "1")
    values.write("templates/unused.j2", "1")
    values.deck("values", "# j2 include 'mine.j2'\n")
    assert Looked(values).sees() == ["slides_values.py", "templates/inner.j2", "templates/mine.j2"]


@pytest.mark.parametrize(
    ("pattern", "seen"),
    [
        ("data/*.csv", ["data/a.csv"]),
        ("data/**/*", ["data/a.csv", "data/deep/b.txt"]),
        ("data/deep/b.txt", ["data/deep/b.txt"]),
    ],
)
def test_inputs_add_files_from_elsewhere_in_the_course(values: Course, pattern: str, seen: list[str]) -> None:
    values.write("data/a.csv", "1")
    values.write("data/deep/b.txt", "1")
    values.spec(f"{{id: values, inputs: ['{pattern}']}}")
    assert Looked(values).sees() == [*seen, "slides_values.py"]


def test_inputs_that_match_nothing_are_an_error_with_their_place(values: Course) -> None:
    values.spec("{id: values, inputs: ['data/*.csv']}")
    looked = Looked(values)
    with pytest.raises(CourseError, match=r'course\.yaml:6:9: the input "data/\*\.csv" matches no file below'):
        looked.sees()


def test_inputs_do_not_lead_out_of_the_course(values: Course, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("x")
    values.write("data/own.txt", "x")
    (values.root / "data/secret.txt").symlink_to(tmp_path / "secret.txt")
    values.spec("{id: values, inputs: ['data/*.txt']}")
    assert Looked(values).sees() == ["data/own.txt", "slides_values.py"]


def test_inputs_name_what_they_write_out_but_not_what_a_star_reaches(values: Course) -> None:
    for name in ("a.txt", "b.txt"):
        values.write(f"data/{name}", "1")
    values.spec("{id: values, inputs: ['**/*', 'data/a.txt']}")
    looked = Looked(values)
    assert looked.closures.named_inputs(looked.place) == {"data/a.txt"}


def test_the_deck_of_a_file_topic_sees_what_lies_beside_it_and_what_it_links(course: Course) -> None:
    deck = "slides/m/topic_100_one.py"
    course.write(deck, "# %% [markdown]\n# ![a](deep/a.png) [b](../../b.txt) [c](../../../out.txt)\n")
    for path in ("slides/m/data.csv", "slides/m/deep/a.png", "slides/m/deep/b.png", "b.txt", "../out.txt"):
        course.write(path, "1")
    course.spec("one")
    assert Looked(course).sees(deck) == ["b.txt", "slides/m/data.csv", "slides/m/deep/a.png", deck]


# -- what a deck says -------------------------------------------------------------------------------


def test_facts_are_the_titles_links_and_missing_pictures(values: Course) -> None:
    values.write(f"{TOPIC}/there.png", "1")
    text = "# %% [markdown]\n# ![a](there.png) ![b](./gone.png) [c](gone.txt) ![d](https://example.org/x.png)\n"
    values.deck("values", HEADER % ("Werte", "Values") + text)
    facts = Looked(values).closures.info(DECK)
    assert facts.titles == {"de": "Werte", "en": "Values"}
    assert facts.links == [f"{TOPIC}/there.png"]
    assert facts.missing == [f"{TOPIC}/gone.png"]
    assert set(facts.absent) == {
        f"{TOPIC}/gone.png",
        f"{TOPIC}/gone.txt",
        f"{TOPIC}/macros.j2",
        "templates/macros.j2",
    }


def test_what_would_be_dropped_of_a_marker_is_warned_of(values: Course) -> None:
    text = (
        HEADER % ("Werte", "Values") + '# %% [markdown] lang="fr"\n# Bonjour\n# %% lang="en-US" fold=1\n1\n'
        '# %% fold=2 lang="DE"\n2\n# %% [markdown] lang="fr"\n# Salut\n'
    )
    values.deck("values", text)
    assert Looked(values).closures.info(DECK).respelt == [
        f'{DECK}:4: cells with lang="fr" come out nowhere: the course is in de, en.',
        f'{DECK}:6: cells with lang="en-US" come out nowhere: did you mean lang="en"?',
        f"{DECK}:6: the attribute 'fold' of this cell means nothing to CLX.",
    ]


def test_cells_that_a_macro_writes_in_other_languages_are_nobodys_slip(values: Course) -> None:
    values.deck("values", HEADER % ("Werte", "Values") + "# %%\n1\n")
    values.write("course.yaml", (values.root / "course.yaml").read_text() + "languages: [en]\n")
    assert Looked(values).closures.info(DECK).respelt == []


def test_a_deck_is_read_as_a_page_only_unless_it_tells_formats_apart(values: Course) -> None:
    def variants() -> list[tuple[bool, bool]]:
        looked = Looked(values)
        looked.closures.info(DECK)
        return looked.reader.asked[0].variants

    html, notebook, code = (True, False), (False, True), (False, False)
    assert variants() == [html]
    values.deck("values", "# {% if is_notebook %}\n# %%\n1\n# {% endif %}\n")
    assert variants() == [html, notebook, code]
    values.deck("values", "# j2 include 'mine.j2'\n")
    values.write("templates/mine.j2", "# %%\n# {{ is_html }}\n")
    assert variants() == [html, notebook, code]


def test_all_mistakes_of_a_deck_come_in_the_order_of_its_lines(values: Course) -> None:
    values.deck("values", "# %% [markdown] tags=[\n# a\n\n# %% lang=\n1\n")
    with pytest.raises(CourseError) as caught:
        Looked(values).closures.info(DECK)
    told = str(caught.value)
    assert told.index(f"{DECK}:1: ") < told.index(f"{DECK}:4: ")


def test_more_than_twenty_mistakes_of_a_deck_are_counted(values: Course) -> None:
    values.deck("values", "# %% tags=[\n" * 33)
    with pytest.raises(CourseError) as caught:
        Looked(values).closures.info(DECK)
    assert caught.value.fact.endswith("14 more mistakes like these.")
    assert caught.value.next_step == "Correct these first."


def test_a_deck_that_is_too_large_is_not_read(values: Course) -> None:
    with (values.root / DECK).open("r+b") as stream:
        stream.truncate(MAX_DECK + 1)
    looked = Looked(values)
    with pytest.raises(CourseError, match="the deck has 20 MiB; 20 MiB are allowed"):
        looked.closures.info(DECK)
    assert looked.reader.asked == []


# -- what is remembered -----------------------------------------------------------------------------


def is_read_again(course: Course, known: Any, **options: Any) -> bool:
    looked = Looked(course, known, **options)
    looked.closures.info(DECK)
    return bool(looked.reader.asked)


@pytest.fixture
def known(values: Course) -> Any:
    looked = Looked(values)
    looked.closures.info(DECK)
    looked.closures.info(DECK)
    assert len(looked.reader.asked) == 1
    return looked.closures.learned


def test_an_unchanged_deck_is_not_read_again_and_says_the_same(values: Course, known: Any) -> None:
    looked = Looked(values, known)
    assert looked.closures.info(DECK) == Looked(values).closures.info(DECK)
    assert looked.reader.asked == []
    assert looked.closures.learned == {}


@pytest.mark.parametrize(
    ("path", "text", "again"),
    [
        (DECK, "# %%\n2\n", True),
        ("templates/macros.j2", "{% macro header(a, b) %}{% endmacro %}", True),  # is read in place of CLX's own
        (f"{TOPIC}/macros.j2", "{% macro header(a, b) %}{% endmacro %}", True),
        ("templates/other.j2", "", False),
        (f"{TOPIC}/data.csv", "2", False),
        ("course.yaml", SPEC % "      - values" + "variables: {x: 1}\n", True),
        ("course.yaml", SPEC % "      - values" + "evaluate: false\n", False),
    ],
)
def test_a_deck_is_read_again_when_something_it_is_made_from_changed(
    values: Course, known: Any, path: str, text: str, again: bool
) -> None:
    values.write(path, text)
    assert is_read_again(values, known) is again


def test_a_deck_is_read_again_by_other_tools(values: Course, known: Any) -> None:
    assert is_read_again(values, known, tools={"clx": "another"})
    assert not is_read_again(values, known, tools=TOOLS["notebook"])


def test_a_picture_that_appears_is_looked_for_again(values: Course) -> None:
    values.deck("values", "# %% [markdown]\n# ![x](a.png)\n")
    looked = Looked(values)
    looked.closures.info(DECK)
    assert not is_read_again(values, looked.closures.learned)
    values.write(f"{TOPIC}/a.png", "1")
    assert is_read_again(values, looked.closures.learned)


# -- diagrams ---------------------------------------------------------------------------------------


def test_a_diagram_depends_on_what_it_includes_and_is_remembered(values: Course) -> None:
    source = f"{TOPIC}/pu/a.pu"
    values.write(source, "@startuml\n!include ../style.puml\n@enduml\n")
    values.write(f"{TOPIC}/style.puml", "hide empty members\n")
    looked = Looked(values)
    found = looked.closures.diagram_closure(source, "plantuml")
    assert [path for path, _ in found] == [source, f"{TOPIC}/style.puml"]
    again = Looked(values, looked.closures.learned)
    assert again.closures.diagram_closure(source, "plantuml") == found
    assert again.closures.learned == {}
    values.write(f"{TOPIC}/style.puml", "!include more.puml\n")
    values.write(f"{TOPIC}/more.puml", "\n")
    third = Looked(values, looked.closures.learned).closures.diagram_closure(source, "plantuml")
    assert {path for path, _ in third} == {source, f"{TOPIC}/style.puml", f"{TOPIC}/more.puml"}


def test_a_drawing_depends_on_itself_alone(values: Course) -> None:
    source = f"{TOPIC}/a.drawio"
    values.write(source, "!include style.puml\n")
    values.write(f"{TOPIC}/style.puml", "x")
    looked = Looked(values)
    assert [path for path, _ in looked.closures.diagram_closure(source, "drawio")] == [source]
    assert looked.closures.learned == {}


def test_a_source_that_is_gone_meanwhile_says_so(values: Course) -> None:
    with pytest.raises(CourseError, match=r"gone\.drawio is gone"):
        Looked(values).closures.diagram_closure("gone.drawio", "drawio")


# -- hidden cells -----------------------------------------------------------------------------------


def test_decks_whose_hidden_cells_say_something_new_are_told(values: Course) -> None:
    hidden = '# %%\n1\n\n# %% tags=["private"]\npassword = "Zebra"\n'
    values.deck("values", hidden)
    first = Looked(values)
    first.closures.info(DECK)
    assert first.closures.newly_hidden() == [DECK]
    known = first.closures.learned

    def told(text: str) -> list[str]:
        values.deck("values", text)
        looked = Looked(values, known)
        looked.closures.info(DECK)
        return looked.closures.newly_hidden()

    assert told(hidden) == []
    assert told(hidden.replace("# %%\n1", "# %%\n2")) == []
    assert told(hidden.replace("Zebra", "Giraffe")) == [DECK]
    assert told("# %%\n1\n") == []
