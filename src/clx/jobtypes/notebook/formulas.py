"""TeX formulas of a page: where they stand in a text, and what they are replaced by once all of them are known."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_block import table as _table
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from mdit_py_plugins.amsmath import amsmath_block, amsmath_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.dollarmath.index import math_block_dollar

from clx.jobtypes.notebook.deck import code_spans
from clx.jobtypes.notebook.dollars import closing, formula_at, has_words, spans_masked
from clx.jobtypes.notebook.formula_places import (
    backslash_formula,
    environment_end,
    in_html,
    tex_of_html,
    without_require,
)
from clx.jobtypes.notebook.tex_engine import Formula, TexEngine

WarnOfFormula = Callable[[str, int], None]
"""Told of a formula that is shown as its source, with its line."""

_MARK = "\ue03ftex{}\ue03f"
_MARKED = re.compile("\ue03ftex([0-9]+)\ue03f")
_REFERENCE = re.compile(r"\\(?:eq)?ref\s*\{[^{}$]+\}")
_OPENING = re.compile(r"\$|\\\\[(\[]|\\begin\{")
_FENCE = re.compile(r"^ {0,3}(?:`{3}|~{3})", re.MULTILINE)
_PARTS = re.compile(
    r"\$\$(?P<block>.+?)\$\$|(?<![\\$])\$(?P<line>(?:[^$\\]|\\.)+)\$|\\\[(?P<square>.+?)\\\]|\\\((?P<round>.+?)\\\)"
    r"|(?P<own>\\begin\{(?P<name>[a-zA-Z]+\*?)\}.*?\\end\{(?P=name)\})",
    re.DOTALL,
)
_LINE = "line of text"
_BAR = "\ue03c"
_CELL_END = re.compile(r"(?<!\\)\|")
_HUGE = re.compile(
    r'\b(?:width|height|viewBox|transform|x|y|x1|x2|y1|y2|style)="[^"]*?(?:(?<![\d.])\d{8}|\de\+|Infinity|NaN)'
)
"""In a picture: a length of ten thousand times the size of a letter, in thousandths of it."""
_AS_SOURCE = "a formula is shown as its source because it cannot be typeset"


class Formulas:
    """The formulas of one page. A text gets a mark for each; when all are known, the marks are replaced.

    So a formula may refer to one further down, and the engine starts once per page, if at all.
    """

    def __init__(self, engine: TexEngine | None = None) -> None:
        self._engine = engine or TexEngine()
        self._known: list[tuple[Formula, int]] = []
        self._missing: dict[str, int] = {}
        self.line_of: Callable[[int], int] = lambda _offset: 0
        """Gives the line of the deck for one of the text that is being rendered, counted from 0."""
        self.offset = 0
        """The line of that text which is being rendered."""

    def clear(self) -> None:
        """Forget what the last page contained."""
        self._known = []
        self._missing = {}
        self.line_of, self.offset = lambda _offset: 0, 0

    def mark(self, tex: str, *, display: bool) -> str:
        """What stands for a formula until :meth:`replaced`."""
        line = self.line_of(self.offset)
        if "\\require" in tex:
            tex, missing = without_require(tex)
            for name in missing:
                self._missing.setdefault(name, line)
        self._known.append((Formula(tex.strip(), display), line))
        return _MARK.format(len(self._known) - 1)

    def latex(self, source: str) -> str:
        """A ``text/latex`` output: formulas among text; without delimiters it is one, or words."""
        found = list(_PARTS.finditer(source))
        if not found:
            bare = source.strip()
            is_text = "$" in bare or (" " in bare and has_words(bare))
            return escape(bare, quote=False) if is_text else self.mark(bare, display=False)
        return "".join(self._parts(source, found))

    def _parts(self, source: str, found: list[re.Match[str]]) -> Iterator[str]:
        end = 0
        for match in found:
            yield escape(source[end : match.start()], quote=False)
            end = match.end()
            inline = match["line"] or match["round"]
            yield self.mark(inline or match["block"] or match["square"] or match["own"] or "", display=not inline)
        yield escape(source[end:], quote=False)

    def replaced(self, html: str, warn: WarnOfFormula) -> str:
        """A page's *html* with its formulas instead of their marks.

        Args:
            warn: told of each formula that cannot be typeset, which is shown as its source, and of references to
                labels that are nowhere.
        """
        if not self._known:
            return html
        typeset, glyphs = self._engine.typeset([formula for formula, _ in self._known])
        shown: list[str] = []
        warned: set[str] = set()

        def warn_once(text: str, line: int) -> None:
            if text not in warned:
                warned.add(text)
                warn(text, line)

        for name, line in self._missing.items():
            warn_once(f"a formula requires the package {name}, which CLX does not have", line)
        for (formula, line), (drawn, reason, refers_nowhere) in zip(self._known, typeset, strict=True):
            # browsers hang over what is too large
            picture, error = ("", "it is too large") if _HUGE.search(drawn) else (drawn, reason)
            source = " ".join(formula.tex.split())
            source = source if len(source) <= 200 else source[:200] + "…"
            if not picture:
                warn_once(f"{_AS_SOURCE}: {source} ({error[:200]})", line)
            elif refers_nowhere:
                warn_once(f"a formula refers to a label that no formula of the page has: {source}", line)
            shown.append(picture or as_source(formula.tex))

        def of_mark(match: re.Match[str]) -> str:
            return shown[int(match[1])] if int(match[1]) < len(shown) else match[0]

        return f"{glyphs}\n{_MARKED.sub(of_mark, html)}"


def as_source(tex: str) -> str:
    """What is shown instead of a formula that cannot be typeset."""
    return f'<code class="tex">{escape(tex.strip(), quote=False)}</code>'


def formulas_plugin(md: MarkdownIt, mark: Callable[[str, bool, int], str]) -> None:
    """Read formulas in Markdown as Jupyter does, except that prices stay prices.

    Args:
        mark: gives what a formula is shown as, from its TeX, whether it stands in lines of its own, and its line in
            the text, counted from 0.
    """
    line = 0
    md.use(
        dollarmath_plugin,
        allow_space=True,
        allow_digits=False,
        double_inline=True,
        renderer=lambda tex, options: mark(tex, bool(options["display_mode"]), line),
    )
    md.use(amsmath_plugin, renderer=lambda tex: mark(tex, True, line))
    rules: dict[str, Any] = md.renderer.rules  # type: ignore[attr-defined]

    def at_its_line(name: str) -> None:
        rule = rules[name]

        def rendered(tokens: Sequence[Token], index: int, *rest: Any) -> str:
            nonlocal line
            token = tokens[index]
            line = token.map[0] if token.map else token.meta.get("line", 0)
            return str(rule(tokens, index, *rest))

        rules[name] = rendered

    for name in ("math_inline", "math_inline_double", "math_block", "math_block_label", "amsmath"):
        at_its_line(name)
    md.core.ruler.at("inline", _inline)
    md.block.ruler.at("amsmath", _environments, {"alt": _ENDED_BY_ENVIRONMENTS})
    md.block.ruler.at("math_block", _blocks)
    md.block.ruler.at("table", _tables, {"alt": ["paragraph", "reference"]})
    md.inline.ruler.at("math_inline", _dollars)
    md.inline.ruler.before("escape", "math_in_text", _in_text)


def _inline(state: StateCore) -> None:
    """As markdown-it does, and says in the environment in which line a text starts."""
    for token in state.tokens:
        if token.type == "inline":
            token.children = [] if token.children is None else token.children
            state.env[_LINE] = token.map[0] if token.map else 0
            state.md.inline.parse(token.content, state.md, state.env, token.children)


def _place_of(state: StateInline, position: int) -> dict[str, int]:
    return {"line": state.env.get(_LINE, 0) + state.src.count("\n", 0, position)}


def _blocks(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A formula in lines of its own; lines with several, or with text between them, are a paragraph's."""
    count, line = len(state.tokens), state.line
    if not _block(state, start, end, silent):
        return False
    content = state.tokens[-1].content
    if not content or closing(content, 0, "$$") is not None or _FENCE.search(content):
        del state.tokens[count:]
        state.line = line
        return False
    return True


_block = math_block_dollar(allow_labels=False, label_normalizer=str, allow_blank_lines=True)
_ENDED_BY_ENVIRONMENTS = ["paragraph", "reference", "blockquote", "list", "footnote_def"]


def _environments(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """An environment in lines of its own; lines with several, or with text behind it, are a paragraph's."""
    count, line = len(state.tokens), state.line
    if not amsmath_block(state, start, end, False):
        return False
    content = state.tokens[-1].content.strip()
    is_one = environment_end(content, 0) == len(content)
    if silent or not is_one:
        del state.tokens[count:]
        state.line = line
    return is_one


def _dollars(state: StateInline, silent: bool) -> bool:
    """Formulas among text: they end outside of braces; dollar signs in code spans begin and end none."""
    start, text = state.pos, state.src
    if text[start] != "$":
        return False
    text = spans_masked(text)
    found = formula_at(text, start)
    if found is None:
        return False
    signs, _content, end = found
    if not silent:
        token = state.push("math_inline_double" if signs == "$$" else "math_inline", "math", 0)
        token.markup = signs
        token.content = state.src[start + len(signs) : end - len(signs)]
        token.meta = _place_of(state, start)
    state.pos = end
    return True


def _tables(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Tables in whose formulas ``|`` divides no cells; nor in code spans where cells would get lost by that."""
    written = state.src
    if not re.search(r"[$\\`]", written) or start + 2 > end:
        return bool(_table(state, start, end, silent))
    columns = len(state.getLines(start + 1, start + 2, 0, False).strip().strip("|").split("|"))
    count = len(state.tokens)
    pieces, position = [], 0
    for line in range(start, end):
        begin, behind = state.bMarks[line], state.eMarks[line]
        if begin == behind:
            break
        pieces += [written[position:begin], _row(written[begin:behind], columns)]
        position = behind
    state.src = "".join([*pieces, written[position:]])
    is_table = bool(_table(state, start, end, silent))
    state.src = written
    for token in state.tokens[count:]:
        token.content = token.content.replace(_BAR, "|")
    return is_table


def _row(line: str, columns: int) -> str:
    """A line of a table with :data:`_BAR` for each ``|`` that divides no cells."""
    if "|" not in line:
        return line
    if len(_CELL_END.findall(line.strip().strip("|"))) >= columns:  # what is behind the last column would be lost
        for first, last in code_spans(line, 0, len(line)):
            line = line[:first] + _CELL_END.sub(_BAR, line[first:last]) + line[last:]
    text, position = spans_masked(line), 0
    has_more = len(_CELL_END.findall(text.strip().strip("|"))) >= columns
    while opening := _OPENING.search(text, position):
        start = opening.start()
        if opening[0] == "$":
            found = formula_at(text, start)
            is_one = found is not None and (has_more or _is_in_cell(found[1], text[found[2] :]))
            end = found[2] if found else start + 1
        else:
            behind = backslash_formula(text, start)
            is_one, end = behind is not None, behind[2] if behind else opening.end()
        if is_one:
            line = line[:start] + line[start:end].replace("|", _BAR) + line[end:]
        position = end
    return line


def _is_in_cell(content: str, behind: str) -> bool:
    """Whether dollar signs with ``|`` between them are a formula rather than signs of two cells."""
    if not _CELL_END.search(content):
        return True
    is_even = content[:1].isspace() == content[-1:].isspace()
    return is_even and not re.search(r"\s\|\s", content) and not behind[:1].isalnum()


def _in_text(state: StateInline, silent: bool) -> bool:
    """Formulas that begin with a backslash: environments, references, and Jupyter's ``\\\\(`` and ``\\\\[``."""
    start = state.pos
    if state.src[start] != "\\":
        return False
    text = spans_masked(state.src)
    found = backslash_formula(text, start)
    if found is None:
        reference = _REFERENCE.match(text, start)
        if reference is None:
            return False
        found = (*reference.span(), reference.end(), False)
    begin, behind, end, display = found
    if not silent:
        token = state.push("math_inline_double" if display else "math_inline", "math", 0)
        token.markup = "$$" if display else "$"
        token.content = state.src[begin:behind]
        token.meta = _place_of(state, start)
    state.pos = end
    return True


def formulas_of_html(html: str, mark: Callable[[str, bool, int], str], line: int) -> str:
    """A block of HTML with its formulas marked, as Jupyter reads them there, too.

    Args:
        mark: as for :func:`formulas_plugin`.
        line: where the block stands in the text, counted from 0.
    """
    if not _OPENING.search(html):
        return html
    return in_html(html, lambda text: "".join(_marked(text, lambda tex, display: mark(tex, display, line))))


def _marked(text: str, mark: Callable[[str, bool], str]) -> Iterator[str]:
    position = written = 0
    while opening := _OPENING.search(text, position):
        start = opening.start()
        dollars = formula_at(text, start) if opening[0] == "$" else None
        slash = backslash_formula(text, start) if opening[0] != "$" else None
        if dollars is None and slash is None:
            position = opening.end()
            continue
        yield text[written:start]
        if dollars:
            content, display, written = dollars[1], dollars[0] == "$$", dollars[2]
        elif slash:
            content, display, written = text[slash[0] : slash[1]], slash[3], slash[2]
        name = "div" if display else "span"
        yield f'<{name} class="math inline">{mark(tex_of_html(content), display)}</{name}>'
        position = written
    yield text[written:]
