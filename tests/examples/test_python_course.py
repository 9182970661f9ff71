"""The example course keeps what its README promises: complete, bilingual, every tag, every picture."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from clx.course.spec import load_spec
from clx.course.symlinks import Bounds
from clx.course.topics import resolve_topics
from clx.jobtypes.notebook.cells import Cell, read_cells
from clx.jobtypes.notebook.deck import deck_language
from clx.jobtypes.notebook.expand import Expanded, expand
from clx.jobtypes.notebook.markers import KNOWN_TAGS

COURSE = Path(__file__).parents[2] / "examples" / "python-course"
TOPIC_DATA = COURSE / "slides" / "module_300_data" / "topic_300_bicycle_data"
DECKS = sorted(
    path.relative_to(COURSE).as_posix()
    for pattern in ("slides/*/topic_*/slides_*", "slides/*/topic_*.py")
    for path in COURSE.glob(pattern)
)
LINK = re.compile(r'<img src="([^"]+)" alt="[^"]{10,}"')
IMAGE = re.compile(r"<img\b")


def expanded(deck: str, lang: str) -> Expanded:
    spec = load_spec(COURSE / "course.yaml")
    variables = {**spec.variables, "author": "Nobody"}
    return expand(
        PurePosixPath(deck),
        COURSE,
        lang=lang,
        is_html=False,
        is_notebook=True,
        variables=variables,
        prog_lang="python",
    )


def cells_of(deck: str, lang: str) -> list[Cell]:
    return read_cells(expanded(deck, lang).text, deck_language(deck, "python"), is_markdown=deck.endswith(".md"))


def pictures_beside(deck: str) -> set[str]:
    """The pictures a build puts beside a deck: committed ones and those of the topic's diagrams."""
    topic = COURSE / PurePosixPath(deck).parent
    if not topic.name.startswith("topic_"):  # a file topic has none of its own
        return set()
    names = {path.relative_to(topic).as_posix() for path in topic.glob("img/*.png")}
    for source, mark in (("*.pu", "@startuml"), ("*.drawio", "<diagram "), ("*.dot", "graph {")):
        for path in topic.rglob(source):
            pages = path.read_text(encoding="utf-8").count(mark)
            names |= {f"img/{path.stem}{'' if page == 1 else f'-{page}'}.png" for page in range(1, pages + 1)}
    return names


def test_course_names_every_topic_once() -> None:
    topics = resolve_topics(load_spec(COURSE / "course.yaml"), Bounds(COURSE))
    named = [each.topic.path for each in topics]
    on_disk = sorted(path.relative_to(COURSE).as_posix() for path in COURSE.glob("slides/*/topic_*"))
    assert sorted(named) == on_disk
    assert len(DECKS) == 15


@pytest.mark.parametrize("deck", DECKS)
def test_both_languages_say_the_same_amount(deck: str) -> None:
    cells = cells_of(deck, "en")
    shapes = {
        lang: [
            (cell.kind, cell.tags, cell.source.count("\n| "), cell.source.count("$$"), cell.source.count("`"))
            for cell in cells
            if cell.lang == lang
        ]
        for lang in ("de", "en")
    }
    assert shapes["de"] == shapes["en"]
    assert shapes["de"]
    assert [cell for cell in cells if cell.kind == "markdown" and cell.lang is None] == []


@pytest.mark.parametrize("deck", DECKS)
def test_titles_differ_by_language(deck: str) -> None:
    german, english = expanded(deck, "de").title, expanded(deck, "en").title
    assert german
    assert english
    assert german != english


@pytest.mark.parametrize("deck", DECKS)
def test_pictures_exist_and_are_described(deck: str) -> None:
    text = expanded(deck, "en").text
    linked = LINK.findall(text)
    assert len(linked) == len(IMAGE.findall(text)), "a picture without an alternative text"
    assert set(linked) <= pictures_beside(deck)


def test_no_diagram_is_forgotten() -> None:
    shown = {(PurePosixPath(deck).parent, name) for deck in DECKS for name in LINK.findall(cells_text(deck))}
    made = {(PurePosixPath(deck).parent, name) for deck in DECKS for name in pictures_beside(deck)}
    assert made == shown


def cells_text(deck: str) -> str:
    return "\n".join(cell.source for cell in cells_of(deck, "en"))


def test_every_tag_is_used_and_none_is_unknown() -> None:
    used = {tag for deck in DECKS for cell in cells_of(deck, "en") for tag in cell.tags}
    others = {"raises-exception", "skip-execution", "collapse"}
    assert used >= {tag for tag in KNOWN_TAGS - others if not tag.startswith(("hide-", "remove-"))}
    assert used <= KNOWN_TAGS


def test_data_is_what_the_documented_cell_makes(tmp_path: Path) -> None:
    deck = (TOPIC_DATA / "slides_1_files.py").relative_to(COURSE).as_posix()
    [maker] = [cell for cell in cells_of(deck, "en") if "del" in cell.tags]
    (tmp_path / "data").mkdir()
    program = f"from pathlib import Path\n{maker.source}"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=120)
    made = (tmp_path / "data" / "counts.csv").read_bytes()
    assert made == (TOPIC_DATA / "data" / "counts.csv").read_bytes()


def test_workshop_tests_are_red_for_the_skeleton_and_green_for_the_solution(tmp_path: Path) -> None:
    workshop = COURSE / "div" / "workshops" / "bicycle_report"
    (tmp_path / "data").mkdir()
    for name in ("test_report.py", "data/counts_week.csv"):
        (tmp_path / name).write_bytes((workshop / name).read_bytes())
    results = []
    for source in (workshop, COURSE / "div" / "solutions" / "bicycle_report"):
        (tmp_path / "report.py").write_bytes((source / "report.py").read_bytes())
        command = [sys.executable, "-B", "-m", "unittest"]
        results.append(subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120))
    assert "errors=8" in results[0].stderr
    assert results[1].returncode == 0, results[1].stderr
