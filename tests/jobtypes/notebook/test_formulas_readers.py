"""Formulas as readers have them, in a real browser: light and dark, on paper, on a phone, to a screen reader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.jobtypes.notebook.test_page import page
from tests.support.pages import Mode, Reader, reader

TEXT = r"""
# %% [markdown]
# # Formulas
#
# As \eqref{eq:a} says, $\frac{a}{b}$ is $x$.
#
# \begin{align} a &= b \label{eq:a} \\ c &= d \end{align}
#
# \begin{multline} a \\ b \\ c \end{multline}
#
# $$ 1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10 + 11 + 12 + 13 + 14 + 15 + 16 + 17 + 18 + 19 + 20 + 21 + 22 $$
"""


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    root: Path = tmp_path_factory.mktemp("formulas")
    (root / "page.html").write_text(page(TEXT)[0], "utf-8")
    with reader(root) as found:
        yield found


_DRAWN = "[...document.querySelectorAll('mjx-container use')].every(use => use.getBoundingClientRect().height > 0)"
_WIDER = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
_OUTSIDE = """[...document.querySelectorAll('mjx-container[display]')].filter(each =>
    each.getBoundingClientRect().right > document.querySelector('main').getBoundingClientRect().right + 1).length"""


@pytest.mark.parametrize(("mode", "media"), [("light", "screen"), ("dark", "screen"), ("dark", "print")])
def test_formulas_have_the_colour_of_their_text(browser: Reader, mode: Mode, media: str) -> None:
    browser.open("page.html", mode=mode, media=media)
    text = browser.value("getComputedStyle(document.querySelector('mjx-container').parentElement).color")
    assert browser.value("[...document.querySelectorAll('mjx-container')].length") == 6
    assert browser.value(_DRAWN) is True
    colours = browser.value(
        "[...new Set([...document.querySelectorAll('mjx-container:not(:has(a)) use')]"
        ".map(use => getComputedStyle(use).fill))]"
    )
    assert colours == [text]


@pytest.mark.parametrize("width", [1280, 390])
def test_no_formula_widens_its_page(browser: Reader, width: int) -> None:
    browser.open("page.html", width=width)
    assert browser.value(_WIDER) is False
    assert browser.value(_OUTSIDE) == 0


def test_a_reference_leads_to_its_equation(browser: Reader) -> None:
    browser.open("page.html", height=300)
    found = browser.value(
        "document.getElementById(decodeURIComponent(document.querySelector('mjx-container a')"
        ".getAttribute('href').slice(1))) !== null"
    )
    assert found is True


def test_screen_readers_are_told_mathml_once(browser: Reader) -> None:
    browser.open("page.html")
    hidden = "[...document.querySelectorAll('mjx-container > svg')].every(s => s.ariaHidden || s.querySelector('a'))"
    assert browser.value(hidden) is True
    assert browser.value("document.querySelector('mjx-container a').ariaLabel") == "(1)"
    assert browser.value("document.querySelectorAll('mjx-assistive-mml > math').length") == 6
    assert browser.barriers() == []
