"""Diagrams among a deck's texts."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from tests.jobtypes.notebook.conftest import Course
from tests.support.pages import reader
from tests.support.planning import plan_of
from tests.support.tools import require

from clx.errors import ToolMissingError
from clx.jobtypes.notebook import mermaid
from clx.jobtypes.notebook.deck_text import MERMAID_FENCE
from clx.jobtypes.notebook.markup import Markup, NotDrawnError
from clx.jobtypes.notebook.mermaid import MermaidDrawer
from clx.settings.schema import Settings
from clx.tools.finding import Tool

FLOW = "flowchart LR\n  A[Start] -->|yes| B{Choice}\n"
DECK = "# %% [markdown]\n# # T\n#\n# ```mermaid\n# {}\n# ```\n"


@pytest.fixture(scope="module")
def drawer() -> Iterator[MermaidDrawer]:
    require("browser")
    made = MermaidDrawer(Settings())
    yield made
    made.close()


def pictures(html: str) -> list[str]:
    return [base64.b64decode(data).decode() for data in re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', html)]


# -- without a browser


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((f"{sign}mermaid", True) for sign in ("# ```", "```", "// ~~~~ ", "> ```", "# - ```", "#     ```{")),
        *((text, False) for text in ("```python", "mermaid", "x ```mermaid", "```mermaids")),
    ],
)
def test_decks_that_may_hold_diagrams_are_told(text: str, expected: bool) -> None:
    assert bool(MERMAID_FENCE.search(f"a\n{text}\nb")) is expected


@pytest.mark.parametrize("info", ["mermaid", "{mermaid}", "mermaid {width=5}"])
def test_a_fence_is_drawn(info: str) -> None:
    asked: list[tuple[str, str]] = []
    markup = Markup(lambda source, label: asked.append((source, label)) or "<b>drawn</b>\n")  # type: ignore[func-returns-value]
    assert markup.html(f"```{info}\nA\n```\n", doc="x") == "<b>drawn</b>\n"
    assert asked == [("A\n", "Diagram")]
    assert "<pre><code" in markup.html("```python\nA\n```\n", doc="x")
    assert len(asked) == 1


def test_what_cannot_be_drawn_is_shown_as_its_source() -> None:
    def draw(_source: str, _label: str) -> str:
        raise NotDrawnError("it is wrong")

    markup = Markup(draw)
    assert markup.html("```mermaid\nA\n```\n", doc="x") == '<pre><code class="language-mermaid">A</code></pre>\n'
    assert list(markup.undrawn) == ["it is wrong"]


def test_without_a_browser_the_page_says_what_to_install(monkeypatch: pytest.MonkeyPatch, course: Course) -> None:
    monkeypatch.setattr(mermaid, "locate", lambda *_: None)
    own = type(course.converter)(Settings())
    try:
        outputs = Course(course.root, course.results, own, course.warnings).convert(DECK.format("flowchart LR"))
    finally:
        own.close()
    (warning,) = course.warnings
    assert re.fullmatch(
        r"line 4: a mermaid diagram is shown as its source: there is no browser that draws it \(type: .+\)", warning
    )
    assert "flowchart LR" in (outputs / "code-along.html").read_text("utf-8")


def test_draw_io_desktop_is_no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mermaid, "locate", lambda *_: Tool("browser", Path("/opt/drawio"), "1", "setting"))
    with pytest.raises(NotDrawnError, match="there is no browser"):
        MermaidDrawer(Settings()).html(FLOW, "Diagram")


def test_a_browser_that_does_not_start_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(mermaid, "locate", lambda *_: Tool("browser", broken, "1", "setting"))
    with pytest.raises(ToolMissingError, match="does not start") as caught:
        MermaidDrawer(Settings()).html(FLOW, "Diagram")
    assert "--version" in caught.value.next_step


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Parse error on line 3:\n...A -->\n-----^\nExpecting 'AMP', got 'PIPE'", "Parse error on line 3, at 'PIPE'"),
        ("Parse error on line 4:\n...A -->\n-----^\nExpecting 'AMP', got 'EOF'", "it ends too early"),
        ("No diagram type detected", "No diagram type detected"),
        ("", "unknown error"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(message: str, expected: str) -> None:
    assert mermaid._problem(message) == expected


def test_only_decks_with_diagrams_depend_on_the_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support.courses import Course as CourseOnDisk

    course = CourseOnDisk(tmp_path)
    course.deck("plain")
    course.deck("drawn", DECK.format("flowchart LR"))
    course.spec("plain", "drawn")
    monkeypatch.setattr("clx.course.planner.drawn_by", lambda _settings: "browser 1")
    found = {job.source.rpartition("/")[2]: job.payload.get("drawn_by") for job in plan_of(course).jobs}
    assert found == {"slides_plain.py": None, "slides_drawn.py": "browser 1"}


# -- with one


@pytest.mark.slow
def test_a_diagram_is_drawn_for_light_and_for_dark(drawer: MermaidDrawer) -> None:
    html = drawer.html(FLOW, "Diagramm")
    assert re.findall('<img class="(light|dark)"', html) == ["light", "dark"]
    assert re.findall('alt="([^"]*)"', html) == ["Diagramm: yes, Start, Choice"] * 2
    light, dark = pictures(html)
    assert light != dark
    for svg in (light, dark):
        assert fromstring(svg).get("viewBox")
        assert "<script" not in svg
        assert "foreignObject" not in svg
        assert len(svg) < 40_000


@pytest.mark.slow
@pytest.mark.parametrize(
    "source",
    [
        "gitGraph\n  commit\n  branch dev\n  commit",
        "gantt\n  section S\n  a1 :a1, 2024-01-01, 30d",
        "sankey-beta\n\na,b,10\nb,c,5",
        "architecture-beta\n  group a(cloud)[A]\n  service d(database)[D] in a\n  service s(server)[S]\n  d:L -- R:s",
    ],
)
def test_a_diagram_is_the_same_at_any_time_and_place(drawer: MermaidDrawer, source: str) -> None:
    first = drawer._html(source, "Diagram")
    drawer._html(FLOW, "Diagram")
    assert drawer._html(source, "Diagram") == first
    other = MermaidDrawer(Settings())
    try:
        assert other._html(source, "Diagram") == first
    finally:
        other.close()


@pytest.mark.slow
def test_a_diagram_is_drawn_once(drawer: MermaidDrawer, monkeypatch: pytest.MonkeyPatch) -> None:
    html = drawer.html(FLOW, "Diagram")
    monkeypatch.setattr(drawer, "_draw", None)
    assert drawer.html(FLOW, "Diagram") is html


@pytest.mark.slow
def test_own_colours_are_kept_and_get_a_plate(drawer: MermaidDrawer) -> None:
    html = drawer.html("%%{init: {'theme': 'forest'}}%%\n" + FLOW, "Diagram")
    assert html.count("<img") == 1
    assert "class" not in html.partition("<img")[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("flowchart LR\n  A -->\n", "it ends too early"),
        ("flowchart LR\n  A --> B\n  ] D\n  E", "Lexical error on line 3"),
        ("nonsense", "No diagram type detected"),
        ("   ", "it is empty"),
    ],
)
def test_a_wrong_diagram_says_why(drawer: MermaidDrawer, source: str, why: str) -> None:
    with pytest.raises(NotDrawnError, match=re.escape(why)):
        drawer.html(source, "Diagram")


@pytest.mark.slow
def test_a_diagram_loads_nothing_and_runs_nothing(drawer: MermaidDrawer) -> None:
    picture = "<img src=https://example.org/x.png onerror=alert(1)>"
    source = f'flowchart LR\n  A["{picture}"] --> B\n  click B "javascript:alert(1)"\n'
    for svg in pictures(drawer.html(source, "Diagram")):
        assert "onerror=" not in svg
        assert "javascript:" not in svg
        assert "https://example.org" not in re.sub("<text.*?</text>", "", svg)


@pytest.mark.slow
def test_a_page_shows_the_picture_for_its_colours(tmp_path: Path, course: Course) -> None:
    require("browser")
    outputs = course.convert(DECK.format("flowchart LR\n#   A --> B"))
    assert course.warnings == []
    with reader(outputs) as browser:
        shown = "[...document.querySelectorAll('.mermaid img')].filter(e => e.offsetWidth > 20).map(e => e.className)"
        for mode in ("light", "dark"):
            browser.open("code-along.html", mode=mode)
            assert browser.value(shown) == [mode]
            assert browser.barriers() == []
        browser.press("d")
        assert browser.value(shown) == ["light"]
        assert browser.value("[...document.querySelectorAll('.mermaid img')].every(e => e.naturalWidth > 20)")
        browser.open("code-along.html", mode="dark", media="print")
        assert browser.value(shown) == ["light"]


@pytest.mark.slow
def test_a_syntax_error_is_a_warning_with_its_line(course: Course) -> None:
    require("browser")
    outputs = course.convert("# %%\nx = 1\n\n" + DECK.format("flowchart LR\n#   A -->"))
    assert course.warnings == ["line 7: a mermaid diagram is shown as its source: it ends too early"]
    assert "flowchart LR" in (outputs / "code-along.html").read_text("utf-8")
