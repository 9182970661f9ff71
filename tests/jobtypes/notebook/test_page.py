"""The HTML page."""

from __future__ import annotations

import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.support.tools import require

from clx.jobtypes.notebook.ansi import ansi_html
from clx.jobtypes.notebook.cells import read_cells
from clx.jobtypes.notebook.deck import PROG_LANG
from clx.jobtypes.notebook.execution.results import CellResult
from clx.jobtypes.notebook.page import PageFrame, PageMaker
from clx.jobtypes.notebook.variants import in_language, variant
from clx.settings.schema import Settings
from clx.tools.finding import locate

MAKER = PageMaker()
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Balance(HTMLParser):
    """Collects elements, and end tags that do not fit."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def page(
    text: str,
    kind: Any = "completed",
    lang: str = "en",
    outputs: list[dict[str, Any]] | None = None,
    language: str = "python",
) -> tuple[str, list[str]]:
    """The page of a deck, and the warnings; *outputs* are those of every code cell."""
    cells = variant(in_language(read_cells(text, PROG_LANG[language]), lang), kind, lang)
    runs = {}
    if outputs is not None:
        runs = {cell.id: CellResult(outputs, number) for number, cell in enumerate(cells, 1) if cell.runs}
    frame = PageFrame("My <Course>", "Week 1", 3, "A & B", lang, kind)
    warnings: list[str] = []
    html = MAKER.page(frame, cells, PROG_LANG[language], runs, lambda text, _line: warnings.append(text)).decode()
    parser = Balance()
    parser.feed(html)
    assert (parser.wrong, parser.open) == ([], [])
    return html, warnings


def body(html: str) -> str:
    return html.partition("<main")[2].partition("</main>")[0]


def markdown(text: str, **options: Any) -> str:
    lines = "\n".join(f"# {line}" for line in text.split("\n"))
    return body(page(f"# %% [markdown]\n{lines}\n", **options)[0])


def test_the_frame_names_deck_section_and_course() -> None:
    html, warnings = page("# %%\nx = 1\n", lang="de")
    assert html.startswith('<!DOCTYPE html>\n<html lang="de" data-view="page">')
    assert "<title>03 A &amp; B · Week 1 · My &lt;Course&gt;</title>" in html
    assert '<h1 class="title">A &amp; B</h1>' in html
    assert not warnings


def test_a_title_behind_code_is_not_repeated() -> None:
    html, _ = page("# %%\nx = 1\n# %% [markdown]\n# # A & B\n")
    assert body(html).count("A &amp; B</h1>") == 1
    html, _ = page("# %%\nx = 1\n# %% [markdown]\n# # Other\n")
    assert body(html).count("</h1>") == 2


def test_a_title_cell_is_not_repeated() -> None:
    assert "h1 class" not in markdown("# Own title")


def test_a_page_needs_nothing_from_elsewhere() -> None:
    text = "# %% [markdown]\n# # T\n# ![a](img/x.png) $x^2$\n#\n# ## U\n\n# %%\nx = 1\n"
    html, _ = page(text)
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", html)
    assert not re.findall(r"@import|url\(", html)
    assert re.findall("<script[^>]*>", html) == ["<script>"] * 2
    assert not re.findall(r"fetch\(|XMLHttpRequest|import\(|WebSocket", html)
    assert len(html.encode()) < 60_000


def test_bytes_depend_on_the_deck_only() -> None:
    text = "# %% [markdown]\n# # T\n# a[^1] $\\nope$\n#\n# [^1]: note\n\n# %%\nx = 1\n"
    first = page(text)
    page("# %% [markdown]\n# # T\n# something else[^1] $\\wrong$\n#\n# [^1]: note\n")
    assert page(text) == first


def test_contents_lead_to_headings() -> None:
    text = "# %% [markdown]\n# # Title\n#\n# ## Loops & more\n#\n# ## `for` $x$\n\n# %% [markdown]\n# ## Loops & more\n"
    html, _ = page(text)
    links = re.findall(r'<a href="#([^"]+)">([^<]*)</a></li>', html)
    assert links == [
        ("title", "Title"),
        ("loops-more", "Loops &amp; more"),
        ("for-x", "for x"),
        ("loops-more-2", "Loops &amp; more"),
    ]
    assert all(f'id="{anchor}"' in html for anchor, _ in links)


def test_a_heading_that_goes_on_over_slides_is_listed_once() -> None:
    html, _ = page("# %% [markdown]\n# # T\n\n# %% [markdown]\n# ## A\n\n# %% [markdown]\n# ## A\n")
    assert html.count("<li class=") == 2


def test_headings_of_notes_are_not_in_the_contents() -> None:
    text = "# %% [markdown]\n# # T\n# ## A\n\n# %% [markdown] tags=['notes']\n# ## Remember\n"
    html, _ = page(text, "speaker")
    assert "Remember" not in html.partition("<main")[0]
    assert re.search(r'<aside class="notes"[^>]*>.*Remember.*</aside>', html, re.DOTALL)


def test_slides_are_sections() -> None:
    text = '# %% [markdown] tags=["slide"]\n# a\n\n# %%\nx\n\n# %% [markdown] tags=["subslide"]\n# b\n'
    html, _ = page(text)
    assert re.findall(r"<section[^>]*>", html) == ['<section class="slide">', '<section class="subslide">']


def test_markdown_as_jupyter_shows_it() -> None:
    html = markdown(
        "| a | b |\n|---|--:|\n| 1 | 2 |\n\n~~old~~ [link](x.html)\n\n- [x] done\n\nTerm\n: Meaning\n\n"
        '<div class="own"><b>raw</b></div>'
    )
    for expected in ("<td>1</td>", "<s>old</s>", 'href="x.html"', 'type="checkbox"', "<dt>Term</dt>"):
        assert expected in html
    assert '<div class="own"><b>raw</b></div>' in html


def test_pictures_keep_their_path_and_have_an_alternative_text() -> None:
    html = markdown(
        '<img src="img/x.png" style="width:50%">\n\n![A plot](img/y.png){width="50%"}\n\n<img alt="k" src="z.png">'
    )
    assert '<img alt="" src="img/x.png" style="width:50%">' in html
    assert '<img src="img/y.png" alt="A plot" width="50%">' in html
    assert '<img alt="k" src="z.png">' in html


def test_footnotes_of_two_cells_do_not_meet() -> None:
    cell = "# %% [markdown]\n# {0}[^1]\n#\n# [^1]: {0} note\n\n"
    html, _ = page(cell.format("a") + cell.format("b"))
    anchors = re.findall(r' id="(fn[^"]*)"', html)
    assert len(anchors) == len(set(anchors)) == 4


def test_code_is_coloured_and_escaped() -> None:
    html, _ = page('# %%\ndef f(x):\n    return x < 1  # "a" & b\n')
    assert '<span class="k">def </span><span class="f">f</span>' in html
    assert '<span class="o">&lt; </span>' in html
    assert '<span class="c"># "a" &amp; b</span></code></pre>' in html


@pytest.mark.parametrize("language", PROG_LANG.values(), ids=lambda language: language.name)
def test_every_language_is_coloured(language: Any) -> None:
    html, _ = page(f'{language.comment} %%\nx = "text"  {language.comment} say\n', language=language.name)
    assert f'<span class="c">{language.comment} say</span>' in html


def test_fenced_code_is_coloured_by_its_name() -> None:
    html = markdown("```py\nif x: pass\n```\n\n```nolanguage\n<b>\n```\n\n```\nplain <\n```")
    assert '<span class="k">if </span>' in html
    assert "&lt;b&gt;</code>" in html
    assert "plain &lt;" in html


def test_a_cell_to_fill_in_is_an_empty_area() -> None:
    html, _ = page("# %%\nsolution = 42\n", "code-along")
    assert "solution" not in html
    assert '<div class="code empty" role="img" aria-label="Empty cell for your own code"></div>' in html


def test_executed_cells_have_numbers_and_others_have_not() -> None:
    assert '<span class="n">[1]</span>' in page("# %%\nx\n", outputs=[])[0]
    assert '<span class="n">[ ]</span>' in page("# %%\nx\n")[0]


def out(*outputs: dict[str, Any]) -> str:
    html = body(page("# %%\nx\n", outputs=list(outputs))[0])
    return html.partition('<div class="out">')[2].rpartition("</div>\n</div>\n</section>")[0]


def data(mime: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "data": {mime: value, "text/plain": "<plain>"}, "metadata": {}, **more}


def test_streams() -> None:
    html = out(
        {"output_type": "stream", "name": "stdout", "text": "a < b\n"},
        {"output_type": "stream", "name": "stderr", "text": ["care", "ful\n"]},
        {"output_type": "stream", "name": "stdout", "text": "\n"},
    )
    assert html.strip() == '<pre class="stdout">a &lt; b</pre>\n<pre class="stderr">careful</pre>'


def test_long_text_scrolls_and_can_be_reached_by_keyboard() -> None:
    html = out({"output_type": "stream", "name": "stdout", "text": "line\n" * 60})
    assert '<pre class="stdout long" tabindex="0">' in html


def test_rich_outputs() -> None:
    assert '<div class="html"><table><tr><td>1</td></tr></table></div>' in out(
        data("text/html", ["<table><tr>", "<td>1</td></tr></table>"])
    )
    assert 'src="data:image/png;base64,AAAA"' in out(data("image/png", "AA\nAA\n"))
    sized = data("image/png", "AAAA", metadata={"image/png": {"width": 30, "height": 20}})
    assert '<img alt="Output of cell 1" width="30" height="20" src=' in out(sized)
    svg = out(data("image/svg+xml", '<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg xmlns="x"></svg>'))
    assert 'src="data:image/svg+xml;base64,PHN2' in svg, "the prolog is gone: PHN2 is <sv"
    assert "<math" in out(data("text/latex", r"$\displaystyle x^2$"))
    assert "<strong>b</strong>" in out(data("text/markdown", "**b**"))
    assert '<pre class="result">&lt;plain&gt;</pre>' in out(data("application/vnd.unknown+json", {}))


@pytest.mark.parametrize("size", [float("inf"), float("nan"), "1", None])
def test_pictures_stay_in_their_attribute_whatever_the_cell_says(size: object) -> None:
    html = out(data("image/png", '"><script>alert(1)</script>', metadata={"image/png": {"width": size}}))
    assert "<script>" not in html
    assert "width" not in html


def test_errors_that_belong_to_the_lesson() -> None:
    error = {
        "output_type": "error",
        "ename": "E",
        "evalue": "e",
        "traceback": ["\x1b[31mE\x1b[0m: <e>"],
    }
    assert '<pre class="error"><span class="af1">E</span>: &lt;e&gt;</pre>' in out(error)
    assert '<pre class="error">E: e</pre>' in out({**error, "traceback": []})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain <b>", "plain &lt;b&gt;"),
        ("\x1b[1;31mx\x1b[0my", '<span class="ab af1">x</span>y'),
        ("\x1b[91;42mx", '<span class="af9 ag2">x</span>'),
        ("\x1b[38;5;208mx\x1b[39my", '<span style="color:#ff8700">x</span>y'),
        ("\x1b[48;2;1;2;3mx", '<span style="background:#010203">x</span>'),
        ("\x1b[38;5;9mx", '<span class="af9">x</span>'),
        ("\x1b[38;5;250mx", '<span style="color:#bcbcbc">x</span>'),
        ("\x1b[1mx\x1b[22my\x1b[m", '<span class="ab">x</span>y'),
        ("\x1b]0;title\x07x\x1b[2Ky\x1b", "xy"),
        ("10%\r20%\r100%\n", "100%\n"),
        ("a\r\nb", "a\nb"),
        ("abc\b\bd", "ad"),
        ("\x1b[38;5mx\x1b[38;2;1mx", "xx"),
        (f"\x1b[{'9' * 5000}mx", "x"),
    ],
)
def test_terminal_text(text: str, expected: str) -> None:
    assert ansi_html(text) == expected


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 500, 1000, 1400])
def test_no_number_lies_over_code(tmp_path: Path, width: int) -> None:
    require("browser")
    browser = locate("browser", Settings())
    assert browser is not None
    text = "# %%\nx = 1\n\n# %% tags=['notes']\n" + "very_long_name = " * 20 + "1\n"
    html, _ = page(text, kind="speaker", outputs=[])
    script = """<script>
    const box = element => element.getBoundingClientRect();
    const lines = pre => { const range = document.createRange(); range.selectNodeContents(pre); return box(range); };
    const meets = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
    const cells = [...document.querySelectorAll(".in")].map(cell => [box(cell.querySelector(".n")), cell]);
    document.title = cells.map(([n, cell]) => n.width > 0 && n.left >= 0 &&
        !meets(n, lines(cell.querySelector("code"))) ? "clear" : "covered").join();
    </script>"""
    file = tmp_path / "page.html"
    file.write_text(html.replace("</body>", f"{script}</body>"))
    options = ["--no-sandbox", "--headless", f"--window-size={width},800", f"--user-data-dir={tmp_path / 'profile'}"]
    command = [str(browser.path), *options, "--dump-dom", file.as_uri()]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert "<title>clear,clear</title>" in found


@pytest.mark.parametrize("kind", ["completed", "speaker"])
def test_what_an_author_folds_is_opened_by_the_reader(kind: str) -> None:
    stream = [{"output_type": "stream", "name": "stdout", "text": "written"}]
    text = '# %% [markdown]\n# # T\n# %% tags=["{}"]\nhidden_code\n'
    for tag, words in (("hide-input", "Show code"), ("hide-output", "Show output"), ("hide-cell", "Show cell")):
        html, _ = page(text.format(tag), kind, outputs=stream)
        folded = html.partition('<details class="fold">')[2].partition("</details>")[0]
        assert f'<summary class="ui">{words}</summary>' in folded
        assert ("hidden_code" in folded, "written" in folded) == (tag != "hide-output", tag != "hide-input")
        assert "hidden_code" in html
        assert "written" in html
    collapsed, _ = page('# %% [markdown] tags=["collapse"]\n# A hint\n', kind)
    assert "A hint" in collapsed.partition("<details")[2].partition("</details>")[0]


def test_what_an_author_removes_from_pages_is_not_there() -> None:
    stream = [{"output_type": "stream", "name": "stdout", "text": "written"}]
    text = '# %% tags=["{}"]\nhidden_code\n'
    for tag, shown in (
        ("remove-input", (False, True)),
        ("remove-output", (True, False)),
        ("remove-cell", (False, False)),
        ("keep", (True, True)),
    ):
        html, _ = page(text.format(tag), outputs=stream)
        assert ("hidden_code" in html, "written" in html) == shown
    assert 'class="code empty"' not in page(text.format("remove-input"), "code-along")[0]
    assert 'class="code empty"' in page(text.format("hide-input"), "code-along")[0]


def test_programs_are_told_who_has_written_the_course() -> None:
    frame = PageFrame("Course", "Week", 1, "Deck", "en", "completed", author="Jane <J>")
    html = MAKER.page(frame, [], PROG_LANG["python"], {}, lambda *_: None).decode()
    assert '<meta name="author" content="Jane &lt;J&gt;">' in html
    assert 'name="author"' not in page("# %%\n1\n")[0]
