"""A built course in a real browser: by keyboard from page to page, searched, printed, without its index."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from tests.support.courses import HEADER, Course
from tests.support.pages import ORIGIN, Mode, Reader, reader
from tests.support.scene import until

LOOPS = (
    HEADER % ("Schleifen", "Loops & more")
    + """# %% [markdown] tags=["slide"]
# ## Über das Zählen
#
# Straße, naïve café; 数を数える。
#
# ## Again
#
# Round and round.

# %% tags=["keep"]
for apple in range(3):
    print(apple * 1111)

# %% [markdown] tags=["notes"]
# Tell them about the zebra.

# %% tags=["private"]
password = "Zebra of the trainer"
"""
)
NAMES = HEADER % ("Namen", "Names") + "# %% [markdown]\n# ## Naming\n#\n# An apple has a name.\n\n# %%\n1 + 1\n"
SPEC = """name: {de: Mein Kurs, en: My Course}
prog_lang: python
description: {de: Worum es geht, en: What it is about}
sections:
  - {name: {de: Woche 1, en: Week 1}, topics: [loops, names]}
  - {name: {de: Woche 2, en: Week 2}, topics: [more]}
"""
HOME = "public/En/My Course/Slides/Html/Completed"
FIRST, SECOND, THIRD = "Week 1/01 Loops _ more.html", "Week 1/02 Names.html", "Week 2/01 Last.html"


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    course = Course(tmp_path_factory.mktemp("built") / "course")
    course.deck("loops", LOOPS)
    course.deck("names", NAMES)
    course.deck("more", HEADER % ("Letztes", "Last") + "# %% [markdown]\n# ## The end\n")
    course.write("course.yaml", SPEC)
    course.build()
    return course.output


@pytest.fixture(scope="module")
def browser(output: Path) -> Iterator[Reader]:
    with reader(output) as browser:
        yield browser


@pytest.fixture
def show(browser: Reader) -> Callable[..., None]:
    def show(page: str, *, home: str = HOME, mode: Mode = "light", width: int = 1280, media: str = "screen") -> None:
        browser.open(quote(f"{home}/{page}"), mode=mode, width=width, media=media)

    return show


def is_at(browser: Reader, page: str, fragment: str = "") -> bool:
    """Whether the browser shows a page, loaded to its end."""
    address, state = browser.value("[location.href, document.readyState]")
    return bool(state == "complete" and unquote(address) == f"{ORIGIN}/{HOME}/{page}{fragment}")


def hits(browser: Reader, query: str) -> list[str]:
    """What the search shows for a query, each as deck, heading and snippet."""
    browser.value("document.querySelector('.find input').value = ''; 0")
    browser.press("/")
    browser.call("Input.insertText", text=query)
    shown = "[...document.querySelectorAll('.find .hits:not([hidden])')].length"
    until(lambda: browser.value(shown) == 1)
    found: list[str] = browser.value("[...document.querySelectorAll('ul.hits:not([hidden]) li')].map(e => e.innerText)")
    return [each.replace("\n", " | ") for each in found]


def test_the_keyboard_leads_through_the_course(browser: Reader, show: Callable[..., None]) -> None:
    show("index.html")
    browser.value("document.querySelector('.decks a').focus(); 0")
    browser.press("Enter")
    until(lambda: is_at(browser, FIRST))
    assert browser.value("document.querySelector('.way').innerText").split("\n") == ["Next", "02 Names"]
    assert browser.value("document.querySelector('link[rel=next]').href.endsWith('02%20Names.html')")
    browser.press("n")
    until(lambda: is_at(browser, SECOND))
    browser.press("n")
    until(lambda: is_at(browser, THIRD))
    assert browser.value("document.querySelector('.way').innerText").split("\n") == ["Previous", "02 Names"]
    browser.press("n")
    browser.press("p")
    until(lambda: is_at(browser, SECOND))
    browser.press("h")
    until(lambda: is_at(browser, "index.html"))


def test_keys_belong_to_slides_while_they_are_shown(browser: Reader, show: Callable[..., None]) -> None:
    show(FIRST)
    browser.value("document.querySelector('.present').click(); 0")
    browser.press("n")
    browser.press("h")
    browser.press("/")
    assert is_at(browser, FIRST, browser.value("location.hash"))
    assert browser.value("document.activeElement.tagName") != "INPUT"
    assert browser.value("getComputedStyle(document.querySelector('.way')).display") == "none"


def test_search_finds_headings_text_and_code_and_leads_there(browser: Reader, show: Callable[..., None]) -> None:
    show(SECOND)
    found = hits(browser, "apple")
    assert [each.partition(" | ")[0] for each in found] == ["01 Loops & more › Again", "02 Names › Naming"]
    assert "for apple in range(3)" in found[0]
    browser.press("ArrowDown")
    assert browser.value("document.querySelector('[aria-selected=true]').innerText").startswith("02 Names")
    browser.press("ArrowUp")
    browser.press("Enter")
    until(lambda: is_at(browser, FIRST, "#again"))


@pytest.mark.parametrize(
    ("query", "heading"),
    [
        ("UBER zahlen", "Über das Zählen"),
        ("ueber", "Über das Zählen"),
        ("strasse", "Über das Zählen"),
        ("naive cafe", "Über das Zählen"),
        ("数える", "Über das Zählen"),
        ("und and rou", "Again"),
    ],
)
def test_search_takes_words_as_people_write_them(
    browser: Reader, show: Callable[..., None], query: str, heading: str
) -> None:
    show("index.html")
    assert hits(browser, query)[0].startswith(f"01 Loops & more › {heading}")


def test_the_title_of_a_deck_counts_most(browser: Reader, show: Callable[..., None]) -> None:
    show("index.html")
    assert [each.partition(" | ")[0] for each in hits(browser, "loops more")] == ["01 Loops & more"]


def test_what_is_not_there_is_said_and_escape_leaves(browser: Reader, show: Callable[..., None]) -> None:
    show(FIRST)
    assert hits(browser, "1111 outputs") == []
    assert browser.value("document.querySelector('.say').innerText") == "Nothing found."
    browser.press("Escape")
    assert browser.value("document.querySelector('.say').hidden")
    assert browser.value("document.activeElement.tagName") == "INPUT"
    browser.press("Escape")
    assert browser.value("document.activeElement.tagName") == "BODY"


def test_what_is_private_stands_in_no_public_file_and_in_the_speakers_search(output: Path) -> None:
    public = [path for path in (output / "public").rglob("*") if path.is_file()]
    assert len(public) > 20
    assert not [path for path in public if b"ebra" in path.read_bytes()]
    speaker = output / "speaker/En/My Course/Slides/Html/Speaker/search.js"
    assert "about the zebra" in speaker.read_text()


def test_the_index_tells_a_reader_what_is_new(browser: Reader, show: Callable[..., None]) -> None:
    news = "[...document.querySelectorAll('.news')].map(e => e.parentElement.innerText)"
    show("index.html")
    browser.value("localStorage.clear(); 0")
    show("index.html")
    assert browser.value(news) == []
    forget = (
        "const key = Object.keys(localStorage).find(k => k.startsWith('clx course'));"
        "const seen = JSON.parse(localStorage[key]), names = Object.keys(seen);"
        "seen[names[0]] = 'before'; delete seen[names[1]];"
        "localStorage[key] = JSON.stringify(seen); 0"
    )
    browser.value(forget)
    show("index.html")
    assert browser.value(news) == ["Loops & more changed", "Names new"]
    show(FIRST)
    show("index.html")
    assert browser.value(news) == ["Names new"]


def test_a_page_that_is_handed_out_alone_is_as_it_was(browser: Reader, output: Path) -> None:
    alone = output / "alone/deck/page.html"
    alone.parent.mkdir(parents=True)
    alone.write_bytes((output / HOME / SECOND).read_bytes())
    browser.open("alone/deck/page.html")
    assert browser.value("document.querySelector('.find, .way')") is None
    assert browser.value("document.querySelector('.crumbs a').hasAttribute('href')") is False
    assert browser.value("document.querySelector('main').innerText.includes('An apple')")


def test_without_scripts_the_index_is_reached(output: Path) -> None:
    assert '<a href="../index.html" rel="up">My Course</a>' in (output / HOME / SECOND).read_text()
    assert '<a href="Week%201/02%20Names.html">Names</a>' in (output / HOME / "index.html").read_text()


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize(
    ("home", "page"),
    [
        (HOME, "index.html"),
        (HOME, FIRST),
        ("public", "index.html"),
        ("speaker/De/Mein Kurs/Folien/Html/Speaker", "index.html"),
        ("speaker/De/Mein Kurs/Folien/Html/Speaker", "sitemap.html"),
    ],
)
def test_nothing_shuts_readers_out(
    browser: Reader, show: Callable[..., None], home: str, page: str, mode: Mode
) -> None:
    for width in (1280, 390):
        show(page, home=home, mode=mode, width=width)
        wide = "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
        assert (
            browser.value(f"document.documentElement.scrollWidth > innerWidth ? {wide}.map(e => e.outerHTML) : []")
            == []
        )
        assert browser.barriers() == []
    if browser.value("document.querySelector('.find') !== null"):
        hits(browser, "a")
        assert browser.barriers() == []


def test_paper_shows_the_decks_and_no_box(browser: Reader, show: Callable[..., None]) -> None:
    show("index.html", media="print")
    seen = "e => getComputedStyle(e).display !== 'none'"
    assert browser.value(f"[...document.querySelectorAll('.find, .editions, .formats')].some({seen})") is False
    assert browser.value(f"[...document.querySelectorAll('.decks li')].every({seen})")


def test_it_works_from_a_directory(browser: Reader, output: Path) -> None:
    """Without a server: classic scripts are loaded from files as well."""
    browser.open("nothing")
    browser.call("Fetch.disable")
    try:
        page = (output / HOME / FIRST).as_uri()
        browser.call("Page.navigate", url=page)
        until(lambda: browser.value("location.protocol + document.readyState") == "file:complete")
        assert len(hits(browser, "apple")) == 2
        browser.press("Escape")
        browser.press("Escape")
        browser.press("n")
        until(lambda: browser.value("location.pathname").endswith("02%20Names.html"))
    finally:
        browser.call("Fetch.enable", patterns=[{"urlPattern": "*"}])
