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
from mdit_py_plugins.amsmath import amsmath_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.dollarmath.index import math_block_dollar

from clx.jobtypes.notebook.dollars import closing, formula_at, has_words, spans_masked
from clx.jobtypes.notebook.tex_engine import Formula, TexEngine

WarnOfFormula = Callable[[str, int], None]
"""Told of a formula that is shown as its source, with its line."""

_MARK = "\ue03ftex{}\ue03f"
_MARKED = re.compile("\ue03ftex([0-9]+)\ue03f")
_REFERENCE = re.compile(r"\\(?:eq)?ref\s*\{[^{}$]+\}")
_ENVIRONMENT = re.compile(r"\\begin\{([a-zA-Z]+\*?)\}.*?\\end\{\1\}", re.DOTALL)
_BRACKETS = {"(": re.compile(r"\\\\\((.+?)\\\\\)", re.DOTALL), "[": re.compile(r"\\\\\[(.+?)\\\\\]", re.DOTALL)}
_PARTS = re.compile(
    r"\$\$(?P<block>.+?)\$\$|(?<![\\$])\$(?P<line>(?:[^$\\]|\\.)+)\$|\\\[(?P<square>.+?)\\\]|\\\((?P<round>.+?)\\\)"
    r"|(?P<own>\\begin\{(?P<name>[a-zA-Z]+\*?)\}.*?\\end\{(?P=name)\})",
    re.DOTALL,
)
_LINE = "line of text"
_BAR = "\ue03c"
_CELL_END = re.compile(r"(?<!\\)\|")
_AS_SOURCE = "a formula is shown as its source because it cannot be typeset"


class Formulas:
    """The formulas of one page. A text gets a mark for each; when all are known, the marks are replaced.

    So a formula may refer to one further down, and the engine starts once per page, if at all.
    """

    def __init__(self, engine: TexEngine | None = None) -> None:
        self._engine = engine or TexEngine()
        self._known: list[tuple[Formula, int]] = []
        self.line_of: Callable[[int], int] = lambda _offset: 0
        """Gives the line of the deck for one of the text that is being rendered, counted from 0."""
        self.offset = 0
        """The line of that text which is being rendered."""

    def clear(self) -> None:
        """Forget what the last page contained."""
        self._known = []
        self.line_of, self.offset = lambda _offset: 0, 0

    def mark(self, tex: str, *, display: bool) -> str:
        """What stands for a formula until :meth:`replaced`."""
        self._known.append((Formula(tex.strip(), display), self.line_of(self.offset)))
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

        for (formula, line), (picture, error, refers_nowhere) in zip(self._known, typeset, strict=True):
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
    if count < len(state.tokens) and closing(state.tokens[-1].content, 0, "$$") is not None:
        del state.tokens[count:]
        state.line = line
        return False
    return True


_block = math_block_dollar(allow_labels=True, label_normalizer=None, allow_blank_lines=True)


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
    """Tables in whose formulas ``|`` divides no cells, as far as no cell gets lost by that."""
    written = state.src
    if "$" not in written or start + 2 > end:
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
    """A line of a table with :data:`_BAR` for each ``|`` of its formulas."""
    if "$" not in line or "|" not in line:
        return line
    text, position = spans_masked(line), 0
    has_more = len(_CELL_END.findall(text.strip().strip("|"))) >= columns
    while (position := text.find("$", position)) >= 0:
        found = formula_at(text, position)
        if found is None:
            position += 1
            continue
        signs, content, end = found
        is_even = content[:1].isspace() == content[-1:].isspace()
        if is_even and _CELL_END.search(content) and (has_more or not re.search(r"\s\|\s", content)):
            start = position + len(signs)
            for bar in _CELL_END.finditer(content):
                line = line[: start + bar.start()] + _BAR + line[start + bar.end() :]
        position = end
    return line


def _in_text(state: StateInline, silent: bool) -> bool:
    """Formulas that begin with a backslash: environments, references, and Jupyter's ``\\\\(`` and ``\\\\[``."""
    text, start = state.src, state.pos
    if text[start] != "\\":
        return False
    bracket = _BRACKETS.get(text[start + 2 : start + 3]) if text.startswith("\\\\", start) else None
    display = bracket is _BRACKETS["["]
    if bracket is not None:
        match = bracket.match(text, start)
    else:
        match = _REFERENCE.match(text, start)
        if match is None:
            match, display = _ENVIRONMENT.match(text, start), True
    if match is None:
        return False
    if not silent:
        token = state.push("math_inline_double" if display else "math_inline", "math", 0)
        token.markup = "$$" if display else "$"
        token.content = match[1] if bracket is not None else match[0]
        token.meta = _place_of(state, start)
    state.pos = match.end()
    return True
