"""Formulas of pages: what is one, what it becomes, numbers and references, and what cannot be typeset."""

from __future__ import annotations

import re
import sys
from itertools import pairwise
from typing import Any

import pytest
from tests.jobtypes.notebook.test_page import MAKER, body, data, markdown, out, page

from clx.errors import ToolMissingError
from clx.jobtypes.notebook.cells import read_cells
from clx.jobtypes.notebook.deck import PROG_LANG
from clx.jobtypes.notebook.formulas import Formulas
from clx.jobtypes.notebook.page import PageFrame
from clx.jobtypes.notebook.tex_engine import Formula, TexEngine
from clx.jobtypes.notebook.variants import in_language, variant

FORMULA = "<mjx-container"

CONSTRUCTS = (
    r"""
a^2
\frac{a}{b} \dfrac ab \tfrac ab \cfrac{1}{1+x} \binom nk
\sqrt{x} \sqrt[3]{x}
\sum_{i=1}^n i \prod \int_0^1 \iint_D \oint_C \lim_{x\to0}
\begin{aligned} a &= b \\ &= c \end{aligned}
\begin{alignedat}{2} a &= b & c &= d \end{alignedat}
\begin{align} a &= b \tag{3} \\ c &= d \nonumber \end{align}
\begin{align*} a &= b \end{align*}
\begin{alignat}{2} a &= b &\quad c &= d \end{alignat}
\begin{flalign} a &= b \end{flalign}
\begin{gather} a \\ b \end{gather}
\begin{gathered} a \\ b \end{gathered}
\begin{multline} a \\ b \\ c \end{multline}
\begin{equation} \begin{split} a &= b \\ &= c \end{split} \end{equation}
\begin{eqnarray} a &=& b \end{eqnarray}
\begin{eqnarray*} a &=& b \end{eqnarray*}
\begin{cases} x & \text{if } x \ge 0 \\ -x & \text{otherwise} \end{cases}
\begin{array}{c|c} p & q \\ \hline 0 & 1 \end{array}
\begin{matrix} a \end{matrix} \begin{bmatrix} a \end{bmatrix} \begin{Vmatrix} a \end{Vmatrix}
\begin{smallmatrix} a & b \end{smallmatrix} \begin{pmatrix*}[r] -1 \\ 1 \end{pmatrix*}
\operatorname*{arg\,max}_\theta \operatorname{sgn} \DeclareMathOperator{\Var}{Var} \Var X
\boxed{E} \cancel{x} \bcancel{x} \xcancel{x} \cancelto{0}{x}
\bigl( \Bigl\{ \Biggl[ \left.\middle| \right\rangle \Biggr] \Bigr\} \bigr)
\xrightarrow[b]{a} \xleftarrow{a} \xLeftrightarrow{a} \overset{!}{=} \underset{b}{=} \stackrel{d}{\to}
\boldsymbol{\mu} \mathbf{v} \mathbb{R} \mathcal{L} \mathfrak{g} \mathscr{F} \mathsf{A} \mathtt{b} \bm{x}
\ce{2H2 + O2 -> 2H2O} \ce{SO4^2- <=> x} \pu{9.81 m s-2}
\color{red}{x} \textcolor{blue}{y} \colorbox{yellow}{z} \fcolorbox{red}{white}{w}
\underbrace{a+b}_{n} \overbrace{a}^n \overline{x} \widehat{abc} \widetilde{x} \vec{v} \dot{x} \ddot{x}
\text{für $x$ und max_iter, R&D, 50%} \mbox{a} \textbf{b} \mathrm{d}x
\substack{0<i \\ j<n} \not\in \neq \ll \leqslant \subsetneq \varnothing \hbar \ell \Re
x' + x'' \ldots \cdots \ddots \vdots \quad \qquad \, \; \! \phantom{x} \hspace{1em}
\bra{x} \ket{y} \braket{x|y} \lVert x \rVert \lfloor x \rfloor \langle x \rangle
\begin{CD} A @>a>> B \end{CD}
\require{x}
\verb|x_y| \unicode{x263a} \pmod{n} \bmod n \mod n \pmb{x} \mathring{x} \sideset{_a^b}{_c^d}\sum
""".strip()
    .replace(r"\require{x}" + "\n", "")
    .replace(r" \bm{x}", "")
    .splitlines()
)


@pytest.mark.parametrize("formula", CONSTRUCTS)
def test_what_authors_write_is_typeset(formula: str) -> None:
    html, warnings = page(f"# %% [markdown]\n# $${formula}$$\n")
    assert warnings == []
    assert FORMULA in html


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("$a^2$", 1),
        ("text $$x$$ text", 1),
        ("A $ x^2 $ and $ P_{a} + P_{b} $, $ x $.", 3),
        ("Lines:\n$$\na\n$$\nmore", 1),
        ("\\begin{align}\na &= b\n\\end{align}", 1),
        ("Text \\begin{eqnarray*} a &=& b \\end{eqnarray*} text", 1),
        (r"Double \\(a+b\\) and \\[c+d\\]", 2),
        (r"As \(a\) and \[b\], which Jupyter reads as brackets", 0),
        ("It costs 5$ or 6$, not $5 and $6.", 0),
        ("It costs $5 and then $10. A Price $x$5.", 0),
        ("It costs 5 $ and 6 $ more", 0),
        ("From $ 5 to $ 6", 0),
        (r"\$a\$ and `$a$`", 0),
        ("| a |\n|---|\n| $x$ |", 1),
        ("It costs $10. More with `$HOME` now, `$x$`, $y$.", 1),
        ("It costs $5 and $10. `$code$` a\\$b $x", 0),
        ("$$a$$ $$b$$", 2),
        ("$$a$$ and then $$b$$", 2),
        ("$$\na\n$$, which\n\nmore\n\n$$\nb\n$$", 2),
        ("$$\na\n$$ (label)", 1),
        (r"$\text{a $b$ c}$ and $$\text{a $b$$c$ c}$$", 2),
    ],
)
def test_what_is_a_formula(text: str, count: int) -> None:
    html, warnings = page("# %% [markdown]\n" + "\n".join(f"# {line}" for line in text.split("\n")))
    assert (html.count(FORMULA), warnings) == (count, [])
    plain = re.sub(r"<[^>]*>", "", body(html))
    assert all(word in plain for word in re.findall(r"costs|then|Price|more|Text|Lines|which", text)), "no text is lost"


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        (r"| $|x|$ or $\alpha|_0$ | more |", ["F or F", "more"]),
        ("| $P(A | B)$ | more |", ["F", "more"]),
        ("| $|x|$ |", ["F", ""]),
        ("| $5 | $6 |", ["$5", "$6"]),
        ("| $a | $b |", ["$a", "$b"]),
        ("| $a$ | $b$ |", ["F", "F"]),
    ],
)
@pytest.mark.parametrize("is_head", [False, True])
def test_bars_of_formulas_divide_no_cells(row: str, cells: list[str], is_head: bool) -> None:
    if is_head and "" in cells:
        return
    rows = [row, "|---|---|"] if is_head else ["| a | b |", "|---|---|", row]
    html, _ = page("# %% [markdown]\n" + "\n".join(f"# {line}" for line in rows))
    found = re.sub(r"<mjx-container.*?</mjx-container>", "F", body(html), flags=re.DOTALL)
    shown = re.findall(r"<t[hd][^r]*?>(.*?)</t[hd]>", found)
    assert [re.sub("<[^>]*>", "", each) for each in shown[-2:]] == cells


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (r"\text{if a<b and c>d, R&D}", "<mtext>if a&lt;b and c&gt;d, R&amp;D</mtext>"),
        (r"\text{<script>alert(1)</script>}", "<mtext>&lt;script&gt;alert(1)&lt;/script&gt;</mtext>"),
        (r"\mbox{<img src=x onerror=alert(1)>}", "<mtext>&lt;img src=x onerror=alert(1)&gt;</mtext>"),
        (r"\text{&lt;b&gt;}", "<mtext>&amp;lt;b&amp;gt;</mtext>"),
        (r"\textcolor{<b>}{c}", 'fill="&lt;b&gt;"'),
        (r"a < b \le c", "<mi>a</mi><mo>&lt;</mo><mi>b</mi><mo>≤</mo><mi>c</mi>"),
        (r"\href{https://example.org/?a=1&copy=2}{x}", '<a href="https://example.org/?a=1&amp;copy=2" '),
    ],
)
def test_text_of_a_formula_is_text(formula: str, expected: str) -> None:
    for html in (markdown(f"${formula}$"), out(data("text/latex", f"${formula}$"))):
        assert expected in html.replace("\xa0", " ")
        assert "<script>alert" not in html
        assert "<img src=x" not in html


@pytest.mark.parametrize(
    "formula",
    [
        *(
            rf"\href{{{address}}}{{x}}"
            for address in ("javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x")
        ),
        r"\style{background: url(https://example.org/x)}{x}",
    ],
)
def test_a_formula_runs_and_fetches_nothing(formula: str) -> None:
    html, warnings = page(f"# %% [markdown]\n# ${formula}$\n")
    assert (FORMULA in html, len(warnings)) == (False, 1)


def test_macros_hold_in_the_rest_of_the_page_and_not_in_the_next() -> None:
    text = (
        "# %% [markdown]\n# $\\newcommand{\\R}{\\mathbb{R}}\\def\\twice#1{#1#1}$\n\n# %% [markdown]\n# $\\twice{\\R}$\n"
    )
    html, warnings = page(text)
    assert (html.count('<mi mathvariant="double-struck">R</mi>'), warnings) == (2, [])
    assert len(page("# %% [markdown]\n# $\\twice{x}$\n")[1]) == 1


REFERRING = r"""
# %% [markdown]
# As \eqref{eq:b} and $\ref{eq:a}$ say:
#
# \begin{align}
# a &= 1 \label{eq:a} \\
# c &= 2 \tag{*} \label{eq:b}
# \end{align}
#
# \begin{equation} d \label{eq:d} \end{equation}
#
# $$ e $$ $$ f \tag{7} $$ and \eqref{eq:d}
"""


def numbers(html: str) -> list[str]:
    """What stands beside equations, or is referred to."""
    return re.findall(r"<mlabeledtr><mtd[^>]*><mtext>(.*?)</mtext>", html)


def test_equations_are_numbered_and_referred_to_also_from_above() -> None:
    html, warnings = page(REFERRING)
    assert (numbers(html), warnings) == (["(1)", "(*)", "(2)", "(7)"], [])
    links = re.findall(r'<a href="#mjx-eqn%3Aeq%3A(.)" aria-label="[^"]+">', html)
    assert links == ["b", "a", "d"]
    assert {f'id="mjx-eqn:eq:{name}"' in html for name in links} == {True}
    assert "???" not in html


def test_ids_meet_once() -> None:
    html, _ = page(REFERRING + "\n# %% [markdown]\n# $\\cssId{main}{x} \\frac xx$ $\\text{Ää}x$\n")
    ids = re.findall(r'\bid="([^"]*)"', html)
    assert len(ids) == len(set(ids))


def test_private_formulas_count_only_where_they_are_shown() -> None:
    private = '# %% [markdown] tags=["private"]\n# \\begin{equation} s \\label{p} \\end{equation}\n\n'
    public = "# %% [markdown]\n# \\begin{equation} t \\end{equation}\n"
    assert numbers(page(private + public, "completed")[0]) == ["(1)"]
    assert numbers(page(private + public, "speaker")[0]) == ["(1)", "(2)"]
    _, warnings = page(private + public + "#\n# \\eqref{p}\n", "completed")
    assert ["refers to a label" in each for each in warnings] == [True]


@pytest.mark.parametrize("formula", [r"\nope{x<y}", r"\left( x", r"\begin{nope}x\end{nope}", r"\def\x{\x\x}\x"])
def test_a_formula_that_cannot_be_typeset_is_shown_and_warned_about(formula: str) -> None:
    html, warnings = page(f"# %% [markdown]\n# ${formula}$ and ${formula}$\n")
    assert html.count(f'<code class="tex">{formula.replace("<", "&lt;")}</code>') == 2
    assert len(warnings) == 1
    assert formula in warnings[0]


@pytest.mark.parametrize(
    "formula",
    [
        r"\rule{1000000000em}{100000000em}",
        r"\hspace{-1000000000em}\rule{1000000000em}{1em}",
        r"\hspace{99999999999999999999999999em} x",
        r"\raise 99999999em {x}",
        r"\sqrt{\rule{1em}{99999999em}}",
    ],
)
def test_a_formula_that_no_browser_can_show_is_told(formula: str) -> None:
    assert TexEngine().typeset([Formula(formula, True)])[0][0].html, "the engine itself draws it"
    text, warnings = page(f"# %% [markdown]\n# ${formula}$\n")
    assert FORMULA not in body(text)
    assert "it is too large" in warnings[0]


def test_large_ones_are_shown() -> None:
    _, warnings = page("# %% [markdown]\n# $\\rule{500em}{100em} 12345678901234567890$\n")
    assert warnings == []


TOLD = r"""

# %% [markdown]
#
# Text with `$`
# and $\nope{x}$, $a$
#
# | a |
# |---|
# | $\nope{5}$ |
#
# > - x
# >
# >   $$
# >   \nope{y}
# >   $$
#
# \begin{nope}
# \end{nope}
#
# ```{figure} a
# ```
#
# $\ref{no}$

# %% [markdown]
# $\nope{z}$
"""


def test_warnings_name_the_line_of_the_formula() -> None:
    found: list[tuple[str, int]] = []
    cells = variant(in_language(read_cells(TOLD, PROG_LANG["python"]), "en"), "completed", "en")
    frame = PageFrame("Course", "Week", 1, "A", "en", "completed")
    MAKER.page(frame, cells, PROG_LANG["python"], {}, lambda text, line: found.append((text, line)))
    lines = [*TOLD.split("\n"), ""]
    for text in ("nope{x}", "nope{5}", "nope{y}", "{nope}", "{figure}", r"\ref{no}", "nope{z}"):
        line = next(line for fact, line in found if text in fact)
        assert text in lines[line - 1] or (text == "nope{y}" and text in lines[line]), (text, line)


def test_nesting_without_end_is_told() -> None:
    (deep,), _ = TexEngine().typeset([Formula("{" * 20_000 + "x" + "}" * 20_000, False)])
    assert deep.error


def test_a_character_that_there_is_not_is_told() -> None:
    (found,), _ = TexEngine().typeset([Formula(r"\unicode{x110000}", False)])
    assert "character" in found.error


@pytest.mark.parametrize("limit", ["seconds", "memory"])
def test_what_takes_too_long_ends_as_an_error_and_the_others_are_typeset(limit: str) -> None:
    engine = TexEngine(seconds=0.5) if limit == "seconds" else TexEngine(memory=80_000_000)
    huge = r"\begin{matrix}" + r"x & y & z \\" * 30_000 + r"\end{matrix}"
    found, _ = engine.typeset([Formula("a", False), Formula(huge, True), Formula("b", False)])
    assert [bool(each.html) for each in found] == [True, False, True]
    assert "too long" in found[1].error
    engine.close()


@pytest.mark.parametrize(
    ("source", "formulas", "text"),
    [
        ("words $x$ words", 1, "words words"),
        (r"$\displaystyle x^2$", 1, ""),
        ("x^2", 1, ""),
        (r"\begin{align} a &= b \end{align}", 1, ""),
        (r"a < b: \(x\) or \[y\] and $$z$$", 3, "a &lt; b: or and"),
        ("it costs $5", 0, "it costs $5"),
        (r"costs 5\% of x", 0, r"costs 5\% of x"),
        (r"\text{costs of} x + y", 1, ""),
    ],
)
def test_outputs_of_latex_have_text_around_formulas(source: str, formulas: int, text: str) -> None:
    html = out(data("text/latex", source))
    plain = re.sub(r"<mjx-container.*?</mjx-container>|<[^>]*>", "", html)
    assert (html.count(FORMULA), " ".join(plain.split())) == (formulas, text)


def test_letters_with_accents_are_drawn_like_others() -> None:
    html = markdown(r"$\text{für Änderungen, à é ñ ç} \textbf{Öl}$")
    assert "<text" not in re.sub(r"<mtext.*?</mtext>", "", html).replace("ç", "") or html.count("<text") == 1


def test_the_same_page_has_the_same_bytes() -> None:
    first, second = (TexEngine().typeset([Formula(each, True) for each in CONSTRUCTS]) for _ in range(2))
    assert first == second


def test_pages_without_formulas_start_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clx.jobtypes.notebook.tex_engine._racer", None)
    formulas = Formulas()
    assert formulas.replaced("<p>text</p>", lambda text, line: None) == "<p>text</p>"


def test_without_the_engine_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "py_mini_racer", None)
    with pytest.raises(ToolMissingError) as missing:
        TexEngine().typeset([Formula("x", False)])
    assert missing.value.next_step == 'Type: pip install "clx-build[notebook]"'


def test_an_engine_that_cannot_be_loaded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __getattr__(self, name: str) -> None:
            raise ImportError("GLIBC_2.38 not found")

    monkeypatch.setitem(sys.modules, "py_mini_racer", Broken())
    with pytest.raises(ToolMissingError, match=r"cannot be loaded: GLIBC_2\.38"):
        TexEngine().typeset([Formula("x", False)])


def test_formulas_follow_the_colours_of_their_page() -> None:
    html = markdown("$a$ $$b$$")
    assert {*re.findall(r'<g stroke="(\w+)" fill="(\w+)"', html)} == {("currentColor", "currentColor")}
    assert all(first != second for first, second in pairwise(re.findall(r"<mi>(.)</mi>", html)))


@pytest.mark.parametrize(
    ("definition", "use"),
    [
        (r"\DeclareMathOperator{\Own}{Own}", r"\Own"),
        (r"\definecolor{own}{rgb}{1,0,0}\color{own}x", r"\color{own}x"),
        (r"\newenvironment{own}{(}{)}", r"\begin{own}x\end{own}"),
        (r"\let\own=\alpha", r"\own"),
        (r"\DeclarePairedDelimiter{\own}{(}{)}", r"\own{x}"),
        (r"\renewcommand{\alpha}{OWN}", r"\alpha"),
        (r"\newtagform{own}{[}{]}\usetagform{own}", r"x \tag{1}"),
        (r"\Newextarrow{\own}{5,5}{0x21C0}", r"\own{x}"),
        (r"\def\frac#1{#1}", r"\frac ab"),
    ],
)
def test_nothing_of_a_page_is_left_for_the_next(definition: str, use: str) -> None:
    fresh, engine = TexEngine(), TexEngine()
    expected = fresh.typeset([Formula(use, True)])
    (defined, _), _ = engine.typeset([Formula(definition, True), Formula(use, True)])
    assert defined.html, defined.error
    assert engine.typeset([Formula(use, True)]) == expected


@pytest.mark.parametrize("others", [[], [r"\text{é}"], ["é"], [r"\mathbf{x}"]], ids=repr)
def test_pages_that_share_a_font_are_as_if_each_had_its_own(others: list[str]) -> None:
    engine = TexEngine()
    page = [Formula(each, False) for each in (r"\text{naïve}", r"\mathbf{É}", "x", r"\unicode{xe9}")]
    engine.typeset([Formula(each, False) for each in others])
    assert engine.typeset(page) == TexEngine().typeset(page)


def test_pages_with_the_same_formulas_are_typeset_once(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, asked = TexEngine(), list[int]()
    ask = engine._asked

    def counted(formulas: list[list[Any]]) -> Any:
        asked.append(len(formulas))
        return ask(formulas)

    monkeypatch.setattr(engine, "_asked", counted)
    page = [Formula(r"\def\x{a}\x", display=False), Formula(r"\x \label{e}", display=True)]
    first = engine.typeset(page)
    assert engine.typeset(list(page)) == first
    assert asked == [2]
    assert engine.typeset(page[1:])[0][0].error  # the macro is that of the other page
    assert engine.typeset(page) == first
    assert asked == [2, 1, 2]
    engine.close()
