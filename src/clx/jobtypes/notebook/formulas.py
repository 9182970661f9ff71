"""TeX formulas of a page: where they stand in a text, and what they are replaced by once all of them are known."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import escape

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from mdit_py_plugins.amsmath import amsmath_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.dollarmath.index import math_inline_dollar

from clx.jobtypes.notebook.tex_engine import Formula, TexEngine

WarnOfFormula = Callable[[str, int], None]
"""Told of a formula that is shown as its source, with the line of its cell."""

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
_AS_SOURCE = "a formula is shown as its source because it cannot be typeset"
_ARGUMENT = re.compile(r"\\[a-zA-Z]+\*?\s*\{[^{}]*\}")
_WORD = re.compile(r"(?<![\\a-zA-Z])[^\W\d_]{3,}")
_OF_TEX = re.compile(r"[\\^_={}<>+*/|]")


class Formulas:
    """The formulas of one page. A text gets a mark for each; when all are known, the marks are replaced.

    So a formula may refer to one further down, and the engine starts once per page, if at all.
    """

    def __init__(self, engine: TexEngine | None = None) -> None:
        self._engine = engine or TexEngine()
        self._known: list[tuple[Formula, int]] = []
        self.line = 0
        """Line of the cell that is being rendered."""

    def clear(self) -> None:
        """Forget what the last page contained."""
        self._known = []
        self.line = 0

    def mark(self, tex: str, *, display: bool) -> str:
        """What stands for a formula until :meth:`replaced`."""
        self._known.append((Formula(tex.strip(), display), self.line))
        return _MARK.format(len(self._known) - 1)

    def latex(self, source: str) -> str:
        """A ``text/latex`` output: formulas among text; all of it is one where there are no delimiters."""
        found = list(_PARTS.finditer(source))
        if not found:
            bare = source.strip()
            return escape(bare, quote=False) if "$" in bare else self.mark(bare, display=False)
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


def formulas_plugin(md: MarkdownIt, mark: Callable[[str, bool], str]) -> None:
    """Read formulas in Markdown as Jupyter does, except that prices stay prices.

    Args:
        mark: gives what a formula is shown as, from its TeX and whether it stands in lines of its own.
    """
    md.use(
        dollarmath_plugin,
        allow_space=True,
        allow_digits=False,
        double_inline=True,
        renderer=lambda tex, options: mark(tex, bool(options["display_mode"])),
    )
    md.use(amsmath_plugin, renderer=lambda tex: mark(tex, True))
    md.inline.ruler.at("math_inline", _dollars)
    md.inline.ruler.before("escape", "math_in_text", _in_text)


_dollar = math_inline_dollar(True, False, True)  # blanks within, no digits beside, double ones in text


def _dollars(state: StateInline, silent: bool) -> bool:
    start = state.pos
    if not _dollar(state, True):  # only looks how far it goes
        return False
    content, state.pos = state.src[start + 1 : state.pos - 1], start
    if not content.startswith("$") and _is_price(content, state.src[:start]):
        return False
    return bool(_dollar(state, silent))


def _is_price(content: str, before: str) -> bool:
    """Whether dollar signs with blanks inside of them are no formula: ``5 $ and 6 $``."""
    left, right = content[:1].isspace(), content[-1:].isspace()
    if not left and not right:
        return False
    if (left and before.rstrip()[-1:].isdigit()) or (not left and content[0].isdigit()):
        return True
    if _WORD.search(_ARGUMENT.sub("", content)):
        return True
    return not _OF_TEX.search(content) and (len(content.split()) != 1 or not (left and right))


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
    state.pos = match.end()
    return True
