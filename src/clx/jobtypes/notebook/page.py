"""The format ``html``: one self-contained page per deck, readable on screens and on paper."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import NamedTuple

from jinja2 import Environment, Template
from markupsafe import Markup as SafeText

from clx.jobtypes.notebook.attachments import embedded
from clx.jobtypes.notebook.attributes import without_options
from clx.jobtypes.notebook.deck import ProgLang
from clx.jobtypes.notebook.execution.results import CellResult
from clx.jobtypes.notebook.figures import Figures, PackagedFile
from clx.jobtypes.notebook.highlight import highlight, lexer_named
from clx.jobtypes.notebook.labels import direction, words_in
from clx.jobtypes.notebook.markup import Draw, Markup
from clx.jobtypes.notebook.output_html import OutputWriter
from clx.jobtypes.notebook.page_assets import asset, early_script, page_css, page_script
from clx.jobtypes.notebook.slide_words import slide_words
from clx.jobtypes.notebook.theme import Theme
from clx.jobtypes.notebook.variants import Audience, DeckCell

WarnAt = Callable[[str, int], None]
"""Told of something that a reader of the page would miss, with the line of the expanded deck."""


class Download(NamedTuple):
    """The same deck in another format, as a page offers it.

    The page finds it by its own address, when it is shown: its number and its title may change without it.
    """

    label: str
    """Which word says what it is."""
    directory: str
    """What stands for ``Html`` in its path."""
    ending: str


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
    labels: Mapping[str, str] = field(default_factory=dict)
    """Words that the course says instead of CLX's own."""
    theme: Theme = field(default_factory=Theme)
    downloads: tuple[Download, ...] = ()
    has_index: bool = False
    """Whether the course has an index, in the directory to which *up* leads."""
    author: str = ""
    up: str = "../"

    @property
    def words(self) -> dict[str, str]:
        """What the page says by itself."""
        return words_in(self.lang, self.labels)


class PageMaker:
    """Makes pages, one after the other; keeps its renderers warm.

    Args:
        packaged: finds a file that a package of the cells' interpreter brings.
        draw: as :class:`~clx.jobtypes.notebook.markup.Markup` has it.
    """

    def __init__(self, packaged: PackagedFile = lambda _path: None, draw: Draw | None = None) -> None:
        self._markup = Markup(draw)
        self._figures = Figures(packaged)

    @property
    def carried(self) -> str:
        """What names the libraries that the last page carries (``figures.without_carried``); empty if none."""
        return self._figures.carried

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
            warn: called for each formula that is shown as its source, and each output that cannot be shown, with
                the line of its cell.
        """
        self._markup.clear(frame.words)
        self._figures.clear()
        body = _Body(self._markup, self._figures, frame, language, runs, warn)
        content = self._markup.formulas.replaced(body.html(cells), warn) + self._figures.scripts()
        words = frame.words
        present, slide_texts = slide_words(frame.lang, frame.labels)
        text = _template().render(
            frame=frame,
            words=words,
            kind=words[frame.kind.replace("-", "_")],
            direction=direction(frame.lang),
            number=f"{frame.number:02d}" if frame.number is not None else "",
            headings=self._markup.headings,
            top=min((heading.level for heading in self._markup.headings), default=1),
            titled=body.shows_title(cells, frame.title),
            css=page_css() + SafeText(frame.theme.css),  # noqa: S704 - the course's own, see theme.py
            early=early_script() if frame.theme.mode == "auto" else "",
            script=page_script(),
            present=present,
            slide_texts=slide_texts,
            content=SafeText(content),  # noqa: S704 - rendered Markdown and code, escaped where it is text
        )
        return text.encode("utf-8", "replace")


class _Body:
    """The cells of one page."""

    def __init__(
        self,
        markup: Markup,
        figures: Figures,
        frame: PageFrame,
        language: ProgLang,
        runs: Mapping[str, CellResult],
        warn: WarnAt,
    ) -> None:
        self._markup = markup
        self._outputs = OutputWriter(markup, figures)
        self._words = frame.words
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

    def shows_title(self, cells: Sequence[DeckCell], title: str) -> bool:
        """Whether the deck itself shows its title, so that the page need not; asked once it is rendered."""
        first = next(iter(self._markup.headings), None)
        if first is not None and first.level == 1 and first.text == title:
            return True  # maybe behind code
        text = cells[0].source.lstrip() if cells and cells[0].kind == "markdown" else ""
        return text.startswith("# ") or text.lower().startswith(("<h1", "<div"))

    def _cell(self, cell: DeckCell) -> str:
        if cell.page_cell == "absent":
            return ""
        self._markup.formulas.line_of = cell.line_at
        inner = self._inner(cell)
        inner = self._folded(inner, "show_cell") if inner and cell.page_cell == "folded" else inner
        html = self._classed(inner, cell)
        self._warn_of_directives(cell)
        if "notes" not in cell.tags:
            return html
        label = escape(self._words["notes"])
        return f'<aside class="notes" aria-label="{label}"><p class="label">{label}</p>\n{html}</aside>\n'

    @staticmethod
    def _classed(html: str, cell: DeckCell) -> str:
        """With the classes by which slides know cells that come one by one, and those that only the speaker sees."""
        names = [tag for tag in ("fragment", "incremental", "private") if tag in cell.tags]
        return html.replace('class="', f'class="{" ".join(names)} ', 1) if names else html

    def _warn_of_directives(self, cell: DeckCell) -> None:
        for name, offset in self._markup.unread_directives.items():
            fact = f"the directive {{{name}}} is shown as its source: pages know boxes like {{note}} only"
            self._warn(fact, cell.line_at(offset))
        self._markup.unread_directives.clear()
        for why, offset in self._markup.undrawn.items():
            self._warn(f"a mermaid diagram is shown as its source: {why}", cell.line_at(offset))
        self._markup.undrawn.clear()

    def _warn_of_attachment(self, name: str, cell: DeckCell) -> None:
        self._warn(f"nothing that can be shown is attached to this cell as {name}", cell.line)

    def _inner(self, cell: DeckCell) -> str:
        if cell.kind == "markdown":
            in_contents = "notes" not in cell.tags
            text = self._markup.html(cell.source, doc=cell.id, in_contents=in_contents)
            text = embedded(text, cell.attachments, lambda name: self._warn_of_attachment(name, cell))
            return f'<div class="text">\n{text}</div>\n'
        if cell.kind == "raw":
            return f'<pre class="raw">{escape(cell.source, quote=False)}</pre>\n'
        return self._code(cell)

    def _code(self, cell: DeckCell) -> str:
        if not cell.source.strip() and cell.page_input == "absent":
            return ""
        if not cell.source.strip():
            label = escape(self._words["empty"])
            return f'<div class="code empty" role="img" aria-label="{label}"></div>\n'
        inside, outside = self._input(cell), self._output(cell)
        return f'<div class="code">{inside}{outside}</div>\n' if inside or outside else ""

    def _input(self, cell: DeckCell) -> str:
        if cell.page_input == "absent":
            return ""
        code = highlight(without_options(cell.source), self._lexer)
        text = f'<div class="in"><span class="n">[{self._number(cell)}]</span><pre><code>{code}</code></pre></div>\n'
        return self._folded(text, "show_input") if cell.page_input == "folded" else text

    def _output(self, cell: DeckCell) -> str:
        if cell.page_output == "absent" or cell.id not in self._runs:
            return ""
        label = f"{self._words['output']} {self._number(cell)}".rstrip()
        self._markup.formulas.line_of = lambda _offset: cell.line
        found = self._outputs.html(
            self._runs[cell.id].outputs, label, lambda text: self._warn(f"cell {cell.number}: {text}", cell.line)
        )
        if not found:
            return ""
        text = f'<div class="out">\n{found}</div>\n'
        return self._folded(text, "show_output") if cell.page_output == "folded" else text

    def _number(self, cell: DeckCell) -> str:
        number = self._runs[cell.id].execution_count if cell.id in self._runs else None
        return " " if number is None else str(number)

    def _folded(self, html: str, word: str) -> str:
        """What a reader has to open."""
        return f'<details class="fold"><summary class="ui">{escape(self._words[word])}</summary>\n{html}</details>\n'


def _opens_slide(cell: DeckCell) -> bool:
    return cell.slide_type in ("slide", "subslide")


@functools.cache
def _template() -> Template:
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(asset("page.html.j2"))
