"""Pages as readers have them, in a real browser: nothing shuts anybody out, by axe-core's rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.jobtypes.notebook.test_page import page
from tests.support.pages import Mode, Reader, reader

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
