"""What well-known libraries show by themselves, in real kernels."""

from __future__ import annotations

from typing import Any

from clx.jobtypes.notebook.execution.widgets import WIDGET_VIEW
from clx.jobtypes.notebook.figures import Figures
from clx.jobtypes.notebook.markup import Markup
from clx.jobtypes.notebook.output_html import OutputWriter

from .conftest import Run


def shown(outputs: list[dict[str, Any]]) -> str:
    """The outputs as a page has them; nothing may be warned of."""
    warnings: list[str] = []
    html = OutputWriter(Markup(), Figures(lambda _path: None)).html(outputs, "", warnings.append)
    assert not warnings
    return html


def test_plotly_puts_out_what_a_page_draws(run: Run) -> None:
    figure = "import plotly.graph_objects as go\nfigure = go.Figure(go.Bar(x=['a'], y=[1]))\n"
    for end in ("figure", "figure.show()"):
        (output,) = run(figure + end)[0].outputs
        assert output["data"]["application/vnd.plotly.v1+json"]["data"][0]["type"] == "bar"


def test_altair_puts_out_its_chart_unless_the_deck_chooses_otherwise(run: Run) -> None:
    chart = "import altair as alt\nchart = alt.Chart(alt.InlineData([{'a': 1}])).mark_bar().encode(x='a:Q')\nchart"
    first, second, third = run(chart, "alt.renderers.enable('json'); chart", "alt.renderers.enable('default'); chart")
    kinds = [next(mime for mime in each.outputs[-1]["data"] if mime != "text/plain") for each in (first, second, third)]
    assert kinds[0].startswith("application/vnd.vegalite.v")
    assert kinds[1] == "application/json"
    assert kinds[2] == kinds[0]
    assert 'data-library="vega"' in shown(first.outputs)


def test_progress_bars_show_their_end(run: Run) -> None:
    results = run(
        "from tqdm.auto import tqdm\nfor _ in tqdm(range(5), desc='auto'): pass",
        "from tqdm.notebook import tqdm\nfor _ in tqdm(range(3), desc='outer'):\n"
        "    for _ in tqdm(range(2), desc='inner', leave=False): pass",
        "bar = tqdm(total=4, desc='later')",
        "bar.update(4); bar.close()",
    )
    auto, nested, later, _ = (shown(result.outputs) for result in results)
    assert "auto: 100%" in auto.replace("\N{FIGURE SPACE}", " ")
    assert "5/5" in auto
    assert 'class="success"' in auto
    assert "3/3" in nested
    assert "inner" not in nested
    assert "4/4" in later


def test_what_a_widget_catches_stands_inside_it(run: Run) -> None:
    first, second = run(
        "import ipywidgets as w\nout = w.Output()\nprint('before')\nwith out:\n    print('inside')\nprint('behind')",
        "display(w.VBox([w.IntSlider(7), out]))\nw.interact(lambda x: print('x =', x), x=3);",
    )
    assert [output["text"] for output in first.outputs] == ["before\nbehind\n"]
    html = shown(second.outputs)
    assert html.index('type="range"') < html.index("inside") < html.index("x = 3")
    assert all(WIDGET_VIEW in output["data"] for output in second.outputs)


def test_widgets_are_the_same_in_every_run(run: Run) -> None:
    cell = "import ipywidgets\nipywidgets.HBox([ipywidgets.Label('a'), ipywidgets.IntSlider(1)])"
    assert shown(run(cell)[0].outputs) == shown(run(cell)[0].outputs)
