"""Pages as readers have them, in a real browser: nothing shuts anybody out, by axe-core's rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.jobtypes.notebook.test_page import page
from tests.support.pages import Mode, Reader, reader

from clx.jobtypes.notebook.cells import read_cells
from clx.jobtypes.notebook.deck import PROG_LANG
from clx.jobtypes.notebook.page import Download, PageFrame, PageMaker
from clx.jobtypes.notebook.theme import Theme
from clx.jobtypes.notebook.variants import in_language, variant

EVERYTHING = """
# %% [markdown] tags=["slide"]
# # A Deck with *everything*
#
# Text with `code`, **bold**, a [link](https://example.org), a formula $a^2$ and a note.[^1]
#
# [^1]: What the note says.
#
# | a | b |
# |---|--:|
# | 1 | 2 |
#
# ```python
# def double(n: int) -> int:  # a comment
#     return 2 * n  # {"strings", 1.5, True}
# ```
#
# > A quotation.
#
# > [!NOTE]
# > Text with `code` and a [link](https://example.org).
#
# > [!TIP]- Folded
# > Text.
#
# :::{important}
# Text.
# :::
#
# ::: {.callout-warning}
# Text.
# :::
#
# ```{danger} Danger
# Text with <kbd>Ctrl</kbd>.
# ```
#
# <div class="alert alert-info"><b>Info:</b> text with <a href="x">a link</a></div>
# <div class="alert alert-block alert-success">text</div>
# <div class="alert alert-warning">text</div>
# <div class="alert alert-danger"><p>text</p></div>
#
# A bare https://example.org/address and ~~old~~ text.
#
# - [ ] to do
# - [x] done
#
# %% tags=["keep"]
@decorated
class Point(Base):
    # comment
    def area(self, n=12): return f"{n!r} text\\n" + str(None)

# %% [markdown] tags=["subslide"]
# ## Second heading
#
# Term
# : What it means.

# %% tags=["alt"]
print("solution")

# %% [markdown] tags=["notes"]
# Slow down here, see `this`.
"""
OUTPUTS: list[dict[str, Any]] = [
    {
        "output_type": "stream",
        "name": "stdout",
        "text": "plain \x1b[31mred\x1b[32mgreen\x1b[33myellow\x1b[34mblue\x1b[0m\n",
    },
    {"output_type": "stream", "name": "stderr", "text": "a warning\n"},
    {"output_type": "stream", "name": "stdout", "text": "line\n" * 100},
    {"output_type": "error", "ename": "E", "evalue": "m", "traceback": ["\x1b[31mE\x1b[0m: m"]},
]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Reader]]:
    root = tmp_path_factory.mktemp("pages")
    with reader(root) as browser:
        yield root, browser


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("kind", ["code-along", "completed", "speaker"])
def test_no_reader_is_shut_out(shown: tuple[Path, Reader], kind: str, mode: Mode) -> None:
    root, browser = shown
    html, warnings = page(EVERYTHING, kind=kind, outputs=OUTPUTS)
    assert warnings == []
    (root / "page.html").write_text(html, "utf-8")
    browser.open("page.html", mode=mode)
    assert browser.barriers() == []


@pytest.mark.slow
def test_what_shuts_readers_out_is_found(shown: tuple[Path, Reader]) -> None:
    root, browser = shown
    text = '<html lang="en"><title>t</title><main><h1>t</h1><p style="color: #bbb">pale</p><img src="x.png"></main>'
    (root / "bad.html").write_text(f"<!DOCTYPE html>{text}", "utf-8")
    browser.open("bad.html")
    assert [line.split()[0] for line in browser.barriers()] == ["color-contrast", "image-alt"]
    assert browser.barriers(but=["color-contrast", "image-alt"]) == []


def put(root: Path, path: str, **options: Any) -> None:
    """A page of its own at *path*."""
    cells = variant(in_language(read_cells(EVERYTHING, PROG_LANG["python"]), "en"), "completed", "en")
    frame = PageFrame("My Course", "Week 1", None, "Everything", "en", "completed", **options)
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(PageMaker().page(frame, cells, PROG_LANG["python"], {}, lambda *_: None))


@pytest.mark.slow
def test_colours_are_switched_by_key_and_button_and_kept(shown: tuple[Path, Reader]) -> None:
    root, browser = shown
    put(root, "mode.html")
    background = "getComputedStyle(document.body).backgroundColor"
    browser.open("mode.html", mode="dark")
    assert browser.value(background) == "rgb(18, 21, 27)"
    assert browser.value("document.querySelector('button.mode').getAttribute('aria-pressed')") == "true"
    browser.press("d")
    assert browser.value(background) == "rgb(255, 255, 255)"
    assert browser.barriers() == []
    browser.open("mode.html", mode="dark")
    assert browser.value(background) == "rgb(255, 255, 255)", "remembered"
    browser.value("document.querySelector('button.mode').focus()")
    browser.press("Enter")
    assert browser.value(background) == "rgb(18, 21, 27)"
    assert browser.value("localStorage.length") == 0, "as the system has it: nothing to remember"
    browser.open("mode.html", mode="light")
    assert browser.value(background) == "rgb(255, 255, 255)"
    browser.press("d")
    assert browser.value(background) == "rgb(18, 21, 27)"
    assert browser.barriers() == []
    browser.open("mode.html", mode="light", media="print")
    assert browser.value(background) == "rgb(255, 255, 255)", "paper is white"
    browser.value("localStorage.clear()")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_colours_of_authors_can_be_read(shown: tuple[Path, Reader], mode: Mode) -> None:
    root, browser = shown
    text = (
        '<font color="navy">a</font> <span style="color:#000080">b</span> <b style="margin: 0; color: #222">c</b>\n#\n'
        '# <p style="background: #222; color: #fff">d</p>\n#\n'
        '# <svg width="60" height="20"><text y="15">e</text></svg> $x$'
    )
    html, warnings = page(f"# %% [markdown]\n# # Head\n#\n# {text}\n")
    assert warnings == []
    (root / "colours.html").write_text(html, "utf-8")
    browser.open("colours.html", mode=mode)
    assert browser.barriers() == []
    plate = "getComputedStyle(document.querySelector('{}')).backgroundColor"
    for selector, light in ((".text p > svg", "rgba(0, 0, 0, 0)"), ("mjx-container svg", "rgba(0, 0, 0, 0)")):
        on_dark = "rgb(255, 255, 255)" if "p >" in selector else light
        assert browser.value(plate.format(selector)) == (on_dark if mode == "dark" else light)


@pytest.mark.slow
def test_a_course_fixes_its_colours(shown: tuple[Path, Reader]) -> None:
    root, browser = shown
    theme = Theme(":root { --accent: #a00000; }", "data:image/svg+xml;base64,PHN2Zy8+", "light")
    put(root, "light.html", theme=theme)
    browser.open("light.html", mode="dark")
    assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.value("getComputedStyle(document.querySelector('.kind')).color") == "rgb(160, 0, 0)"
    assert browser.value("document.querySelectorAll('button.mode').length") == 0
    assert browser.value("document.querySelectorAll('header img.logo').length") == 1
    assert browser.barriers() == []


@pytest.mark.slow
def test_code_is_copied_by_keyboard(shown: tuple[Path, Reader]) -> None:
    root, browser = shown
    put(root, "copy.html")
    browser.open("copy.html")
    kept = "{value: {writeText: async text => { taken.push(text) }}}"
    browser.value(f"window.taken = []; Object.defineProperty(navigator, 'clipboard', {kept}); 0")
    assert browser.value("document.querySelectorAll('button.copy').length") == 3
    browser.value("document.querySelector('.in button.copy').focus()")
    browser.press("Enter")
    assert browser.value("taken[0].startsWith('@decorated\\nclass Point(Base):') && taken[0].endsWith('str(None)\\n')")
    assert browser.value("document.querySelector('[role=status]').textContent") == "Copied"
    browser.open("copy.html", media="print")
    assert browser.value("getComputedStyle(document.querySelector('button.copy')).display") == "none"


@pytest.mark.slow
def test_a_page_leads_to_the_same_deck_in_other_formats(shown: tuple[Path, Reader]) -> None:
    root, browser = shown
    downloads = (Download("notebook", "Notebooks", ".ipynb"), Download("code", "C#", ".cs"))
    put(root, "Slides/Html/Completed/Week 1/01 A & B.html", downloads=downloads)
    browser.open("Slides/Html/Completed/Week%201/01%20A%20&%20B.html")
    links = "[...document.querySelectorAll('.controls a')].map(a => decodeURIComponent(a.href) + a.offsetWidth)"
    first, second = browser.value(links)
    assert first.startswith("http://pages.invalid/Slides/Notebooks/Completed/Week 1/01 A & B.ipynb")
    assert second.startswith("http://pages.invalid/Slides/C#/Completed/Week 1/01 A & B.cs")
    assert not first.endswith("ipynb0"), "it is shown"
    put(root, "Slides/Html/Completed/Week 1/sub/01 A.html", downloads=downloads, up="../../")
    browser.open("Slides/Html/Completed/Week%201/sub/01%20A.html")
    assert browser.value(links)[0].startswith("http://pages.invalid/Slides/Notebooks/Completed/Week 1/sub/01 A.ipynb")


@pytest.mark.slow
def test_what_scrolls_is_reached_by_keyboard_and_nothing_runs_over_a_phone(shown: tuple[Path, Reader]) -> None:
    root, browser = shown
    long = "x" * 300
    text = (
        f"# %% [markdown]\n# # T\n# Text with `{long}` and {long} and $a = {'+'.join('abcdefghij' * 12)}$ in it.\n#\n"
        f"# ```python\n# {long}\n# ```\n#\n# | {' | '.join('abcdefghijkl' * 3)} |\n# |{'-|' * 36}\n"
        f"# %% tags=['keep']\n{long} = 1\n"
    )
    (root / "wide.html").write_text(page(text, outputs=[])[0], "utf-8")
    for width in (360, 1280):
        browser.open("wide.html", width=width)
        assert browser.value("document.documentElement.scrollWidth") == width
        assert browser.barriers() == []
    reachable = "[...document.querySelectorAll('main [tabindex=\"0\"]')].map(e => e.className || e.localName)"
    assert {"scroll", "pre"} <= set(browser.value(reachable))


@pytest.mark.slow
def test_a_cell_contains_what_floats_in_it(shown: tuple[Path, Reader]) -> None:
    root, browser = shown
    tall = '<div style="float: right; width: 9rem; height: 20rem; background: #ddd">x</div>'
    text = f"# %% [markdown]\n# # T\n# {tall}\n# Text.\n\n# %% tags=['keep']\nx = 1\n"
    (root / "float.html").write_text(page(text, outputs=[])[0], "utf-8")
    browser.open("float.html")
    box = "document.querySelector('%s').getBoundingClientRect()"
    assert browser.value(f"{box % '.code'}.top - {box % '[style]'}.bottom") >= 0


@pytest.mark.slow
def test_text_runs_from_right_to_left_and_code_does_not(shown: tuple[Path, Reader]) -> None:
    root, browser = shown
    text = "# %% [markdown]\n# مرحبا `x = 1`\n# %% tags=['keep']\nx\n"
    (root / "rtl.html").write_text(page(text, lang="ar")[0], "utf-8")
    browser.open("rtl.html")
    assert browser.value("getComputedStyle(document.querySelector('.text p')).direction") == "rtl"
    assert browser.value("getComputedStyle(document.querySelector('.text code')).direction") == "ltr"
    assert browser.value("getComputedStyle(document.querySelector('.in pre')).direction") == "ltr"
    assert browser.barriers() == []
