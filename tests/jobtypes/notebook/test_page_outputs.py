"""Outputs of real libraries in a real browser, without a network: figures are drawn, all can be read in the dark."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest
from tests.support.pages import Mode, Reader, reader

from clx.jobtypes.notebook.cells import read_cells
from clx.jobtypes.notebook.deck import PROG_LANG
from clx.jobtypes.notebook.execution.interpreter import packaged_file
from clx.jobtypes.notebook.execution.results import CellResult
from clx.jobtypes.notebook.page import PageFrame, PageMaker
from clx.jobtypes.notebook.variants import in_language

DECK = """\
# %% [markdown]
# # Outputs
# <div style="background: #fffbe6; padding: 4px">a box with <code>code</code> and <a href="#outputs">a link</a></div>
# <div style="background: transparent">as the page</div>
# <div style="background:none">as the page</div>

# %%
show()
"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Reader]]:
    root = tmp_path_factory.mktemp("pages")
    with reader(root) as browser:
        yield root, browser


def page(*bundles: dict[str, Any]) -> bytes:
    cells = in_language(read_cells(DECK, PROG_LANG["python"]), "en")
    outputs = [{"output_type": "display_data", "data": data, "metadata": {}} for data in bundles]
    warnings: list[str] = []
    made = PageMaker(functools.partial(packaged_file, None)).page(
        PageFrame("C", "S", 1, "T", "en", "completed"),
        cells,
        PROG_LANG["python"],
        {cells[1].id: CellResult(outputs, 1)},
        lambda text, _line: warnings.append(text),
    )
    assert not warnings
    return made


@pytest.mark.slow
def test_figures_are_drawn_without_a_network(shown: tuple[Path, Reader]) -> None:
    root, browser = shown
    bars = go.Figure(go.Bar(x=["a", "b"], y=[1, 2]))
    chart = {"data": {"values": [{"a": 1}]}, "mark": "bar", "encoding": {"x": {"field": "a", "type": "quantitative"}}}
    html = page(
        {"application/vnd.plotly.v1+json": json.loads(bars.to_json())},
        {"application/vnd.plotly.v1+json": {"data": [{"type": "scatter", "y": [1, 2]}], "layout": {}}},
        {"application/vnd.vegalite.v6+json": chart},
    )
    (root / "figures.html").write_bytes(html)
    assert len(html) < 7_000_000
    browser.open("figures.html", mode="dark")
    drawn = """new Promise(done => {
        const look = () => {
            const found = [document.querySelectorAll('.figure .bars .point').length,
                document.querySelectorAll('.figure .scatterlayer .trace').length,
                document.querySelectorAll('.figure .mark-rect path').length];
            if (found.every(Boolean)) done(found.join()); else setTimeout(look, 50);
        }; look(); })"""
    assert browser.value(drawn) == "2,1,1"
    width = "document.querySelector('.figure .main-svg').getBoundingClientRect().width"
    browser.value("dispatchEvent(new Event('beforeprint')); 0")
    wide = browser.value(width)
    browser.call("Emulation.setEmulatedMedia", media="print")
    browser.value("document.querySelector('main').style.width = '400px'; 0")
    assert browser.value(width) <= 400 < wide  # on paper it is as wide as there is room
    browser.value("dispatchEvent(new Event('afterprint')); 0")
    assert browser.value("document.querySelector('.main-svg').hasAttribute('viewBox')") is False


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_outputs_with_colours_of_their_own_can_be_read(shown: tuple[Path, Reader], mode: Mode) -> None:
    root, browser = shown
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    follows = "<style>.x{color: var(--jp-content-font-color0, #000); background: var(--jp-layout-color0, #fff)}</style>"
    html = page(
        {"text/html": frame.style.highlight_max(color="yellow").bar(color="#d5f5d5").to_html()},
        {"text/html": '<div style="background: #fffbe6">a box</div>'},
        {"text/html": f'{follows}<p class="x">as the page</p>'},
        {"text/html": frame.to_html()},
    )
    (root / "colours.html").write_bytes(html)
    browser.open("colours.html", mode=mode)
    assert browser.barriers() == []
    paper = browser.value("getComputedStyle(document.querySelector('.x')).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") is (mode == "light")
