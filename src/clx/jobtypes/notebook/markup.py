"""Markdown cells as HTML: CommonMark with tables, formulas, footnotes and raw HTML, as Jupyter shows them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.attrs import attrs_plugin
from mdit_py_plugins.deflist import deflist_plugin
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.tasklists import tasklists_plugin

from clx.jobtypes.notebook.callouts import callouts_plugin
from clx.jobtypes.notebook.formulas import Formulas, formulas_of_html, formulas_plugin
from clx.jobtypes.notebook.highlight import highlight, lexer_named
from clx.jobtypes.notebook.labels import words_in

_IMAGE = re.compile(r"(<img\b)((?:(?!<img\b)[^>])*)", re.IGNORECASE)
_ALT = re.compile(r"\balt\s*=", re.IGNORECASE)
_NOT_IN_SLUG = re.compile(r"[^\w\s-]")


_DIAGRAM = re.compile(r"\{?mermaid\b")
Draw = Callable[[str, str], str]
"""A diagram's source and what it is called in the page's language → HTML; raises :class:`NotDrawnError`."""


class NotDrawnError(Exception):
    """Why a diagram is shown as its source, in words."""


@dataclass(frozen=True, slots=True)
class Heading:
    """One entry of the table of contents."""

    level: int
    text: str
    anchor: str


class Markup:
    """Renders the Markdown cells of one page; anchors are unique in it.

    Renderers are costly to make: :meth:`clear` makes one ready for the next page.

    Args:
        draw: makes pictures of a diagram's source, given what it is called in the page's language; ``None``: diagrams
            stay their source.
    """

    def __init__(self, draw: Draw | None = None) -> None:
        self._draw = draw
        self.undrawn: dict[str, int] = {}
        """Why diagrams are shown as their source, with the line of the text, counted from 0."""
        self.headings: list[Heading] = []
        self._words: Mapping[str, str] = words_in("en")
        self.formulas = Formulas()
        self.unread_directives: dict[str, int] = {}
        self._anchors: dict[str, int] = {}
        self._md = MarkdownIt("commonmark", _OPTIONS)
        self._md.enable(["table", "strikethrough", "linkify"])
        assert self._md.linkify is not None
        # only what has a scheme: names of files (script.py, README.md) end like names of hosts
        self._md.linkify.set({"fuzzy_link": False, "fuzzy_email": False, "fuzzy_ip": False})
        self._md.linkify.add("//", None).add("ftp:", None)
        self._md.use(formulas_plugin, mark=self._mark)
        self._md.use(footnote_plugin).use(deflist_plugin).use(tasklists_plugin, label=True)
        self._md.use(callouts_plugin)
        self._md.use(attrs_plugin, after=("image",))
        self._md.add_render_rule("fence", lambda _renderer, *given: self._fence(*given))
        self._md.add_render_rule("html_inline", _render_html)
        self._md.add_render_rule("html_block", lambda _renderer, *given: self._html_block(*given))
        self._md.add_render_rule("table_open", lambda *_: '<div class="scroll"><table>\n')
        self._md.add_render_rule("table_close", lambda *_: "</table></div>\n")

    def clear(self, words: Mapping[str, str] | None = None) -> None:
        """Forget what the last page contained; *words* are those of the next one, English without them."""
        self.headings = []
        self._words = words or words_in("en")
        self.formulas.clear()
        self._anchors = {}

    def html(self, source: str, *, doc: str, in_contents: bool = True) -> str:
        """Render one cell; *doc* makes the ids of its footnotes unique in the page."""
        env: dict[str, Any] = {"docId": doc, "words": self._words}
        tokens = self._md.parse(source, env)
        self.unread_directives |= env.get("unread", {})
        for token, following in pairwise(tokens):
            if token.type == "heading_open":
                self._note_heading(token, following, in_contents=in_contents)
        return str(self._md.renderer.render(tokens, self._md.options, env))

    def _mark(self, tex: str, display: bool, line: int) -> str:
        self.formulas.offset = line
        return self.formulas.mark(tex, display=display)

    def _html_block(self, tokens: Sequence[Token], index: int, *rest: Any) -> str:
        html, place = _render_html(None, tokens, index, *rest), tokens[index].map
        return formulas_of_html(html, self._mark, place[0] if place else 0)

    def _fence(self, tokens: Sequence[Token], index: int, *rest: Any) -> str:
        token = tokens[index]
        if self._draw and _DIAGRAM.match(token.info.strip()):
            try:
                return self._draw(token.content, self._words["diagram"])
            except NotDrawnError as error:
                self.undrawn.setdefault(str(error), token.map[0] if token.map else 0)
        return str(self._md.renderer.fence(tokens, index, *rest))  # type: ignore[attr-defined]

    def _note_heading(self, opening: Token, inline: Token, *, in_contents: bool) -> None:
        text = _plain(inline.children or [])
        anchor = self._anchor(text)
        opening.attrSet("id", anchor)
        level = int(opening.tag[1:])
        last = self.headings[-1] if self.headings else None
        if in_contents and text and not (last and (last.level, last.text) == (level, text)):
            self.headings.append(Heading(level, text, anchor))

    def _anchor(self, text: str) -> str:
        slug = slug_of(text)
        anchor, number = slug, self._anchors.get(slug, 0)
        while anchor in self._anchors:
            number += 1
            anchor = f"{slug}-{number}"
        self._anchors[slug] = max(number, 1)
        self._anchors.setdefault(anchor, 1)
        return anchor


def slug_of(text: str) -> str:
    """The anchor of a heading with this text, if it is the first one."""
    slug = _NOT_IN_SLUG.sub("", unicodedata.normalize("NFC", text).lower()).strip()
    return "-".join(slug.split()) or "section"


def _plain(children: Sequence[Token]) -> str:
    """The text of a heading without its markup."""
    parts = []
    for child in children:
        if child.type in {"softbreak", "hardbreak"}:
            parts.append(" ")
        elif child.type == "image":
            parts.append(_plain(child.children or []))
        elif child.type not in {"html_inline", "footnote_ref"}:
            parts.append(child.content)
    return " ".join("".join(parts).split())


def _highlight(code: str, name: str, _attributes: str) -> str:
    return highlight(code.rstrip("\n"), lexer_named(name) if name else None)


_OPTIONS: dict[str, Any] = {"html": True, "xhtmlOut": False, "linkify": True, "highlight": _highlight}


def _render_html(_renderer: object, tokens: Sequence[Token], index: int, *_: Any) -> str:
    return _IMAGE.sub(lambda tag: tag[0] if _ALT.search(tag[2]) else f'<img alt=""{tag[2]}', tokens[index].content)
