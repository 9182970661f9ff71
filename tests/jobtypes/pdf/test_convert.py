"""Pages printed by a real browser."""

from __future__ import annotations

import io
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader
from tests.jobtypes.notebook.test_page import page
from tests.support.tools import require

from clx.errors import ConversionError, ToolMissingError
from clx.jobtypes.drawio.settings import DrawioSettings
from clx.jobtypes.pdf.converter import PdfConverter
from clx.jobtypes.pdf.printer import ORIGIN
from clx.platforms import system
from clx.settings.schema import Settings

DECK = """
# %% [markdown] tags=["slide"]
# # The Title
#
# ![a](img/a.svg) [there](#more)

# %% [markdown] tags=["slide"]
# ## More
#
# | a | b |
# |---|---|
# | 1 | 2 |

# %% [markdown] tags=["notes"]
# Said aloud.
"""
RED = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><rect width="40" height="40" fill="#f00"/></svg>'


@pytest.fixture(scope="module")
def converter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PdfConverter]:
    require("browser")
    made = PdfConverter(Settings(), tmp_path_factory.mktemp("work"))
    yield made
    made.close()


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    (folder / "slides" / "pictures").mkdir(parents=True)
    (folder / "page.html").write_text(page(DECK, kind="speaker")[0], "utf-8")
    (folder / "slides" / "pictures" / "a.svg").write_text(RED, "utf-8")
    return folder


def printed(converter: PdfConverter, inputs: Path, **changes: Any) -> tuple[PdfReader, list[str], bytes]:
    job: dict[str, Any] = {"source": "slides/a.py", "task": "print", "view": "page", "page": "page.html"}
    job |= {"beside": [("slides/pictures/a.svg", "img/a.svg")], **changes}
    outputs, warnings = inputs.parent / "out", list[str]()
    outputs.mkdir(exist_ok=True)
    converter.convert(job, inputs, outputs, warnings.append)
    data = (outputs / "printed.pdf").read_bytes()
    return PdfReader(io.BytesIO(data)), warnings, data


@pytest.mark.slow
def test_dialogs_of_a_page_wait_for_nobody(converter: PdfConverter, inputs: Path) -> None:
    asked = "<script>alert(1); document.title = confirm('2') + prompt('3');</script><svg onload=alert(4)></svg>"
    path = inputs / "page.html"
    path.write_text(path.read_text("utf-8").replace("</main>", f"{asked}</main>"), "utf-8")
    assert "alert(4)" in path.read_text("utf-8")
    assert printed(converter, inputs, timeout=60)[0].pages


@pytest.mark.slow
def test_a_page_on_paper(converter: PdfConverter, inputs: Path) -> None:
    reader, warnings, data = printed(converter, inputs)
    assert warnings == []
    assert [round(float(side)) for side in reader.pages[0].mediabox[2:]] == [596, 842]  # in whole points
    text = "".join(each.extract_text() for each in reader.pages)
    assert "The Title" in text
    assert "Said aloud." in text  # it is the speaker's own page
    assert f"1 / {len(reader.pages)}" in text
    assert [each.title for each in reader.outline if not isinstance(each, list)] == ["The Title"]
    assert reader.root_object["/MarkInfo"]["/Marked"]  # type: ignore[index]
    assert printed(converter, inputs)[2] == data
    fresh = PdfConverter(Settings(), inputs.parent)
    assert printed(fresh, inputs)[2] == data
    fresh.close()
    letter, _, _ = printed(converter, inputs, paper="Letter")
    assert [round(float(side)) for side in letter.pages[0].mediabox[2:]] == [612, 792]


@pytest.mark.slow
def test_slides_on_paper_have_no_notes(converter: PdfConverter, inputs: Path) -> None:
    reader, warnings, data = printed(converter, inputs, view="slides")
    assert warnings == []
    assert [tuple(map(float, each.mediabox[2:])) for each in reader.pages] == [(960, 540)] * 2
    text = [each.extract_text() for each in reader.pages]
    assert "The Title" in text[0]
    assert "More" in text[1]
    assert "aloud" not in "".join(text)
    assert "More" in str(reader.outline)
    assert printed(converter, inputs, view="slides")[2] == data


@pytest.mark.slow
def test_what_does_not_lie_beside_the_page_is_told_and_not_fetched(converter: PdfConverter, inputs: Path) -> None:
    (inputs.parent / "secret.svg").write_text(RED)
    html = (inputs / "page.html").read_text()
    more = '<img src="https://example.org/a.png"><img src="../secret.svg"><img src="file:///etc/hostname"></main>'
    (inputs / "page.html").write_text(html.replace("</main>", more))
    _, warnings, _ = printed(converter, inputs)
    assert not any(line.startswith(ORIGIN) for line in warnings)
    assert [line.partition(" is not in")[0] for line in warnings] == [
        "https://example.org/a.png",
        "secret.svg",
    ]


@pytest.mark.slow
def test_scripts_of_a_page_reach_nobody(converter: PdfConverter, inputs: Path) -> None:
    """Not by requests, windows, frames, workers or connections made in advance."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        there = f"http://127.0.0.1:{server.getsockname()[1]}/"
        script = f"""
          for (const go of [
            () => fetch("{there}"), () => open("{there}"), () => open("file:///etc/hostname"),
            () => new Worker(URL.createObjectURL(new Blob(["fetch('{there}')"]))),
            () => navigator.sendBeacon("{there}"), () => new WebSocket("{there.replace("http", "ws")}"),
            () => fetch("file:///etc/hostname").then(r => r.text()).then(t => document.body.append("LEAK" + t)),
          ]) try {{ Promise.resolve(go()).catch(() => 0); }} catch {{}}
        """
        frames = f'<iframe src="{there}"></iframe><link rel="preconnect" href="{there}">'
        html = (inputs / "page.html").read_text()
        (inputs / "page.html").write_text(html.replace("</main>", f"{frames}<script>{script}</script></main>"))
        reader, _, _ = printed(converter, inputs)
        with pytest.raises(TimeoutError):
            server.accept()
    assert "LEAK" not in "".join(each.extract_text() for each in reader.pages)


@pytest.mark.slow
def test_links_lead_within_the_file_or_to_the_web(converter: PdfConverter, inputs: Path) -> None:
    html = (inputs / "page.html").read_text()
    links = '<a href="#more">a</a> <a href="02 Other.html">b</a> <a href="https://example.org/">c</a>'
    script = '<script src="../course.js"></script>'
    (inputs / "page.html").write_text(html.replace("</main>", f"<p>{links}</p>{script}</main>"))
    reader, warnings, _ = printed(converter, inputs)
    assert warnings == []
    found = [each.get_object() for page in reader.pages for each in page.get("/Annots", ())]
    addresses = [each["/A"]["/URI"] for each in found if "/URI" in each.get("/A", {})]
    assert addresses == ["https://example.org/"]
    assert len(found) >= 2  # and those within the page


@pytest.mark.slow
def test_a_course_is_one_file_with_contents(converter: PdfConverter, inputs: Path) -> None:
    for name, view in (("a.pdf", "page"), ("b.pdf", "slides")):
        (inputs / name).write_bytes(printed(converter, inputs, view=view)[2])
    parts = [{"name": "Week 1", "decks": [("01 A", "a.pdf"), ("02 B", "b.pdf")]}]
    options = {"task": "join", "course": "My Course", "kind": "Speaker", "parts": parts}
    reader, _, data = printed(converter, inputs, **options)
    contents = reader.pages[0].extract_text()
    assert [word in contents for word in ("My Course", "Week 1", "01 A", "02 B")] == [True] * 4
    first_b = len(PdfReader(io.BytesIO((inputs / "a.pdf").read_bytes())).pages) + 2
    assert str(first_b) in contents
    alone = PdfReader(inputs / "a.pdf").pages[0].extract_text()
    assert re.search(r"1 / \d", alone)
    within = reader.pages[1].extract_text()
    assert re.search(r"\d / \d", within) is None
    without = re.sub(
        r"\s*1 / \d\s*", "", alone
    ).split()  # the title in the footer stays, and there is the course's number
    assert within.split() == [*without, "2"]
    assert "The Title" in reader.pages[first_b - 1].extract_text()
    assert printed(converter, inputs, **options)[2] == data


@pytest.mark.slow
def test_a_page_that_does_not_end_fails_and_the_next_one_is_printed(converter: PdfConverter, inputs: Path) -> None:
    good = (inputs / "page.html").read_text()
    (inputs / "page.html").write_text("<!DOCTYPE html><title>t</title><script>for (;;);</script>")
    with pytest.raises(ConversionError, match="not printed within 2 s"):
        printed(converter, inputs, timeout=2)
    (inputs / "page.html").write_text(good)
    assert len(printed(converter, inputs)[0].pages) == 1


@pytest.mark.slow
def test_a_browser_that_was_killed_is_replaced(converter: PdfConverter, inputs: Path) -> None:
    printed(converter, inputs)
    assert converter._printer is not None
    system.kill_group(converter._printer._page.browser.pid)
    assert len(printed(converter, inputs)[0].pages) == 1


def test_draw_io_desktop_prints_nothing(tmp_path: Path) -> None:
    desktop = tmp_path / "drawio"
    desktop.write_text("#!/bin/sh\n")
    desktop.chmod(0o755)
    settings = Settings(drawio=DrawioSettings(executable=str(desktop)))  # type: ignore[call-arg]
    (tmp_path / "out").mkdir()
    (tmp_path / "in").mkdir()
    with pytest.raises(ToolMissingError, match="names draw"):
        printed(PdfConverter(settings, tmp_path), tmp_path / "in")


def test_an_odd_payload_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="not a job for printing"):
        printed(PdfConverter(Settings(), tmp_path), tmp_path, view="book")


@pytest.mark.slow
@pytest.mark.parametrize("view", ["page", "slides"])
def test_characters_that_no_font_has_are_told(converter: PdfConverter, inputs: Path, view: str) -> None:
    path = inputs / "page.html"
    text = path.read_text("utf-8")
    drawn = '<div class="mermaid"><img alt="\U0010fffc" src="img/a.svg"></div>'
    path.write_text(text.replace("</table>", f"</table>\U0010fffd{drawn}"), "utf-8")
    _, [warning], _ = printed(converter, inputs, view=view)
    assert warning.startswith("no font here has \U0010fffd (U+10FFFD), \U0010fffc (U+10FFFC), so boxes are drawn")
