"""A page shown as slides, in a real browser: keys, fingers, the speaker's window, paper."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.jobtypes.notebook.test_page import page
from tests.support.pages import Mode, Reader, reader
from tests.support.tools import require

from clx.jobtypes.browser import Browser, BrowserDiedError
from clx.settings.schema import Settings
from clx.tools.finding import locate

TALK = """
# %% [markdown] tags=["slide"]
# # The Talk

# %% [markdown] tags=["slide"]
# ## Two things
#
# First.

# %% [markdown] tags=["fragment"]
# Second, after a key.

# %% [markdown] tags=["notes"]
# Breathe.

# %% [markdown] tags=["subslide", "incremental"]
# ## A list
#
# - one
# - two

# %% tags=["slide", "private"]
answer = 42

# %% [markdown] tags=["slide"]
# ## Code

# %% tags=["keep"]
long_names = {"of things": [name_of_thing for name_of_thing in things], "and their": number_of_things}
"""
TALL = '# %% [markdown] tags=["slide"]\n# # Tall\n#\n' + "".join(f"# Paragraph {n}.\n#\n" for n in range(60))
UNTAGGED = """
# %% [markdown]
# # Without tags
#
# Text.
#
# ## First
#
# One.

# %% tags=["keep"]
1 + 1

# %% [markdown]
# ## Second
#
# Two.
"""
SHOWN = "[...document.querySelectorAll('section.now')].map(each => each.innerText).join()"
AT = "document.querySelector('.deck .place').textContent"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Reader]]:
    root = tmp_path_factory.mktemp("pages")
    with reader(root) as browser:
        yield root, browser


def _open(
    shown: tuple[Path, Reader],
    deck: str = TALK,
    *,
    kind: str = "completed",
    lang: str = "en",
    at: str = "#/1",
    **how: Any,
) -> Reader:
    root, browser = shown
    html, _ = page(deck, kind=kind, lang=lang)
    (root / "talk.html").write_text(html, "utf-8")
    browser.open(f"talk.html{at}", **{"width": 1280, "height": 720, **how})
    return browser


def _press(browser: Reader, *keys: str) -> None:
    for key in keys:
        browser.press(key)


@pytest.mark.slow
def test_keys_of_keyboards_and_remote_controls(shown: tuple[Path, Reader]) -> None:
    browser = _open(shown)
    assert "The Talk" in browser.value(SHOWN)
    assert browser.value(AT) == "1 / 4"
    for key, place in [
        ("ArrowRight", "2 / 4"),
        ("PageUp", "1 / 4"),
        ("PageDown", "2 / 4"),
        ("Home", "1 / 4"),
        ("End", "4 / 4"),
        ("ArrowLeft", "3 / 4"),
    ]:
        browser.press(key)
        assert browser.value(AT) == place, key
    _press(browser, "2", "Enter")
    assert browser.value(AT) == "2 / 4"
    assert browser.value("location.hash") == "#/2"
    _press(browser, "9", "9", "Enter")
    assert browser.value(AT) == "4 / 4"


@pytest.mark.slow
def test_fragments_come_one_by_one_and_go_again(shown: tuple[Path, Reader]) -> None:
    browser = _open(shown, at="#/2")
    fragments = "[...document.querySelectorAll('section.now .fragment')]"
    seen = f"{fragments}.filter(each => each.checkVisibility({{visibilityProperty: true}})).length"
    found = []
    for key in (" ", " ", " ", " ", " ", "ArrowLeft"):
        found.append((browser.value(AT), browser.value(seen)))
        browser.press(key)
    assert found == [("2 / 4", 0), ("2 / 4", 1), ("3 / 4", 0), ("3 / 4", 1), ("3 / 4", 2), ("4 / 4", 0)]
    assert (browser.value(AT), browser.value(seen)) == ("3 / 4", 2)


@pytest.mark.slow
def test_overview_black_help_and_back_to_the_page(shown: tuple[Path, Reader]) -> None:
    browser = _open(shown, at="#/2")
    browser.press("o")
    assert browser.value("[...document.querySelectorAll('section')].filter(e => e.checkVisibility()).length") == 4
    browser.press("ArrowRight")
    browser.press("ArrowRight")
    browser.press("Enter")
    assert browser.value(AT) == "3 / 4"
    assert browser.value("[...document.querySelectorAll('section')].filter(e => e.checkVisibility()).length") == 1
    black = "document.querySelector('.deck .black').checkVisibility()"
    browser.press("b")
    assert browser.value(black)
    browser.press(".")
    assert not browser.value(black)
    help_ = "document.querySelector('.deck .help').checkVisibility()"
    browser.press("?")
    assert browser.value(help_)
    browser.press("Escape")
    assert not browser.value(help_)
    browser.press("x")
    assert browser.value("document.documentElement.dataset.view") == "page"
    assert browser.value("location.hash") == ""
    assert browser.value("document.querySelector('header').checkVisibility()")


@pytest.mark.slow
def test_the_button_begins_where_the_reader_is_and_a_new_load_stays(shown: tuple[Path, Reader]) -> None:
    browser = _open(shown, at="")
    assert browser.value("document.documentElement.dataset.view") == "page"
    browser.value(
        "document.querySelectorAll('section')[1].scrollIntoView(); document.querySelector('.present').click(); 0"
    )
    browser.press("ArrowRight")
    place, hash_ = browser.value(AT), browser.value("location.hash")
    assert place != "1 / 4"
    browser.call("Page.reload")
    browser.page.evaluate("new Promise(ok => setTimeout(ok, 300))", time.monotonic() + 20)
    assert (browser.value(AT), browser.value("location.hash")) == (place, hash_)


@pytest.mark.slow
def test_fingers(shown: tuple[Path, Reader]) -> None:
    browser = _open(shown)

    def swipe(start: int, end: int) -> None:
        browser.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": start, "y": 300}])
        browser.call("Input.dispatchTouchEvent", type="touchMove", touchPoints=[{"x": end, "y": 305}])
        browser.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    swipe(900, 300)
    assert browser.value(AT) == "2 / 4"
    swipe(300, 900)
    assert browser.value(AT) == "1 / 4"


@pytest.mark.slow
def test_where_text_runs_to_the_left_so_do_slides(shown: tuple[Path, Reader]) -> None:
    browser = _open(shown, lang="ar")
    browser.press("ArrowLeft")
    assert browser.value(AT) == "2 / 4"
    browser.press("ArrowRight")
    assert browser.value(AT) == "1 / 4"
    browser.press("PageDown")
    assert browser.value(AT) == "2 / 4"


@pytest.mark.slow
def test_a_slide_that_is_too_high_becomes_smaller_and_scrolls(shown: tuple[Path, Reader]) -> None:
    browser = _open(shown, TALL + '\n# %% [markdown] tags=["slide"]\n# ## Next\n')
    now = "document.querySelector('section.now')"
    assert float(browser.value(f"{now}.style.getPropertyValue('--fit')")) < 0.7
    assert browser.value(f"{now}.scrollHeight > {now}.clientHeight")
    browser.press("ArrowDown")
    assert browser.value(AT) == "1 / 2"
    assert browser.value(f"{now}.scrollTop") > 100
    for _ in range(40):
        browser.press("ArrowDown")
    assert browser.value(AT) == "2 / 2"


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1920, 1080), (1024, 768)])
def test_text_is_large_and_long_lines_of_code_fit(shown: tuple[Path, Reader], width: int, height: int) -> None:
    browser = _open(shown, at="#/2", width=width, height=height)
    size = "parseFloat(getComputedStyle(document.querySelector('section.now p')).fontSize)"
    assert browser.value(size) >= 28 * min(width / 1280, height / 720) * 0.99
    browser.press("End")
    assert browser.value("(p => p.scrollWidth <= p.clientWidth + 1)(document.querySelector('section.now pre'))")


@pytest.mark.slow
def test_a_deck_without_tags_is_split_at_its_headings(shown: tuple[Path, Reader]) -> None:
    browser = _open(shown, UNTAGGED)
    found = []
    for _ in range(3):
        found.append(" ".join(browser.value(SHOWN).split()))
        browser.press("ArrowRight")
    assert browser.value(AT) == "3 / 3"
    assert [text.split("\u2002")[0][:12] for text in found] == ["Without tags", "First One. [", "Second Two."]


@pytest.mark.slow
def test_what_only_the_speaker_knows_is_not_on_the_wall(shown: tuple[Path, Reader]) -> None:
    browser = _open(shown, kind="speaker", at="#/2")
    assert browser.value(AT).endswith("/ 4")  # a slide of a private cell alone is none
    every = []
    for _ in range(8):
        every.append(browser.value(SHOWN))
        browser.press("ArrowRight")
    assert "Breathe" not in "".join(every)
    assert "42" not in "".join(every)
    browser = _open(shown, kind="speaker", at="?speaker#/2")
    assert "Breathe." in browser.value("document.querySelector('.deck .said').innerText")
    browser.press("End")
    browser.press("ArrowLeft")
    assert "42" in browser.value("document.querySelector('.deck .said').innerText")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("at", ["#/2", "?speaker#/2"])
def test_no_reader_is_shut_out(shown: tuple[Path, Reader], mode: Mode, at: str) -> None:
    browser = _open(shown, kind="speaker", at=at, mode=mode)
    assert browser.barriers() == []
    browser.press("o")
    assert browser.barriers() == []
    browser.press("?")
    assert browser.barriers() == []


@pytest.mark.slow
def test_one_slide_is_one_sheet(shown: tuple[Path, Reader]) -> None:
    browser = _open(shown, TALK, at="#/3")
    pdf = _printed(browser)
    sizes = re.findall(rb"/MediaBox \[([^\]]*)\]", pdf)
    assert [tuple(map(float, size.split()[2:])) for size in sizes] == [(960.0, 540.0)] * 4
    browser = _open(shown, TALK, at="")
    pdf = _printed(browser)
    assert b"960" not in b"".join(re.findall(rb"/MediaBox \[([^\]]*)\]", pdf))


def _printed(browser: Reader) -> bytes:
    browser.call("Emulation.setEmulatedMedia", media="")
    printed = browser.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
    return base64.b64decode(printed["data"])


@pytest.mark.slow
def test_two_windows_of_one_file_go_together(tmp_path: Path) -> None:
    require("browser")
    found = locate("browser", Settings())
    assert found is not None
    html, _ = page(TALK, kind="speaker")
    (tmp_path / "The Talk.html").write_text(html, "utf-8")
    browser = Browser(found.path, None, lambda _message: None)
    try:
        address = f"{(tmp_path / 'The Talk.html').as_uri()}#/1"
        wall = _attached(browser, browser.call("Target.createTarget", {"url": address})["targetId"])
        _until(browser, wall, f"{AT} === '1 / 4'")
        _key(browser, wall, "s")
        window = _attached(browser, _popup(browser))
        _until(browser, window, f"{AT} === '1 / 4'")
        _key(browser, window, "ArrowRight")
        _until(browser, wall, f"{AT} === '2 / 4'")
        _key(browser, wall, "ArrowRight")
        _until(browser, window, "document.querySelectorAll('section.now .fragment.shown').length === 1")
        browser.call("Page.reload", session=wall)
        _until(browser, wall, f"{AT} === '2 / 4'")
        _until(browser, window, "document.querySelectorAll('section.now .fragment.shown').length === 0")
        _key(browser, window, "End")
        _until(browser, wall, f"{AT} === '4 / 4'")
    finally:
        browser.kill()


def _attached(browser: Browser, target: str) -> str:
    session = browser.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
    return str(session)


def _popup(browser: Browser) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for each in browser.call("Target.getTargets")["targetInfos"]:
            if "?speaker" in each["url"]:
                return str(each["targetId"])
    raise AssertionError("no window was opened")


def _key(browser: Browser, session: str, key: str) -> None:
    text = {"text": key} if len(key) == 1 else {}
    for type_, more in (("keyDown", text), ("keyUp", {})):
        browser.call("Input.dispatchKeyEvent", {"type": type_, "key": key, **more}, session=session)


def _until(browser: Browser, session: str, condition: str) -> None:
    test = f"(() => {{ try {{ return {condition} }} catch {{ return false }} }})()"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if browser.evaluate(test, session=session, timeout=30):
                return
        except BrowserDiedError:  # what it was asked in made way for the page that is loaded
            continue
    raise AssertionError(condition)
