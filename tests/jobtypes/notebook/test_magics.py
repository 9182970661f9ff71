"""Magics, colours and headers of decks, and what tells of a hidden cell."""

from __future__ import annotations

import pytest

from clx.errors import ConversionError
from clx.jobtypes.notebook.deck import PROG_LANG
from clx.jobtypes.notebook.execution.results import CellFailedError, plain
from clx.jobtypes.notebook.header import ALIAS_LIMIT, DEPTH_LIMIT, DIGIT_LIMIT, check_header
from clx.jobtypes.notebook.highlight import highlight, lexer_named
from clx.jobtypes.notebook.magics import comment_magics, is_magic, uncomment_magics
from clx.jobtypes.notebook.telltale import is_prose, letters_of, without_blanks

PYTHON, CPP = PROG_LANG["python"], PROG_LANG["cpp"]

# -- magics -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("%matplotlib inline", True),
        ("# %matplotlib inline", True),
        ("#%%time", True),
        ("    # !ls", True),
        ("!ls", True),
        ("x = !ls", True),
        ("files = %sx ls", True),
        ("print?", True),
        ("# cd folder", True),
        ("ls", True),
        ("ls = 3", False),
        ("x % y", False),
        ("# a comment, is it?  yes", False),
        ("# 100 % sure", False),
        ("%matplotlib inline  # noescape", False),
        ("x != 3", False),
        ("", False),
    ],
)
def test_a_line_of_python_is_a_magic_as_for_jupytext(line: str, found: bool) -> None:
    assert is_magic(line, PYTHON) is found


@pytest.mark.parametrize(
    ("language", "line", "found"),
    [
        ("rust", "// :dep serde", True),
        ("rust", "%x", False),
        ("csharp", "#!time", True),
        ("cpp", "// %%file x", True),
        ("cpp", "!ls", False),
    ],
)
def test_other_languages_have_other_magics(language: str, line: str, found: bool) -> None:
    assert is_magic(line, PROG_LANG[language]) is found


def test_magics_are_bare_for_the_kernel_and_comments_in_a_file() -> None:
    written = ["# %matplotlib inline", "  # !ls", "x = 1"]
    assert uncomment_magics(written, PYTHON) == ["%matplotlib inline", "  !ls", "x = 1"]
    assert comment_magics(uncomment_magics(written, PYTHON), PYTHON) == written
    assert comment_magics(["%%file x"], CPP) == ["// %%file x"]


def test_what_continues_a_magic_belongs_to_it() -> None:
    assert uncomment_magics(["# !ls a \\", "#     b", "# c"], PYTHON) == ["!ls a \\", "    b", "# c"]


@pytest.mark.parametrize(
    ("lines", "is_code"),
    [
        (['x = """', "%time", '"""'], True),
        (["x = '''", "%time", "'''"], True),
        (['x = """a"""', "%time"], False),
        (["# '''", "%time"], False),
        (['x = \'"""\'', "%time"], False),
    ],
)
def test_inside_a_string_nothing_is_a_magic(lines: list[str], is_code: bool) -> None:
    found = comment_magics(lines, PYTHON)[1]
    assert found == ("%time" if is_code else "# %time")


# -- colours ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "page"),
    [
        ("def f(): pass", '<span class="k">def </span><span class="f">f</span>(): <span class="k">pass</span>'),
        ("x = 1  # a < b", 'x <span class="o">= </span><span class="m">1  </span><span class="c"># a &lt; b</span>'),
        ("'s'\n\n", "<span class=\"s\">'s'</span>"),
        ("", ""),
    ],
)
def test_code_is_coloured_by_a_handful_of_classes(code: str, page: str) -> None:
    assert highlight(code, lexer_named("python")) == page


def test_without_a_lexer_code_is_only_escaped() -> None:
    assert highlight("a < 'b'", None) == "a &lt; 'b'"
    assert lexer_named("no such language") is None


@pytest.mark.parametrize(
    ("alias", "name"), [("py", "python"), ("PY", "python"), ("c++", "cpp"), ("ipython3", "python")]
)
def test_languages_have_other_names(alias: str, name: str) -> None:
    assert lexer_named(alias) is lexer_named(name)


# -- headers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("---\na: " + "[" * (DEPTH_LIMIT + 1) + "]" * (DEPTH_LIMIT + 1) + "\n---\n", 2),
        ("---\nb: 1\na: " + "1" * (DIGIT_LIMIT + 1) + "\n---\n", 3),
        ("---\na: &a [*a]\n---\n", 2),
        ("---\n" + "- x\n" * (ALIAS_LIMIT + 1) + "---\n", ALIAS_LIMIT + 1),
    ],
)
def test_a_header_that_is_huge_when_it_is_read_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(ConversionError) as caught:
        check_header(text)
    assert caught.value.line == line


@pytest.mark.parametrize(
    "text",
    [
        "---\na: " + "[" * (DEPTH_LIMIT - 1) + "]" * (DEPTH_LIMIT - 1) + "\n---\n",
        "---\na: " + "1" * DIGIT_LIMIT + "\n---\n",
        "---\na: '" + "1" * (DIGIT_LIMIT + 1) + "'\n---\n",
        "---\na: &a [x]\nb: *a\n---\n",
        "---\na: [\n---\n",
        "---\na: 1\n---\nb: &b [*b]\n",
        "no header\n---\na: &a [*a]\n---\n",
        "",
    ],
)
def test_what_is_small_or_no_header_passes(text: str) -> None:
    check_header(text)


# -- hidden cells and failures ----------------------------------------------------------------------


def test_texts_are_compared_without_what_pages_change() -> None:
    assert without_blanks(" a =\t1\n") == "a=1"
    assert letters_of("**Ada** was, _born_ 1815!") == "Adawasborn1815"
    assert (is_prose(" a line"), is_prose("code")) == (True, False)


def test_a_failing_cell_may_succeed_another_time_only_when_its_kernel_died() -> None:
    assert [CellFailedError(0, kind, "E", "x").retryable for kind in ("error", "timeout", "died")] == [
        False,
        False,
        True,
    ]
    assert str(CellFailedError(2, "error", "ValueError", "no")) == "cell 3: ValueError: no"


@pytest.mark.parametrize(
    ("text", "without"), [("\x1b[31mred\x1b[0m", "red"), ("\x1b[1;32;40mx", "x"), ("\x1b[?25lx", "x"), ("[31m", "[31m")]
)
def test_colours_of_a_terminal_are_no_text(text: str, without: str) -> None:
    assert plain(text) == without
