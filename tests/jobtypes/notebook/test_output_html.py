"""Outputs on a page: figures, widgets, what cannot be shown, and what stands on white paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clx.jobtypes.notebook.execution.widgets import WIDGET_VIEW, Widgets
from clx.jobtypes.notebook.figures import Figures, with_scripts, without_carried, without_scripts
from clx.jobtypes.notebook.markup import Markup
from clx.jobtypes.notebook.output_html import OutputWriter, brings_colours
from clx.jobtypes.notebook.widgets_html import UnknownWidgetError, widget_html

PLOTLY = "application/vnd.plotly.v1+json"
VEGA_LITE = "application/vnd.vegalite.v6+json"


def shown(*bundles: dict[str, Any], figures: Figures | None = None) -> tuple[str, list[str]]:
    """HTML of displayed bundles, and the warnings."""
    warnings: list[str] = []
    writer = OutputWriter(Markup(), figures or Figures(lambda _path: None))
    outputs = [{"output_type": "display_data", "data": data, "metadata": {}} for data in bundles]
    return writer.html(outputs, "Output of cell 1", warnings.append), warnings


def widget(*states: dict[str, Any], view: str = "0") -> tuple[str, list[str]]:
    """A view of the first of the widgets with these states; another's number stands where one holds it."""
    widgets = Widgets()
    for number, state in enumerate(states):
        opened = {"comm_id": str(number), "target_name": "jupyter.widget", "data": {"state": state}}
        widgets.take("comm_open", opened, [])
    outputs = [{"output_type": "display_data", "data": {WIDGET_VIEW: {"model_id": view}, "text/plain": "W()"}}]
    widgets.settle(outputs)
    return shown(outputs[0]["data"])  # type: ignore[arg-type]


@pytest.fixture
def figures(tmp_path: Path) -> Figures:
    """A page's figures where plotly is installed."""
    script = tmp_path / "plotly.min.js"
    script.write_text("plotly('</script>')", encoding="utf-8")
    return Figures(lambda path: script if path.startswith("plotly/") else None)


# -- what cannot be shown -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bundle", "warning"),
    [
        ({}, "an output of it is empty"),
        ({"application/pdf": "x"}, "its output (application/pdf) cannot be shown on a page"),
        (
            {"application/geo+json": {}, "text/plain": "<GeoJSON>"},
            "its output (application/geo+json) cannot be shown on a page; its text is shown instead",
        ),
        ({PLOTLY: {"data": []}}, f"its output ({PLOTLY}) cannot be shown on a page"),
        ({"application/javascript": 'require(["d3"], f)'}, "its output needs require.js, which a page has not"),
        ({"text/html": "<script>$('#x').hide()</script>"}, "its output needs jQuery, which a page has not"),
        ({"application/javascript": "IPython.notebook.kernel"}, "its output needs Jupyter, which a page has not"),
        (
            {"text/html": '<script src="https://cdn.x.org/y.js"></script>'},
            "its output loads a program from the network (https://cdn.x.org), without which it is empty",
        ),
        (
            {"text/html": '<script>load("https://cdn.jsdelivr.net/npm/vega")</script>'},
            "its output loads a program from the network (https://cdn.jsdelivr.net), without which it is empty",
        ),
        ({WIDGET_VIEW: {"model_id": "?"}}, "its widget cannot be shown on a page: nothing is known of its state"),
    ],
)
def test_what_a_page_cannot_show_is_warned_of(bundle: dict[str, Any], warning: str) -> None:
    assert shown(bundle)[1] == [warning]


@pytest.mark.parametrize(
    "bundle",
    [
        {"text/plain": "1"},
        {"text/html": "<b>x</b>", "text/plain": "x", "application/vnd.dataresource+json": {}},
        {"text/html": "<script>if (typeof require !== 'undefined') require(['x'], f)</script>"},
        {"text/html": '<iframe src="https://example.org/"></iframe>'},
        {"text/html": f'<script>"https://cdn.x.org/map.json"{" " * 500_000}</script>'},
        {"text/html": '<script src="https://cdnjs.cloudflare.com/ajax/libs/mathjax/2.7.5/MathJax.js"></script>x'},
        {"application/json": {"a": 1}, "text/plain": "<JSON>"},
        {"image/png": "AAAA", "text/plain": "<Figure>"},
    ],
)
def test_what_a_page_shows_is_not_warned_of(bundle: dict[str, Any]) -> None:
    html, warnings = shown(bundle)
    assert html
    assert not warnings


def test_json_is_shown_as_json() -> None:
    assert '"a": "ü"' in shown({"application/json": {"a": "ü"}, "text/plain": "<JSON>"})[0]


def test_a_program_finds_the_element_it_may_write_to() -> None:
    html, _ = shown({"application/javascript": "element.append('</script>')"})
    assert html.index("var element =") < html.index("element.append")
    assert html.count("</script>") == 1


# -- ids ------------------------------------------------------------------------------------------------


def test_ids_that_chance_has_drawn_are_numbered() -> None:
    uuid, other = "fe7dcc58-69f0-49b4-94b4-7c80b9f81a5b", "0e7dcc58-69f0-49b4-94b4-7c80b9f81a5c"
    html, _ = shown(
        {"text/html": '<style>#T_24a9e_row0 {}</style><table id="T_24a9e"><td id="T_24a9e_row0">T_00000</td>'},
        {"text/html": f"<div id='section-{uuid}'></div><label for='section-{uuid}'>{other}</label>"},
        {"application/javascript": f"show('{uuid}', '{other}')"},
        {"text/html": f'<b id="{uuid.replace("-", "")}">'},
    )
    assert '<style>#T_00001_row0 {}</style><table id="T_00001"><td id="T_00001_row0">T_00000</td>' in html
    number = "00000000-0000-4000-8000-000000000002"
    assert f"<div id='section-{number}'></div><label for='section-{number}'>{other}</label>" in html
    assert f"show('{number}', '{other}')" in html
    assert '<b id="00000000000040008000000000000003">' in html


# -- colours --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("html", "plate"),
    [
        ('<div style="background:#fffbe6">x</div>', True),
        ("<style>#T_a { background-color: yellow; }</style><table></table>", True),
        ('<td bgcolor="#eee">', True),
        ('<span style="color: black">', True),
        ("<font color=navy>", True),
        ('<table class="dataframe"><td>background: none of it</td>', False),
        ("<style>.a{color: var(--jp-content-font-color0, black)}</style>", False),
        ("<style>@media (prefers-color-scheme: dark) {a{color:red}}</style>", False),
        ('<td style="border-color: red">', False),
        ("<b>x</b>", False),
    ],
)
def test_html_with_colours_of_its_own_stands_on_white_paper(html: str, plate: bool) -> None:
    assert brings_colours(html) is plate
    assert ('class="html plate"' in shown({"text/html": html})[0]) is plate


# -- figures --------------------------------------------------------------------------------------------


def test_a_page_carries_the_library_of_its_figures_once(figures: Figures) -> None:
    one = {PLOTLY: {"data": [{"type": "bar", "name": "</script>"}], "other": 1}, "text/html": "<b>network</b>"}
    html, warnings = shown(one, one, figures=figures)
    assert not warnings
    assert html.count('data-library="plotly"') == 2
    assert "network" not in html
    assert html.count("</script>") == 2
    assert '{"data":[{"type":"bar","name":"\\u003c/script>"}]}' in html
    scripts = figures.scripts()
    assert scripts.count(r"plotly('<\/script>')") == 1
    assert scripts.count("</script>") == scripts.count("<script>") == 2


def test_what_draws_figures_can_be_set_aside(figures: Figures) -> None:
    shown({PLOTLY: {"data": []}}, figures=figures)
    whole = f"<main>{figures.scripts()}</main>"
    page, scripts = without_scripts(whole)
    assert "plotly" not in page
    assert with_scripts(page, scripts) == whole
    assert without_scripts("<main></main>") == ("<main></main>", "")
    assert with_scripts("<main></main>", "") == "<main></main>"


def test_libraries_are_left_out_of_a_page_only_as_they_were_put_there(figures: Figures) -> None:
    shown({PLOTLY: {"data": []}}, figures=figures)
    page = f"<main>text {figures.scripts()}</main>".encode()
    assert b"plotly" not in without_carried(page, {"x", figures.carried})
    assert without_carried(page, {figures.carried}).startswith(b"<main>text ")
    changed = page.replace(b"plotly(", b"secret(")
    assert without_carried(changed, {figures.carried}) == changed
    assert without_carried(page, set()) == page
    figures.clear()
    assert figures.carried == ""


def test_a_page_without_figures_carries_no_library(figures: Figures) -> None:
    shown({PLOTLY: {"data": []}}, figures=figures)
    figures.clear()
    assert figures.scripts() == ""


def test_charts_of_vega_need_nothing_of_the_kernel() -> None:
    figures = Figures(lambda _path: None)
    html, warnings = shown({VEGA_LITE: {"mark": "bar"}, "text/plain": "Chart"}, figures=figures)
    assert not warnings
    assert '"mode":"vega-lite"' in html
    assert len(figures.scripts()) > 500_000
    assert "sourceMappingURL" not in figures.scripts()


@pytest.mark.parametrize(
    ("kind", "warned"), [("choropleth", True), ("densitymap", True), ("heatmap", False), ("treemap", False)]
)
def test_maps_from_the_network_are_warned_of(figures: Figures, kind: str, warned: bool) -> None:
    _, warnings = shown({PLOTLY: {"data": [{"type": kind}], "layout": {"template": "scattergeo"}}}, figures=figures)
    assert warnings == ([f"its figure ({kind}) takes the map from the network"] if warned else [])


# -- widgets --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "html"),
    [
        ({"_model_name": "IntSliderModel", "value": 7, "max": 9, "description": "n"}, '<input disabled type="range"'),
        ({"_model_name": "FloatRangeSliderModel", "value": [2, 5.5]}, "2 – 5.5"),
        ({"_model_name": "FloatProgressModel", "value": 3, "min": 1, "max": 5}, 'max="4" value="2"'),
        ({"_model_name": "DropdownModel", "_options_labels": ["a", "<b>"], "index": 1}, "<option selected>&lt;b&gt;"),
        (
            {"_model_name": "SelectMultipleModel", "_options_labels": ["a", "b"], "index": [0, 1]},
            " disabled multiple><option selected>a</option><option selected>b<",
        ),
        ({"_model_name": "CheckboxModel", "value": True, "description": "on"}, 'checked="checked"'),
        ({"_model_name": "ButtonModel", "description": "Go"}, '<button type="button" disabled>Go</button>'),
        ({"_model_name": "HTMLModel", "value": "<b>x</b>"}, "<b>x</b>"),
        ({"_model_name": "LabelModel", "value": "<b>x</b>"}, "&lt;b&gt;x"),
        ({"_model_name": "TextModel", "value": "x", "description": "<i>"}, "&lt;i&gt;"),
        ({"_model_name": "TextareaModel", "value": "x<"}, '<textarea aria-label="Textarea" disabled>x&lt;</textarea>'),
        ({"_model_name": "PasswordModel", "value": "secret"}, 'value="••••••"'),
        ({"_model_name": "ImageModel", "value": "AAAA", "format": "png"}, 'src="data:image/png;base64,AAAA"'),
        ({"_model_name": "ImageModel", "value": "AA", "width": "60", "height": "x"}, '<img alt="" width="60" src='),
        ({"_model_name": "ValidModel", "value": False, "readout": "no"}, "✘ no"),
    ],
)
def test_a_widget_is_shown_as_it_is(state: dict[str, Any], html: str) -> None:
    found, warnings = widget(state)
    assert html in found
    assert "secret" not in found
    assert not warnings


def test_boxes_show_their_widgets_and_tabs_their_titles() -> None:
    label = {"_model_name": "LabelModel", "value": "inside"}
    for name, titles in (("HBoxModel", []), ("TabModel", ["First"])):
        found, _ = widget({"_model_name": name, "children": ["IPY_MODEL_1"], "titles": titles}, label)
        assert "inside" in found
        assert all(title in found for title in titles)


def test_a_widget_that_contains_itself_ends() -> None:
    found, warnings = widget({"_model_name": "HBoxModel", "children": ["IPY_MODEL_0"]})
    assert found
    assert not warnings


def test_what_is_hidden_or_closed_is_not_shown() -> None:
    box = {"_model_name": "LabelModel", "value": "x", "layout": "IPY_MODEL_1"}
    found, warnings = widget(box, {"_model_name": "LayoutModel", "display": "none"})
    assert "x" not in found
    widgets = Widgets()
    widgets.take("comm_open", {"comm_id": "0", "target_name": "jupyter.widget", "data": {"state": box}}, [])
    widgets.take("comm_close", {"comm_id": "0"}, [])
    outputs: list[dict[str, Any]] = [{"data": {WIDGET_VIEW: {"model_id": "0"}, "text/plain": "W()"}}]
    widgets.settle(outputs)
    assert shown(outputs[0]["data"]) == ("", [])
    assert not warnings


def test_a_widget_of_another_library_is_shown_as_its_text_with_a_warning() -> None:
    for states in (
        [{"_model_name": "FigureModel"}],
        [{"_model_name": "VBoxModel", "children": ["IPY_MODEL_1"]}, {"_model_name": "FigureModel"}],
    ):
        found, warnings = widget(*states)
        assert found == '<pre class="result">W()</pre>\n'
        assert warnings == ["its widget (Figure) cannot be shown on a page"]


def test_updates_count_and_buffers_become_text() -> None:
    widgets = Widgets()
    state = {"_model_name": "ImageModel", "format": "png"}
    opened = {"target_name": "jupyter.widget", "data": {"state": state, "buffer_paths": [["value"]]}}
    widgets.take("comm_open", {"comm_id": "0", **opened}, [memoryview(b"\0\1")])
    widgets.take("comm_msg", {"comm_id": "0", "data": {"method": "custom", "content": {}}}, [])
    widgets.take("comm_msg", {"comm_id": "0", "data": {"method": "update", "state": {"format": "gif"}}}, [])
    widgets.take("comm_open", {"comm_id": "1", "target_name": "another", "data": {"state": {}}}, [])
    outputs: list[dict[str, Any]] = [{"data": {WIDGET_VIEW: {"model_id": str(number)}}} for number in (0, 1)]
    widgets.settle(outputs)
    first, second = (output["data"][WIDGET_VIEW] for output in outputs)
    assert first["widget"]["state"] == {"format": "gif", "value": "AAE="}
    assert second == {}


def test_the_state_of_widgets_is_bounded() -> None:
    widgets = Widgets()
    opened = {"target_name": "jupyter.widget", "data": {"state": {"_model_name": "LabelModel", "value": "first"}}}
    widgets.take("comm_open", {"comm_id": "0", **opened}, [])
    huge = {"comm_id": "0", "data": {"method": "update", "state": {"value": "x" * 11_000_000}}}
    widgets.take("comm_msg", huge, [])
    outputs: list[dict[str, Any]] = [{"data": {WIDGET_VIEW: {"model_id": "0"}}}]
    widgets.settle(outputs)
    assert outputs[0]["data"][WIDGET_VIEW]["widget"]["state"]["value"] == "first"


def test_an_unknown_widget_is_named_wherever_it_stands() -> None:
    inside = {"model": "VBoxModel", "state": {"children": [{"model": "MapModel", "state": {}}]}}
    with pytest.raises(UnknownWidgetError, match="Map"):
        widget_html(inside, lambda _outputs: "")
