"""Which parts of Markdown and HTML are formulas, without typesetting them.

``⟦x⟧`` stands in a line, ``⟦⟦x⟧⟧`` in lines of its own.
"""

from __future__ import annotations

import re
from html import unescape

import pytest
from tests.jobtypes.notebook.test_page import page

from clx.jobtypes.notebook.formula_places import backslash_formula, environment_end, without_require
from clx.jobtypes.notebook.formulas import Formulas
from clx.jobtypes.notebook.markup import Markup

A = r"\begin{align}a\end{align}"


class _Shown(Formulas):
    """Formulas that are seen at once."""

    def mark(self, tex: str, *, display: bool) -> str:
        return f"⟦⟦{tex.strip()}⟧⟧" if display else f"⟦{tex.strip()}⟧"


def html_of(text: str) -> str:
    markup = Markup()
    markup.formulas = _Shown()
    return re.sub(r"</?(?:p|span|div)\b[^>]*>", "", markup.html(text, doc="x")).strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$10. Use `a\n$HOME`, $x$.", "$10. Use <code>a $HOME</code>, ⟦x⟧."),
        ("It costs $5, and $x$ is 3 $", "It costs $5, and ⟦x⟧ is 3 $"),
        ("$x$ is 3", "⟦x⟧ is 3"),
        ("$x$ ends\\", "⟦x⟧ ends\\"),
        ("> $$a \\tag{1}$$ and $$\\ce{H2O}$$", "<blockquote>\n⟦⟦a \\tag{1}⟧⟧ and ⟦⟦\\ce{H2O}⟧⟧\n</blockquote>"),
        ("$$a$$ (where a is b)", "⟦⟦a⟧⟧ (where a is b)"),
        ("$$\na\n$$ (1)", "⟦⟦a⟧⟧ (1)"),
        ("$$ is\n\n```\necho $$\n```", "$$ is\n<pre><code>echo $$</code></pre>"),
        ("$$$$", "$$$$"),
        ("$a$\r\n\r\n$$\r\nb\r\n$$\r\n", "⟦a⟧\n\n⟦⟦b⟧⟧"),
        (f"{A} or {A}", f"⟦⟦{A}⟧⟧ or ⟦⟦{A}⟧⟧"),
        (f"{A} b\n\nc\n\n{A}", f"⟦⟦{A}⟧⟧ b\nc\n\n⟦⟦{A}⟧⟧"),
        ("a\n\\begin{align}b\\end{align}\n", "a\n\n⟦⟦\\begin{align}b\\end{align}⟧⟧"),
        (r"Of \begin{align} to `\end{align}`.", r"Of \begin{align} to <code>\end{align}</code>."),
        (r"Of \\( to `\\)`.", r"Of \( to <code>\\)</code>."),
        (r"$\text{``a''}$ and $\text{``b''}$", r"⟦\text{``a''}⟧ and ⟦\text{``b''}⟧"),
        ("[a $5](x?a=$b)", '<a href="x?a=$b">a $5</a>'),
        ("$[a](b)$", "⟦[a](b)⟧"),
        ('$5<b title="a$b">x</b>', '$5<b title="a$b">x</b>'),
        ("$a <b c$", "⟦a <b c⟧"),
        ("$5 at <https://x.org/$a>", '$5 at <a href="https://x.org/$a">https://x.org/$a</a>'),
        ("$5 at https://x.org/$a", '$5 at <a href="https://x.org/$a">https://x.org/$a</a>'),
        (r"$\href{https://x.org/}{a}$", r"⟦\href{https://x.org/}{a}⟧"),
    ],
)
def test_formulas_of_markdown(text: str, expected: str) -> None:
    assert html_of(text) == expected


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        (r"| $\|x\|$ | b |", [r"⟦\|x\|⟧", "b"]),
        (r"| \\(|x|\\) | $$|y|$$ |", ["⟦|x|⟧", "⟦⟦|y|⟧⟧"]),
        (r"| \begin{vmatrix}a|b\end{vmatrix} | b |", [r"⟦⟦\begin{vmatrix}a|b\end{vmatrix}⟧⟧", "b"]),
        ("| $P(A | B) $ | b |", ["⟦P(A | B)⟧", "b"]),
        ("|$x|$y|", ["$x", "$y"]),
        ("|$5|$6|", ["$5", "$6"]),
        ("|`$a`|$b|", ["<code>$a</code>", "$b"]),
        ("| `a|b` | `$c|d$` |", ["<code>a|b</code>", "<code>$c|d$</code>"]),
        ("| `a | b` |", ["`a", "b`"]),
    ],
)
def test_formulas_of_tables(row: str, cells: list[str]) -> None:
    assert re.findall("<td>(.*?)</td>", html_of(f"| a | b |\n|---|---|\n{row}")) == cells


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<div>\n$x &lt; 1$, $5\n</div>", "⟦x &lt; 1⟧, $5"),
        ("<div>\n\\begin{align}a\\end{align} $$b$$\n</div>", "⟦⟦\\begin{align}a\\end{align}⟧⟧ ⟦⟦b⟧⟧"),
        ('<ul title="$a$">\n<li>$b$</li>\n</ul>', '<ul title="$a$">\n<li>⟦b⟧</li>\n</ul>'),
        ("<pre>$a$</pre>", "<pre>$a$</pre>"),
        ("<div><code>$a$</code> <kbd>$b$</kbd>", "<code>$a$</code> <kbd>$b$</kbd>"),
        ("<script>\n$('a') + $('b')\n</script>", "<script>\n$('a') + $('b')\n</script>"),
        ("<!-- $a$ -->", "<!-- $a$ -->"),
        ("<div>$5</div><div>$6</div>", "$5$6"),
    ],
)
def test_formulas_of_blocks_of_html(html: str, expected: str) -> None:
    assert unescape(html_of(html)) == unescape(expected)


def test_environments_within_environments_of_their_name() -> None:
    text = r"\begin{a}\begin{a}x\end{a}y\end{a}z"
    assert environment_end(text, 0) == len(text) - 1
    assert backslash_formula(text, 0) == (0, len(text) - 1, len(text) - 1, True)
    assert environment_end(text[:-8], 0) is None


def test_packages_that_are_there_need_not_be_required() -> None:
    assert without_require(r"\require{cancel}\require{AMSmath} x \require{[tex]/mhchem}") == (" x ", [])
    html, warnings = page("# %% [markdown]\n# $\\require{cancel}$ and $\\require{mhchem}\\cancel{x} \\ce{H2O}$\n")
    assert (warnings, html.count("<menclose")) == ([], 1)


def test_packages_that_are_not_there_are_told_of_once() -> None:
    html, warnings = page("# %% [markdown]\n# $\\require{physics} x$ and $\\require{physics} y$\n")
    assert ["package physics" in each for each in warnings] == [True]
    assert html.count("<mjx-container") == 2
