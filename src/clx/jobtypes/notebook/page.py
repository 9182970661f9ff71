"""The format ``html``: one self-contained page per deck, readable on screens and on paper."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from jinja2 import Environment, Template
from markupsafe import Markup as SafeText

from clx.jobtypes.notebook.deck import ProgLang
from clx.jobtypes.notebook.execution.results import CellResult
from clx.jobtypes.notebook.highlight import highlight, lexer_named
from clx.jobtypes.notebook.markup import Markup
from clx.jobtypes.notebook.output_html import outputs_html
from clx.jobtypes.notebook.variants import Audience, DeckCell

_ASSETS = Path(__file__).with_name("assets")
_STYLES = ("page.css",)
"""The style sheets of every page, in order."""
_SCRIPTS: tuple[str, ...] = ()
"""The scripts of every page, in order."""
WarnAt = Callable[[str, int], None]
"""Told of something that a reader of the page would miss, with the line of the expanded deck."""
_WORDS = {
    "de": {
        "contents": "Inhalt",
        "skip": "Zum Inhalt springen",
        "empty": "Leere Zelle für eigenen Code",
        "notes": "Notizen",
        "output": "Ausgabe von Zelle",
    },
    "en": {
        "contents": "Contents",
        "skip": "Skip to content",
        "empty": "Empty cell for your own code",
        "notes": "Notes",
        "output": "Output of cell",
    },
}


@dataclass(frozen=True, slots=True)
class PageFrame:
    """What a page says around its cells."""

    course: str
    section: str
    number: int | None
    """Place of the deck in its section."""
    title: str
    lang: str
    kind: Audience
    has_index: bool = False
    """Whether the course has an index in the directory above."""


class PageMaker:
    """Makes pages, one after the other; keeps its renderers warm."""

    def __init__(self) -> None:
        self._markup = Markup()

    def page(
        self,
        frame: PageFrame,
        cells: Sequence[DeckCell],
        language: ProgLang,
        runs: Mapping[str, CellResult],
        warn: WarnAt,
    ) -> bytes:
        """The page of one kind of a deck.

        Args:
            runs: what executed cells left behind, by cell id; empty when nothing was executed.
            warn: called for each formula that is shown as its source, with the line of its cell.
        """
        self._markup.clear()
        body = _Body(self._markup, frame, language, runs, warn)
        content = body.html(cells)
        words = _words(frame.lang)
        text = _template().render(
            frame=frame,
            words=words,
            kind=frame.kind.title(),
            number=f"{frame.number:02d}" if frame.number is not None else "",
            headings=self._markup.headings,
            top=min((heading.level for heading in self._markup.headings), default=1),
            titled=body.starts_with_title(cells),
            css=page_css(),
            script=_script(),
            content=SafeText(content),  # noqa: S704 - rendered Markdown and code, escaped where it is text
        )
        return text.encode("utf-8", "replace")


class _Body:
    """The cells of one page."""

    def __init__(
        self,
        markup: Markup,
        frame: PageFrame,
        language: ProgLang,
        runs: Mapping[str, CellResult],
        warn: WarnAt,
    ) -> None:
        self._markup = markup
        self._words = _words(frame.lang)
        self._lexer = lexer_named(language.name)
        self._runs = runs
        self._warn = warn

    def html(self, cells: Sequence[DeckCell]) -> str:
        """All cells, in one section per slide."""
        parts = [] if cells and _opens_slide(cells[0]) else ["<section>\n"]
        for cell in cells:
            if _opens_slide(cell):
                parts.append("</section>\n" if parts else "")
                parts.append(f'<section class="{cell.slide_type}">\n')
            parts.append(self._cell(cell))
        return "".join(parts) + "</section>\n"

    def starts_with_title(self, cells: Sequence[DeckCell]) -> bool:
        """Whether the deck itself shows its title, so that the page need not."""
        text = cells[0].source.lstrip() if cells and cells[0].kind == "markdown" else ""
        return text.startswith("# ") or text.lower().startswith(("<h1", "<div"))

    def _cell(self, cell: DeckCell) -> str:
        html = self._inner(cell)
        self._warn_of_formulas(cell)
        if "notes" not in cell.tags:
            return html
        label = escape(self._words["notes"])
        return f'<aside class="notes" aria-label="{label}"><p class="label">{label}</p>\n{html}</aside>\n'

    def _warn_of_formulas(self, cell: DeckCell) -> None:
        for formula in self._markup.unread_formulas:
            self._warn(f"a formula is shown as its source because it cannot be typeset: {formula}", cell.line)
        self._markup.unread_formulas.clear()

    def _inner(self, cell: DeckCell) -> str:
        if cell.kind == "markdown":
            in_contents = "notes" not in cell.tags
            text = self._markup.html(cell.source, doc=cell.id, in_contents=in_contents)
            return f'<div class="text">\n{text}</div>\n'
        if cell.kind == "raw":
            return f'<pre class="raw">{escape(cell.source, quote=False)}</pre>\n'
        return self._code(cell)

    def _code(self, cell: DeckCell) -> str:
        if not cell.source.strip():
            label = escape(self._words["empty"])
            return f'<div class="code empty" role="img" aria-label="{label}"></div>\n'
        run = self._runs.get(cell.id, CellResult())
        number = run.execution_count if run.execution_count is not None else " "
        code = highlight(cell.source, self._lexer)
        inside = f'<div class="in"><span class="n">[{number}]</span><pre><code>{code}</code></pre></div>\n'
        label = f"{self._words['output']} {number}".rstrip()
        found = outputs_html(run.outputs, self._markup, label)
        outputs = f'<div class="out">\n{found}</div>\n' if found else ""
        return f'<div class="code">{inside}{outputs}</div>\n'


def _opens_slide(cell: DeckCell) -> bool:
    return cell.slide_type in ("slide", "subslide")


def _words(lang: str) -> dict[str, str]:
    return _WORDS.get(lang, _WORDS["en"])


@functools.cache
def _template() -> Template:
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_asset("page.html.j2"))


@functools.cache
def page_css() -> SafeText:
    """The style sheets of pages, without their comments and indentation."""
    lines = "\n".join(_asset(name) for name in _STYLES).splitlines()
    kept = [line.strip() for line in lines if line.strip() and not line.strip().startswith("/*")]
    return SafeText("\n".join(kept))  # noqa: S704 - CLX's own files


@functools.cache
def _script() -> SafeText:
    return SafeText("\n".join(_asset(name) for name in _SCRIPTS))  # noqa: S704 - CLX's own files


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")
