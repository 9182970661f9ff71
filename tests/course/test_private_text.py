"""No public file holds the text of a hidden cell, whichever way it got there."""

from __future__ import annotations

import base64
import html
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.courses import HEADER, SPEC, Course
from tests.support.planning import planner_of

from clx.course.private_text import PrivateText
from clx.jobtypes.notebook.figures import Figures

TOPIC = "slides/module_1/topic_100_values"
DECK = """\
# %% [markdown]
# ## A common heading of this deck

# %%
import numpy as np
shown = np.arange(12).reshape(3, 4)

# %% tags=["private"]
import numpy as np
from pathlib import Path
password = "Zebra"
shown = np.arange(12).reshape(3, 4)
df.head()
"""
CELLS = {
    "code": '# %% tags=["private"]\npassword = "Zebra"\n',
    "short code": "# %% tags=['private']\nx = \"SECRET\"\n",
    "quotes, signs": "# %% tags=['notes']\nif 1 < x and y > \"it's\\n so\": z = 'a & bcd'\n",
    "many lines": "# %% tags=['del']\nresult = compute(a, b)\nresult.sort(key=len)\nanswer = result[0]\n",
    "a comment": "# %% tags=['private']\n# the trick is to sort the list before\nx\n",
    "prose": "# %% [markdown] tags=['notes']\n# Tell them that **Ada** was [born](http://a.b) in `London`.\n",
    "a number": "# %% [markdown] tags=['private']\n# - PIN: 48213\n",
    "umlauts": "# %% [markdown] tags=['private']\n# Die Lösung für Übung drei überrascht fast alle\n",
    "other letters": "# %% [markdown] tags=['private']\n# Ответ на третий вопрос совсем другой\n",
    "raw": "# %% [raw] tags=['private']\n# Whoever reads this has found it out\n",
}
PROSE = {
    "prose": "<p>Tell them that <strong>Ada</strong> was <a href='http://a.b'>born</a> in <code>London</code>.</p>",
}


def private_text_of(course: Course, deck: str, name: str = "slides_values.py") -> PrivateText:
    course.write(f"{TOPIC}/{name}", deck)
    course.spec("values")
    return PrivateText(planner_of(course).plan().hidden, ["My Course", "Week 1"])


def text_of(cell: str) -> str:
    """What the cell shows."""
    return cell.partition("\n")[2].replace("# ", "") if "markdown" in cell or "raw" in cell else cell.partition("\n")[2]


def highlighted(text: str) -> str:
    """As pages show code: in pieces."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return str(highlight(text, PythonLexer(), HtmlFormatter()))


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: f"before\n{text}\nbehind",
    "indented": lambda text: "".join(f"\t    {line}\r\n" for line in text.split("\n")),
    "HTML": lambda text: f"<pre>{html.escape(text)}</pre>",
    "highlighted": highlighted,
    "a notebook": lambda text: json.dumps({"cells": [{"source": text.splitlines(keepends=True)}]}, indent=1),
    "ASCII JSON": lambda text: json.dumps({"text": [f"in {text}"]}, ensure_ascii=True),
    "far behind": lambda text: "filler words\n" * 800_000 + text,
    "among NUL bytes": lambda text: "\0\1" + "\0".join(text.split(" ")) if text.isascii() else text,
    "as comments": lambda text: "".join(f"# {line}\n" for line in text.split("\n")),
}
SLOW_FORMS = {"far behind": pytest.mark.slow}
"""A file of 10 MB takes its time."""


@pytest.mark.parametrize("form", [pytest.param(form, marks=SLOW_FORMS.get(form, ())) for form in FORMS])
@pytest.mark.parametrize("cell", CELLS)
def test_a_hidden_cell_is_found_in_whatever_form(course: Course, tmp_path: Path, cell: str, form: str) -> None:
    private = private_text_of(course, f"# %% [markdown]\n# public\n\n{CELLS[cell]}")
    file = tmp_path / "public.html"
    file.write_text(FORMS[form]("nothing of it"), encoding="utf-8")
    assert private.look(file, "public.html") is None
    text = text_of(CELLS[cell])
    file.write_text(PROSE.get(cell, "") if form == "HTML" and cell in PROSE else FORMS[form](text), encoding="utf-8")
    hit = private.look(file, "public/x.html")
    assert hit is not None
    assert hit.deck == f"{TOPIC}/slides_values.py"
    assert "public/x.html" in hit.error["message"]
    assert (hit.error["cell"], hit.error["source_line"]) == (2, 4)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_a_hidden_cell_is_found_in_wide_texts(course: Course, tmp_path: Path, encoding: str) -> None:
    private = private_text_of(course, DECK)
    (tmp_path / "x").write_bytes('password = "Zebra"'.encode(encoding))
    assert private.look(tmp_path / "x", "x") is not None


def test_a_hidden_cell_is_found_in_archives(course: Course, tmp_path: Path) -> None:
    private = private_text_of(course, DECK)
    with zipfile.ZipFile(tmp_path / "x", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", "nothing")
        archive.writestr("b.xml", "<t>password = &quot;Zebra&quot;</t>")
    assert private.look(tmp_path / "x", "x") is not None
    (tmp_path / "x").write_bytes((tmp_path / "x").read_bytes()[:-9])
    assert private.look(tmp_path / "x", "x") is None


def test_many_hidden_cells_are_looked_for_by_words(course: Course, tmp_path: Path) -> None:
    cells = "".join(f'# %% tags=["private"]\nname{i} = "word{i}"\n\n' for i in range(200))
    private = private_text_of(course, "# %%\nx\n\n" + cells + CELLS["umlauts"])
    file = tmp_path / "public.txt"
    for text, found in (("nothing", False), ('name7 = "word7"', True), ("Die Lösung für Übung drei überrascht", False)):
        file.write_text(text)
        assert (private.look(file, "x") is not None) == found
    file.write_text(json.dumps("a\nDie Lösung für Übung drei überrascht fast alle"))
    assert private.look(file, "x") is not None


@pytest.mark.parametrize(
    "text",
    [
        "import numpy as np\nfrom pathlib import Path\n",
        "shown = np.arange(12).reshape(3, 4)",
        "df.head()",
        "password = 'Giraffe'",
        "A common heading of this deck",
        "Zebra",
        "",
    ],
)
def test_what_is_common_or_public_too_is_no_secret(course: Course, tmp_path: Path, text: str) -> None:
    private = private_text_of(course, DECK)
    file = tmp_path / "helper.py"
    file.write_text(text)
    assert private.look(file, "helper.py") is None


def test_names_that_every_page_shows_are_no_secret(course: Course, tmp_path: Path) -> None:
    deck = "# %%\nx\n\n# %% [markdown] tags=['notes']\n# Everything about many small things\n"
    course.write(f"{TOPIC}/slides_values.py", deck)
    course.spec("values")
    hidden = planner_of(course).plan().hidden
    file = tmp_path / "page.html"
    file.write_text("<title>Everything about many small things</title>")
    assert PrivateText(hidden).look(file, "x") is not None
    assert PrivateText(hidden, ["All: Everything about many small things"]).look(file, "x") is None


def test_a_deck_is_only_asked_for_its_own_cells(course: Course, tmp_path: Path) -> None:
    private = private_text_of(course, DECK)
    file = tmp_path / "x"
    file.write_text('password = "Zebra"')
    assert private.look(file, "x", [f"{TOPIC}/slides_values.py"]) is not None
    assert private.look(file, "x", ["another"]) is None


@pytest.mark.slow
def test_a_cell_that_prints_its_own_deck_fails_it(course: Course) -> None:
    course.deck(
        "values", HEADER % ("Werte", "Values") + CELLS["code"] + "\n# %%\nprint(open('slides_values.py').read())\n"
    )
    course.deck("names")
    course.spec("values", "names")
    for _ in range(2):  # also when the result is known already
        built = course.build(code=1)
        assert "slides_values.py:4 (cell 2), execute" in built.stderr
        assert "the text of this private cell would be published in public/" in built.stderr
        for path in (course.output / "public").rglob("*"):
            assert path.is_dir() or b"Zebra" not in path.read_bytes(), path
    assert built.ran == 0
    assert len(list(course.output.rglob("*names*"))) > 0
    course.deck("values", HEADER % ("Werte", "Values") + CELLS["code"] + "\n# %%\nprint(1)\n")
    course.build()


@pytest.mark.slow
def test_copied_files_are_looked_through_also_when_the_secret_comes_later(course: Course) -> None:
    course.deck("values", "# %% [markdown]\n# public\n")
    course.write(f"{TOPIC}/answers.txt", 'password = "Zebra"\n')
    course.write("div/more.txt", "so: password = 'Zebra'\n")
    course.write("course.yaml", SPEC % "      - values" + "dir_groups:\n  - {name: More, path: div}\n")
    course.build()
    copies = [path for name in ("answers.txt", "more.txt") for path in (course.output / "public").rglob(name)]
    assert len(copies) > 2
    course.deck(
        "values",
        "# %% [markdown]\n# public\n\n# %% tags=['del']\npassword = 'Zebra'\n\n"
        + CELLS["code"].replace("private", "notes"),
    )
    for _ in range(2):
        built = course.build(code=1)
        assert "the text of this del cell would be published in div/more.txt" in built.stderr
        assert f"the text of this notes cell would be published in {TOPIC}/answers.txt" in built.stderr
        assert not any(path.exists() for path in copies)
    (course.root / "div/more.txt").write_text("nothing")
    (course.root / TOPIC / "answers.txt").unlink()
    course.build()


def test_nobodys_text_is_in_libraries_that_a_page_carries(course: Course, tmp_path: Path) -> None:
    words = ["Animation", "Distribution", "Background", "coordinates", "interactive"]
    deck = "# %% [markdown] tags=['notes']\n" + "".join(f"# - {word}\n" for word in words)
    private = private_text_of(course, deck)
    figures = Figures(lambda _path: None)
    figures.html({"application/vnd.vegalite.v6+json": {}}, {}, "", lambda _text: None)
    page = tmp_path / "page.html"
    page.write_text(f"<main>{figures.scripts()} {' '.join(words)}</main>", "utf-8")
    assert private.look(page, "page", carried={figures.carried})
    page.write_text(f"<main>{figures.scripts()}</main>", "utf-8")
    assert private.look(page, "page", carried={figures.carried}) is None
    page.write_text(f"<main>{figures.scripts().replace('</script>', ' '.join(words))}</main>", "utf-8")
    assert private.look(page, "page", carried={figures.carried})


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("text/csv;charset=utf-8", True),
        ("application/octet-stream", True),
        ("image/svg+xml", True),
        ("image/png", False),
    ],
)
def test_files_that_a_page_carries_are_looked_through(course: Course, tmp_path: Path, kind: str, found: bool) -> None:
    private = private_text_of(course, CELLS["code"])
    page = tmp_path / "page"
    data = base64.b64encode(text_of(CELLS["code"]).encode()).decode()
    page.write_text(f'<a download="x" href="data:{kind};base64,{data}">x</a>', "utf-8")
    decks = [f"{TOPIC}/slides_values.py"]
    assert private.look(page, "page", decks) is None
    assert (private.look_inside(page, "page", decks) is not None) is found
    published = page.rename(tmp_path / "page.html")
    assert (private.look(published, "page") is not None) is found
