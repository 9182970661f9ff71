"""Pages of the example course, built and opened in a real browser: nothing shuts a reader out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.support.courses import Course
from tests.support.pages import Mode, Reader, reader
from tests.support.tools import require

EXAMPLE = Path(__file__).parents[2] / "examples" / "python-course"
PAGES = (
    "public/En/Practical Python/Slides/Html/Code-Along/Foundations/02 Values and Names.html",
    "public/En/Practical Python/Slides/Html/Completed/Foundations/01 Welcome.html",
    "public/En/Practical Python/Slides/Html/Completed/Structuring Programs/02 Iterators and Generators.html",
    "public/En/Practical Python/Slides/Html/Completed/Working with Data/02 Tables with pandas.html",
    "public/En/Practical Python/Slides/Html/Completed/Working with Data/03 Plotting Data.html",
    "speaker/En/Practical Python/Slides/Html/Speaker/Structuring Programs/01 Classes.html",
    "speaker/En/Practical Python/Slides/Html/Speaker/Working with Data/05 Project the Weekly Report.html",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Reader]]:
    """The English pages of the example course, and a browser that shows them."""
    require("browser")
    course = Course(tmp_path_factory.mktemp("example") / "course")
    shutil.copytree(EXAMPLE, course.root, ignore=shutil.ignore_patterns("output", ".clx"))
    course.build("--language", "en", "--format", "html")
    with reader(course.output) as browser:
        yield course.output, browser


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES, ids=[path.rpartition("/")[2] for path in PAGES])
def test_no_reader_is_shut_out(built: tuple[Path, Reader], page: str, mode: Mode) -> None:
    root, browser = built
    assert (root / page).is_file()
    browser.open(quote(page), mode=mode)
    assert browser.barriers() == []


def test_the_example_shows_a_figure_of_plotly_and_a_graph(built: tuple[Path, Reader]) -> None:
    _, browser = built
    browser.open(quote(PAGES[4]))
    drawn = """new Promise(ok => { const look = () => document.querySelector('.figure[data-library=plotly] svg.main-svg')
      ? ok(true) : requestAnimationFrame(look); look(); })"""
    assert browser.value(drawn)
    browser.open(quote("public/En/Practical Python/Slides/Html/Completed/Structuring Programs/03 Handling Errors.html"))
    assert browser.value("document.querySelector('img[src=\"img/exception_tree.png\"]').naturalWidth") > 200


def test_the_example_shows_theme_box_and_diagram(built: tuple[Path, Reader]) -> None:
    _, browser = built
    browser.open(quote(PAGES[2]))
    assert browser.value("getComputedStyle(document.querySelector('a')).color") == "rgb(10, 101, 90)"
    assert browser.value("document.querySelector('header .logo').naturalWidth") > 20
    assert browser.value("document.querySelector('.callout.tip').textContent").startswith("\nTip\n")
    assert browser.value("document.querySelector('.mermaid img.light').naturalWidth") > 200


@pytest.mark.parametrize("page", [PAGES[-1], "public/En/Practical Python/Slides/Html/Completed/index.html"])
def test_the_head_of_a_page_takes_two_lines_of_a_phone(built: tuple[Path, Reader], page: str) -> None:
    _, browser = built
    browser.open(quote(page), width=390)
    tops = """[...document.querySelectorAll('header :is(.crumbs, .kind, .mode, .find, .present, .controls a)')]
      .map(e => e.getBoundingClientRect()).filter(box => box.width).map(box => box.top + box.height / 2)"""
    places = sorted(browser.value(tops))
    lines = 1 + sum(below - above > 12 for above, below in zip(places, places[1:], strict=False))
    assert (len(places) > 3, lines) == (True, 2)
    assert browser.value("document.querySelector('header').getBoundingClientRect().height") < 110


def test_the_speaker_sees_which_cells_are_private(built: tuple[Path, Reader]) -> None:
    _, browser = built
    browser.open(quote(PAGES[-1]))
    edge = "e => parseFloat(getComputedStyle(e).borderInlineStartWidth)"
    assert browser.value(f"[...document.querySelectorAll('main .private')].map({edge})") == [3]


def test_diagrams_in_texts_are_larger_on_slides(built: tuple[Path, Reader]) -> None:
    _, browser = built
    widths = []
    for place in ("", "#/5"):
        browser.open(quote(PAGES[2]) + place, height=720)
        # what a slide is made smaller by, to fit, is no matter of the diagram
        width = "(e => e.offsetWidth)(document.querySelector('.mermaid img.light'))"
        widths.append(browser.value(width))
    assert widths[1] > 1.2 * widths[0]
