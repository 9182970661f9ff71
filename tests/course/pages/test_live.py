"""``clx build --watch --serve`` and a real browser: an edit is on the page without a key pressed."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from urllib.parse import quote

import pytest
from tests.support.courses import Course
from tests.support.pages import Reader, reader
from tests.support.scene import PATIENCE, Scene, until

from clx.jobtypes import browser as browser_module

DECK = "slides/module_1/topic_100_one/slides_one.py"
PAGE = "public/En/My Course/Slides/Html/Completed/Week 1/01 one.html"
LONG = "# %% [markdown]\n# # Title\n#\n" + "# A line.\n#\n" * 200
BOX = "document.getElementById('clx-errors')"


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A project without a course yet; what still runs in it afterwards is killed."""
    root = tmp_path / "project"
    (root / "slides").mkdir(parents=True)
    found = Scene(Course(root), root / ".clx" / "jobs.db", None)
    yield found
    found.end()


@pytest.fixture
def browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """A browser that reaches this machine, and nothing else."""
    rule = "--host-resolver-rules=MAP * ~NOTFOUND"
    flags = tuple(f"{each} , EXCLUDE 127.0.0.1" if each == rule else each for each in browser_module._FLAGS)
    monkeypatch.setattr(browser_module, "_FLAGS", flags)
    with reader(tmp_path) as made:
        made.call("Fetch.disable")
        yield made


class Serving:
    """A running ``clx build --watch --serve``."""

    def __init__(self, scene: Scene) -> None:
        self.process = scene.begin("build", "course.yaml", "--watch", "--serve", "0", "--language", "en")
        self._lines: Queue[str] = Queue()
        threading.Thread(target=self._read, daemon=True).start()
        line = ""
        while "Pages: " not in line:
            line = self._lines.get(timeout=PATIENCE)
        found = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert found is not None
        self.url = found[0]

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)


def shows(browser: Reader, words: str) -> bool:
    return bool(asked(browser, f"document.querySelector('main')?.innerText.includes({words!r})"))


def asked(browser: Reader, expression: str) -> object:
    """The value of an expression; None while a page is left for the next."""
    try:
        return browser.value(expression)
    except (browser_module.ScriptError, browser_module.BrowserDiedError):
        return None


def box(browser: Reader) -> str:
    """What the box with errors says; empty where there is none."""
    return str(asked(browser, f"{BOX} ? {BOX}.shadowRoot.querySelector('[role=alert]').innerText : ''") or "")


def test_an_edit_is_on_the_page_and_what_is_wrong_too(scene: Scene, browser: Reader) -> None:
    scene.decks("one", "two")
    scene.course.write(DECK, f"{LONG}\n# %%\nprint('first')\n")
    serving = Serving(scene)
    browser.call("Page.navigate", url=serving.url + quote(PAGE.replace("01 one", "01 Title")))
    until(lambda: shows(browser, "first") and asked(browser, "document.readyState === 'complete'"))
    browser.value("scrollTo(0, 1500); window.same = true; 0")

    scene.course.write(DECK, f"{LONG}\n# %%\nprint('second')\n")
    until(lambda: shows(browser, "second"))
    until(lambda: asked(browser, "document.readyState === 'complete' && scrollY") == 1500)
    assert browser.value("window.same === undefined")
    assert box(browser) == ""

    browser.value("window.same = true; 0")
    scene.course.write(DECK.replace("one", "two"), "# %%\nprint('another deck')\n1 / 0\n")
    until(lambda: box(browser))
    assert "slides_two.py:3 (cell 1), execute en" in box(browser)
    assert "division by zero" in box(browser)
    assert browser.value("window.same")  # another deck is no reason to reload

    scene.course.write(DECK, f"{LONG}\n# {{{{ nothing_like_it }}}}\n")
    until(lambda: "nothing_like_it" in box(browser))
    assert shows(browser, "second")

    scene.course.write(DECK, f"{LONG}\n# %%\nprint('third')\n")
    until(lambda: shows(browser, "third"))
    until(lambda: "division by zero" in box(browser))
    scene.course.write(DECK.replace("one", "two"), "# %%\nprint('mended')\n")
    until(lambda: box(browser) == "")

    for path in scene.course.output.rglob("*.html"):
        assert ".clx/live.js" not in path.read_text()
    serving.process.send_signal(signal.SIGINT)
    assert serving.process.wait(PATIENCE) == 130


def test_a_page_that_is_new_appears(scene: Scene, browser: Reader) -> None:
    scene.decks("one")
    serving = Serving(scene)
    browser.call("Page.navigate", url=serving.url + quote(PAGE.replace("01 one", "02 slides_two")))
    until(lambda: shows(browser, "not built yet"))
    scene.decks("one", "two", cell="print('here it is')")
    until(lambda: shows(browser, "here it is"))
    serving.process.send_signal(signal.SIGINT)
    assert serving.process.wait(PATIENCE) == 130


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--serve"], "--serve goes with --watch"),
        (["--watch", "--serve", "99999"], "--serve 99999: that is no port"),
        (["--watch", "--serve=often"], "--serve often: that is no port"),
    ],
)
def test_what_cannot_be_served_is_told(scene: Scene, options: list[str], words: str) -> None:
    scene.decks("one")
    for arguments in ([*options, "course.yaml"], ["course.yaml", *options]):
        assert words in scene.clx("build", *arguments, code=2).stderr
