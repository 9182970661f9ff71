"""The words of pages, and the languages they can be in."""

from __future__ import annotations

import pytest
from tests.jobtypes.notebook.test_page import page

from clx.jobtypes.notebook.cells import read_cells
from clx.jobtypes.notebook.deck import PROG_LANG
from clx.jobtypes.notebook.labels import LABELS, as_language, direction, words_in
from clx.jobtypes.notebook.page import PageFrame, PageMaker
from clx.jobtypes.notebook.slide_words import SLIDE_LABELS
from clx.jobtypes.notebook.variants import in_language, variant

LANGUAGES = ("de", "en", "fr", "es", "it", "pt", "nl", "pl", "ar", "he")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_is_said_in_the_language_itself(language: str) -> None:
    words = words_in(language)
    assert words.keys() == set(LABELS) - {"slides", *SLIDE_LABELS}
    assert all(words.values())
    assert language == "en" or len({name for name in words if words[name] != words_in("en")[name]}) > 14


def test_a_region_speaks_its_language_and_others_english() -> None:
    assert words_in("pt-BR") == words_in("pt")
    assert words_in("da") == words_in("en")
    assert words_in("da", {"notes": "Noter"})["notes"] == "Noter"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *(("de", "de"), ("EN", "en"), ("pt-br", "pt-BR"), ("PT_BR", "pt-BR"), ("zh-hans", "zh-Hans")),
        *(("zh-hant-tw", "zh-Hant-TW"), ("es-419", "es-419"), ("ckb", "ckb")),
        *(
            ("e", None),
            ("eng", None),
            ("sql", None),
            ("german", None),
            ("de-", None),
            ("de-xx-yy-zz", None),
            ("", None),
        ),
    ],
)
def test_language_tags(written: str, meant: str | None) -> None:
    assert as_language(written) == meant


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        *(("en", "ltr"), ("ar", "rtl"), ("he", "rtl"), ("fa", "rtl"), ("ur-PK", "rtl"), ("ckb", "rtl")),
        *(("pa-Arab-PK", "rtl"), ("az-Latn", "ltr"), ("zh-Hans", "ltr"), ("ar-Latn", "ltr")),
    ],
)
def test_direction(language: str, expected: str) -> None:
    assert direction(language) == expected


def test_pages_say_their_direction_and_code_stays_left_to_right() -> None:
    html, _ = page("# %% [markdown]\n# # مرحبا\n# %%\nx = 1\n", lang="ar", outputs=[])
    assert '<html lang="ar" dir="rtl" ' in html
    assert "pre, code, kbd, samp, .n { direction: ltr;" in html
    html, _ = page("# %%\nx = 1\n", lang="pt-BR", kind="code-along")
    assert '<html lang="pt-BR" data' in html
    assert '<p class="kind">Para completar</p>' in html


def test_a_course_says_its_own_words() -> None:
    cells = in_language(read_cells("# %% [markdown] tags=['notes']\n# n\n", PROG_LANG["python"]), "en")
    frame = PageFrame("C", "S", 1, "T", "en", "speaker", {"notes": "For me", "speaker": "Mine"})
    shown = variant(cells, "speaker", "en")
    html = PageMaker().page(frame, shown, PROG_LANG["python"], {}, lambda *_: None).decode()
    assert '<p class="label">For me</p>' in html
    assert '<p class="kind">Mine</p>' in html
    answer = in_language(read_cells("# %% [markdown] tags=['answer']\n# 42\n", PROG_LANG["python"]), "en")
    assert variant(answer, "completed", "en", {"answer": "Solution"})[0].source == "*Solution:* 42"
