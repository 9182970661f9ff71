"""What is no Python is told with its line; what IPython understands is none of that."""

from __future__ import annotations

import pytest

from clx.jobtypes.notebook import syntax
from clx.jobtypes.notebook.syntax import syntax_error


@pytest.mark.parametrize(
    "code",
    [
        "",
        "x = 1\n",
        "await f()\nasync with a as b:\n    pass",
        "%matplotlib inline\nx = 1",
        "%%bash\nif true; then echo; fi",
        "!ls -l\nfiles = !ls\nlen?",
        "    x = 1\n    y = 2",
        ">>> x = 1\n... ",
        "pip install x",
        "cd data",
        "'\\d'",
        "x = '%d' % 1",
    ],
)
def test_what_runs_has_no_mistake(code: str) -> None:
    assert syntax_error(code) is None


@pytest.mark.parametrize(
    ("code", "name", "line"),
    [
        ("x = 1\ny = = 2", "SyntaxError", 2),
        ("%time x = 1\nfor x in y\n    pass", "SyntaxError", 2),
        ("def f():\nreturn 1", "IndentationError", 2),
        ("x = 1\nreturn x", "SyntaxError", 2),
        ("x = 1\npip install x", "SyntaxError", 2),
        ("if x", "SyntaxError", 1),
        ("\0", "", 1),
        ("print 1", "SyntaxError", 1),
        ("x = (", "SyntaxError", 1),
        ("-" * 100_000 + "1", "", 1),
    ],
)
def test_what_is_no_python_is_told_with_its_line(code: str, name: str, line: int) -> None:
    found = syntax_error(code)
    assert found is not None
    assert found[0].startswith(name)
    assert found[1] == line


def test_without_ipython_what_it_may_understand_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syntax, "_transformer", lambda: None)
    assert syntax_error("%time x\nfor x in y") is None
    assert syntax_error("for x in y") is not None
