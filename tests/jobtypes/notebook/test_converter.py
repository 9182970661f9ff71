"""Decks converted as a worker converts them, with real kernels."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest

from clx.errors import ConversionError, ToolMissingError
from clx.jobtypes.notebook.converter import NotebookConverter
from clx.jobtypes.notebook.deck import PROG_LANG
from clx.jobtypes.notebook.settings import NotebookSettings
from clx.settings.schema import Settings

from .conftest import TOPIC, Course


def names(outputs: Path) -> list[str]:
    return sorted(path.name for path in outputs.iterdir())


def visible(path: Path) -> str:
    """What a page says, without its markup."""
    main = path.read_text(encoding="utf-8").partition("<main")[2]
    return unescape(re.sub(r"<[^>]*>", "", main))


def numbers(path: Path) -> list[str]:
    return re.findall(r'class="n">\[(.)\]', path.read_text(encoding="utf-8"))


def test_render_writes_what_needs_no_kernel(course: Course) -> None:
    outputs = course.convert("# %%\nx = 1\n")
    assert names(outputs) == [
        "code-along.html",
        "code-along.ipynb",
        "code-along.py",
        "completed.ipynb",
        "completed.py",
        "speaker.ipynb",
        "speaker.py",
    ]
    assert course.facts == {
        "title": "slides_x",
        "cells": 1,
        "executions": 0,
        "templates": [],
        "pages": course.facts["pages"],
    }


def test_without_evaluation_render_writes_all_pages(course: Course) -> None:
    outputs = course.convert("# %%\nprint('never ' + 'run')\n", evaluate=False)
    assert {"code-along.html", "completed.html", "speaker.html"} < set(names(outputs))
    assert "never run" not in visible(outputs / "completed.html")
    assert course.facts["executions"] == 0


@pytest.mark.parametrize("language", PROG_LANG.values(), ids=lambda language: language.name)
def test_render_in_every_language(course: Course, language: object) -> None:
    assert hasattr(language, "comment")
    assert hasattr(language, "extension")
    sign, extension = language.comment, language.extension
    text = f"{sign} j2 from 'macros.j2' import header\n{sign} {{{{ header('A', 'B') }}}}\n\n{sign} %%\nx\n"
    outputs = course.convert(text, name=f"slides_x{extension}", prog_lang="python")
    assert (outputs / f"completed{extension}").read_text() == f"{sign} %% [markdown]\n{sign} # B\n\n{sign} %%\nx\n"
    assert course.facts["title"] == "B"


def test_each_format_sees_its_own_variables(course: Course) -> None:
    text = "# %%\n# j2 if is_html\nhtml\n# j2 elif is_notebook\nnotebook\n# j2 else\ncode\n# j2 endif\n"
    outputs = course.convert(text, evaluate=False)
    assert "html" in visible(outputs / "completed.html")
    assert json.loads((outputs / "completed.ipynb").read_text())["cells"][0]["source"] == ["notebook"]
    assert (outputs / "completed.py").read_text() == "# %%\ncode\n"


def test_a_markdown_deck(course: Course) -> None:
    text = '# Title\n\n```python tags=["keep"]\nprint(6 * 7)\n```\n'
    outputs = course.convert(text, name="slides_x.md")
    assert (outputs / "code-along.py").read_text() == "# %% [markdown]\n# # Title\n\n# %%\nprint(6 * 7)\n"
    outputs = course.convert(text, name="slides_x.md", task="execute")
    assert "42" in visible(outputs / "completed.html")


def test_used_templates_are_reported(course: Course) -> None:
    course.write("templates/part.j2", "x")
    course.convert("# %%\n# j2 include 'part.j2'\n")
    assert course.facts["templates"] == ["templates/part.j2"]


def test_one_execution_serves_completed_and_speaker(course: Course) -> None:
    text = """\
# %% tags=["start"]
raise SystemError("students begin here")

# %% tags=["del"]
raise SystemError("gone")

# %%
import random
print("drawn", random.random())

# %%

# %% [markdown] tags=["notes"]
# only for me

# %%
import pathlib
pathlib.Path("made.txt").write_text("x")
print(sorted(path.name for path in pathlib.Path().iterdir()))
"""
    outputs = course.convert(text, task="execute")
    assert names(outputs) == ["completed.html", "speaker.html"]
    assert course.facts["executions"] == 1
    drawn = [re.findall(r"drawn [\d.]+", visible(outputs / name)) for name in names(outputs)]
    assert drawn[0], "the outputs are there"
    assert drawn[0] == drawn[1], "both show the same execution"
    assert numbers(outputs / "completed.html") == numbers(outputs / "speaker.html") == ["1", "2"]
    assert "['made.txt', 'slides_x.py']" in visible(outputs / "completed.html"), "it runs beside the deck"


def test_nothing_private_shows_through_the_state_of_the_kernel(course: Course) -> None:
    text = """\
# %%
price = 10

# %% tags=["private"]
price = 99

# %% tags=["notes"]
print("note")

# %%
print("price:", price)
"""
    outputs = course.convert(text, task="execute")
    assert course.facts["executions"] == 2
    assert "price: 10" in visible(outputs / "completed.html")
    assert "price: 99" in visible(outputs / "speaker.html")
    assert "99" not in (outputs / "completed.html").read_text().partition("<main")[2]
    assert numbers(outputs / "completed.html") == ["1", "2"]
    assert numbers(outputs / "speaker.html") == ["1", "2", "3", "4"]


def test_a_deck_without_code_starts_no_kernel(course: Course) -> None:
    course.convert("# %% [markdown]\n# text\n\n# %% tags=['start']\nx\n", task="execute")
    assert course.facts["executions"] == 0


def test_a_failing_cell_is_named(course: Course) -> None:
    text = """\
# %% [markdown] lang="de"
# deutsch

# %% [markdown] lang="en"
# english

# %%
ok = 1

# %%
ok
undefined_name
"""
    with pytest.raises(ConversionError) as caught:
        course.convert(text, task="execute")
    error = caught.value
    assert error.fact == "NameError: name 'undefined_name' is not defined"
    assert (error.cell, error.line, error.retryable) == (3, 2, False)
    assert error.traceback
    assert "undefined_name" in error.traceback
    assert "\x1b" not in error.traceback
    assert str(course.root) not in error.traceback


def test_a_cell_that_students_lack_is_named_as_the_reason(course: Course) -> None:
    text = "# %% tags=['private']\nhelper = 1\n\n# %%\nhelper\n"
    with pytest.raises(ConversionError) as caught:
        course.convert(text, task="execute")
    assert caught.value.cell == 2
    assert "`private`" in caught.value.next_step


def test_a_cell_may_fail_where_the_lesson_says_so(course: Course) -> None:
    text = "# %% tags=['raises-exception']\n1 / 0\n\n# %%\nprint('went on')\n"
    outputs = course.convert(text, task="execute")
    assert "ZeroDivisionError: division by zero" in visible(outputs / "completed.html")
    assert "went on" in visible(outputs / "completed.html")


def test_a_slow_cell_is_stopped(course: Course) -> None:
    with pytest.raises(ConversionError) as caught:
        course.convert("# %%\nimport time\ntime.sleep(600)\n", task="execute", cell_timeout=0.5)
    assert caught.value.cell == 1
    assert "notebook.cell_timeout" in caught.value.next_step


def test_a_kernel_that_dies_is_worth_another_try(course: Course) -> None:
    with pytest.raises(ConversionError) as caught:
        course.convert("# %%\nx = 1\n\n# %%\nimport os\nos._exit(1)\n", task="execute")
    assert caught.value.retryable
    assert caught.value.cell == 2


def test_real_outputs(course: Course) -> None:
    text = """\
# %%
import sys
import matplotlib.pyplot as plt
import pandas as pd
print("to stderr", file=sys.stderr)
plt.plot([1, 2]); plt.show()

# %%
pd.DataFrame({"a": [1]})

# %%
from pathlib import Path
Path.cwd(), Path("data.txt").resolve()
"""
    outputs = course.convert(text, task="execute")
    html = (outputs / "completed.html").read_text()
    assert '<pre class="stderr">to stderr</pre>' in html
    assert 'src="data:image/png;base64,' in html
    assert 'class="dataframe"' in html
    assert str(course.root) not in html, "a page does not show in which directory it was made"
    assert f"PosixPath('{TOPIC}/data.txt')" in visible(outputs / "completed.html")


def test_the_same_deck_gives_the_same_bytes(course: Course, tmp_path: Path) -> None:
    text = "# %% [markdown]\n# # T $x$\n\n# %%\nimport warnings\nwarnings.warn('careful')\nprint({'a', 'b', 'c'})\n"
    outputs = [course.convert(text, task=task) for task in ("render", "execute")]
    (tmp_path / "results2").mkdir()
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
import conftest
from clx.settings.schema import Settings
converter = conftest.NotebookConverter(Settings())
course = conftest.Course(Path({str(tmp_path / "other")!r}), Path({str(tmp_path / "results2")!r}), converter)
for task in ("render", "execute"):
    course.convert({text!r}, task=task)
converter.close()
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    for first, second in zip(outputs, sorted((tmp_path / "results2").iterdir()), strict=True):
        assert names(first) == names(second)
        for path in first.iterdir():
            assert path.read_bytes() == (second / path.name).read_bytes(), path.name


def test_an_error_in_a_marker_names_the_line_of_the_deck(course: Course) -> None:
    text = "# j2 from 'macros.j2' import header\n# {{ header('A', 'B') }}\n\n# %%\nx\n\n# %% tags=['private'\ny\n"
    with pytest.raises(ConversionError) as caught:
        course.convert(text)
    assert caught.value.line == 7


def test_an_error_in_a_marker_that_a_macro_wrote_has_no_line(course: Course) -> None:
    text = "# %%\nx\n# j2 macro cell()\n# %% tags=[\n# j2 endmacro\n{{ cell() }}\n"
    with pytest.raises(ConversionError, match="tags cannot be read") as caught:
        course.convert(text)
    assert caught.value.line == 4, "the macro is the deck's own"
    course.write("templates/cell.j2", "# %% tags=[\n")
    with pytest.raises(ConversionError, match="tags cannot be read") as caught:
        course.convert("# %%\nx\n# j2 include 'cell.j2'\n")
    assert caught.value.line is None


SHIFTED = """\
# j2 from 'macros.j2' import header
# {{ header("A", "B") }}

# j2 if true

# %%
x = 1

# j2 endif
# %% lang="de"
deutsch = 1

# %% tags=["slide"]

y = x
# j2 if true
z = undefined_name
# j2 endif
"""


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_failing_cell_names_the_line_of_the_decks_file(course: Course, newline: str) -> None:
    with pytest.raises(ConversionError) as caught:
        course.convert(SHIFTED.replace("\n", newline), task="execute")
    error = caught.value
    assert (error.cell, error.line, error.source_line) == (3, 2, 17)
    assert error.as_dict()["source_line"] == 17


def test_a_failing_cell_of_a_markdown_deck_has_a_line_too(course: Course) -> None:
    text = "---\njupyter:\n  x: 1\n---\n\n# T\n\n# j2 if true\n```python\nx = 1\n1 / 0\n```\n# j2 endif\n"
    with pytest.raises(ConversionError) as caught:
        course.convert(text, name="slides_x.md", task="execute")
    assert (caught.value.line, caught.value.source_line) == (2, 11)


def test_code_from_a_template_has_no_line_but_its_cell_has(course: Course) -> None:
    course.write("templates/code.j2", "undefined_name\n")
    with pytest.raises(ConversionError) as caught:
        course.convert("# %% [markdown]\n# T\n\n# %%\n# j2 include 'code.j2'\n", task="execute")
    assert (caught.value.line, caught.value.source_line) == (1, 4)
    course.write("templates/code.j2", "# %%\nundefined_name\n")
    with pytest.raises(ConversionError) as caught:
        course.convert("# %% [markdown]\n# T\n\n# j2 include 'code.j2'\n", task="execute")
    assert (caught.value.line, caught.value.source_line) == (1, None)


def test_a_cell_that_kills_its_kernel_is_named_by_its_line(course: Course) -> None:
    with pytest.raises(ConversionError) as caught:
        course.convert("# %%\nx = 1\n\n# %%\nimport os\nos._exit(1)\n", task="execute")
    assert caught.value.source_line == 4


@pytest.mark.parametrize(
    ("code", "fact", "next_step"),
    [
        ("import nowhere.at_all", "ModuleNotFoundError: No module named 'nowhere'", "`pip install nowhere`"),
        ("raise ModuleNotFoundError(\"No module named 'sklearn.x'\")", "ModuleNotFoundError:", "install scikit-learn`"),
        ("open('data/x.csv')", "FileNotFoundError: [Errno 2] No such file or directory: 'data/x.csv'", "`inputs:`"),
        ("x = = 1", "SyntaxError: invalid syntax", "Correct the code"),
        ("if True:\nx = 1", "IndentationError: expected an indented block after 'if' statement on line 1", "Correct"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", "SIGINT"),
        ("raise SystemExit", "SystemExit", "exit()"),
        ("exit()", "SystemExit: the cell ends its kernel", "exit()"),
        ("input('name? ')", "the cell asks for input, but a deck runs unattended", "evaluate: false"),
        ("raise ValueError", "ValueError", "`raises-exception`"),
        ("raise ValueError('first\\nsecond')", "ValueError: first", "`raises-exception`"),
    ],
)
def test_what_to_do_depends_on_the_error(course: Course, code: str, fact: str, next_step: str) -> None:
    with pytest.raises(ConversionError) as caught:
        course.convert(f"# %%\n{code}\n", task="execute")
    error = caught.value
    assert error.fact.startswith(fact)
    assert not error.fact.endswith(":")
    assert not re.search(r"\d+\.py", error.fact)
    assert next_step in error.next_step
    assert ("notebook.python" in error.next_step) is ("pip install" in error.next_step)


def test_a_huge_output_is_cut_with_a_warning_and_a_note(course: Course) -> None:
    text = "# %% [markdown]\n# T\n\n# %%\nprint('x' * 11_000_000)\n\n# %% tags=['private']\n1\n"
    outputs = course.convert(text, task="execute")
    assert course.warnings == ["cell 2 writes more than 10 MB: its output is cut"]
    html = (outputs / "completed.html").read_text()
    note = '<pre class="stderr">[output cut: this cell wrote more than 10 MB]</pre>'
    assert note in html
    assert html.index('<pre class="stdout long" tabindex="0">xxx') < html.index(note), "in a box that scrolls"


def test_renamed_pictures_are_named_by_their_new_names_in_all_formats(course: Course) -> None:
    text = '# %% [markdown]\n# <img src="img/x.png"> ![alt](img/x.png)\n\n# %% tags=["keep"]\nlink = "![](img/x.png)"\n'
    pictures = {"img/x.png": "img/x.svg"}
    rendered = course.convert(text, pictures=pictures)
    executed = course.convert(text, pictures=pictures, task="execute")
    for path in (*rendered.iterdir(), *executed.iterdir()):
        found = unescape(re.sub(r"</?span[^>]*>", "", path.read_text()))
        assert (found.count("img/x.svg"), found.count("img/x.png")) == (2, 1), path.name
    plain, empty = course.convert(text), course.convert(text, pictures={})
    assert all(path.read_bytes() == (empty / path.name).read_bytes() for path in plain.iterdir())
    assert "x.svg" not in (plain / "completed.py").read_text()


def test_warnings_come_once(course: Course) -> None:
    course.convert("# %% tags=['demo']\nx\n\n# %% [markdown] tags=['demo']\n# $\\nope$\n", evaluate=False)
    assert len(course.warnings) == 2
    assert "'demo'" in course.warnings[0]
    assert r"\nope" in course.warnings[1]


def test_a_warning_of_a_tag_is_the_same_for_all_languages_and_comes_from_render_only(course: Course) -> None:
    text = """\
# j2 from 'macros.j2' import header
# {{ header("A", "B") }}

# %% lang="de" tags=["delta"]
1

# %% lang="en" tags=["delta", "model"]
2
"""
    course.convert(text, lang="de")
    german = list(course.warnings)
    course.warnings.clear()
    course.convert(text, lang="en")
    assert course.warnings == german
    assert german == [
        "line 4: the tag 'delta' means nothing to CLX; did you mean 'del'?",
        "line 7: the tag 'model' means nothing to CLX; did you mean 'del'?",
    ]
    course.warnings.clear()
    course.convert(text, lang="en", task="execute")
    assert course.warnings == []


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"task": "render", "source": 1},
        {"task": "nonsense", "source": "slides_x.py"},
    ],
)
def test_a_payload_that_is_none_is_an_error(course: Course, payload: dict[str, object]) -> None:
    with pytest.raises(ConversionError, match="not a notebook job"):
        course.converter.convert(payload, course.root, course.results, course.warnings.append)


def test_a_deck_outside_the_course_is_an_error(course: Course) -> None:
    with pytest.raises(ConversionError, match="outside"):
        course.convert("# %%\n", source="../slides_x.py")


def test_an_interpreter_that_is_not_there(course: Course) -> None:
    converter = NotebookConverter(Settings().having(NotebookSettings(python="/nowhere/python")))
    course.converter = converter
    with pytest.raises(ToolMissingError):
        course.convert("# %%\n1\n", task="execute")
    converter.close()
    converter.close()


def test_a_deck_that_is_not_there_is_an_error(course: Course) -> None:
    payload = {"task": "render", "source": f"{TOPIC}/slides_gone.py", "topic": TOPIC, "lang": "en"}
    payload |= {"prog_lang": "python", "course": "C", "section": "S"}
    with pytest.raises(ConversionError, match=r"slides_gone\.py"):
        course.converter.convert(payload, course.root, course.results, course.warnings.append)


def test_what_cells_write_is_in_the_pages_of_those_whose_cells_they_are(course: Course) -> None:
    outputs = course.convert(
        "# %%\nopen('p.csv', 'w').write('public');\n\n"
        '# %% tags=["private"]\nopen("s.csv", "w").write("secret"); open("p.csv", "w").write("secret");\n\n'
        "# %% [markdown]\n# [p](p.csv) [s](s.csv)\n",
        task="execute",
    )
    completed, speaker = ((outputs / f"{kind}.html").read_text("utf-8") for kind in ("completed", "speaker"))
    public, secret = ("base64,cHVibGlj", "base64,c2VjcmV0")
    assert (public in completed, secret in completed) == (True, False)
    assert (public in speaker, speaker.count(secret)) == (False, 2)
    pages = course.facts["pages"]
    assert (pages["completed.html"]["refs"], pages["completed.html"]["made"]) == (["s.csv"], ["p.csv"])
    assert (pages["speaker.html"]["refs"], pages["speaker.html"]["made"]) == ([], ["p.csv", "s.csv"])


def test_a_picture_that_cells_write_has_a_box_where_they_are_not_run(course: Course) -> None:
    deck = "# %%\nopen('p.png', 'w').write('x')\n\n# %% [markdown]\n# ![A plot](p.png)\n"
    box = '<span class="awaited"><b>A plot</b> Appears when the cell before has run</span>'
    page = (course.convert(deck, awaited=["p.png"]) / "code-along.html").read_text("utf-8")
    assert box in page
    assert course.facts["pages"]["code-along.html"]["refs"] == []
    page = (course.convert(deck, awaited=["p.png"], labels={"awaited": "Soon"}) / "code-along.html").read_text("utf-8")
    assert "<b>A plot</b> Soon</span>" in page
    page = (course.convert(deck, awaited=["p.png"], task="execute") / "completed.html").read_text("utf-8")
    assert ('class="awaited"' in page, "data:image/png;base64" in page) == (False, True)
    page = (course.convert(deck, awaited=["p.png"], evaluate=False) / "code-along.html").read_text("utf-8")
    assert 'class="awaited"' not in page, "nothing is ever run"


def test_what_pages_refer_to_is_known_as_it_is_written(course: Course) -> None:
    links = {"html": {"slides_b.py": "02 B.html", "c.py": "c.py"}}
    course.convert(
        "# %% [markdown]\n# [b](slides_b.py#x) [c](c.py) ![p](../p.png)\n",
        links=links,
        pictures={"../p.png": "f/p.png"},
    )
    assert course.facts["pages"]["code-along.html"]["written"] == {
        "02%20B.html#x": ["slides_b.py#x"],
        "f/p.png": ["../p.png"],
    }
