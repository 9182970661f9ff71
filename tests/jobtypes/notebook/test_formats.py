"""Notebooks and code files."""

from __future__ import annotations

import ast
import json
from typing import Any

import jupytext
import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clx.jobtypes.notebook.cells import read_cells
from clx.jobtypes.notebook.code_format import code_bytes
from clx.jobtypes.notebook.deck import PROG_LANG
from clx.jobtypes.notebook.notebook_format import notebook_bytes
from clx.jobtypes.notebook.variants import AUDIENCES, in_language, variant

PYTHON = PROG_LANG["python"]
DECK = """\
# %% [markdown] tags=["slide"]
# # Grüße
#
# - a

# %% tags=["keep", "subslide"]
# %matplotlib inline
x = 1

# %% tags=["raises-exception"]
1 / 0

# %% [raw]
# as it is

# %% [markdown] tags=["notes"]
# only for me
"""


def notebook(kind: Any, language: Any = PYTHON, text: str = DECK) -> dict[str, Any]:
    cells = variant(in_language(read_cells(text, language), "en"), kind, "en")
    found: dict[str, Any] = json.loads(notebook_bytes(cells, language))
    return found


def test_a_code_file_is_valid_whatever_a_cell_writes_into_a_file() -> None:
    sources = ["%%writefile a.txt\nHello (", "%%writefile a.py\nx = 1\n!ls", "%%time\nawait x", "%%capture\n%cd .."]
    deck = "\n\n".join(["# %%\n" + source for source in sources])
    code = code_bytes(in_language(read_cells(deck, PYTHON), "en"), PYTHON).decode()
    compile(code, "", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert "# %%writefile a.txt\n# Hello (\n" in code
    assert "# %%writefile a.py\nx = 1\n# !ls\n" in code
    assert "# %%time\nawait x\n" in code
    assert "# %%capture\n# %cd ..\n" in code


def test_a_code_file_is_valid_whatever_language_a_cell_magic_is_for() -> None:
    text = '# %%\n# %%html\n<p>Hi</p>\n# %%\n# %%script "a b" c\nno code\n# %%\n# %%time\nx = 1\n'
    cells = variant(in_language(read_cells(text, PYTHON), "en"), "completed", "en")
    code = code_bytes(cells, PYTHON).decode()
    compile(code, "deck", "exec")
    assert '# %% language="html"\n# <p>Hi</p>\n' in code
    assert "\nx = 1\n" in code
    sources = [cell.source for cell in cells]
    assert [cell.source for cell in read_cells(code, PYTHON)] == sources
    assert [cell.source for cell in jupytext.reads(code, fmt="py:percent").cells] == sources


def test_what_jupyter_knows_of_hiding_and_running_is_in_the_notebook() -> None:
    text = '# %% tags=["hide-input", "skip-execution"]\n1\n# %% tags=["remove-output", "fragment"]\n2\n'
    first, second = notebook("completed", text=text)["cells"]
    assert first["metadata"] == {"jupyter": {"source_hidden": True}, "tags": ["skip-execution"]}
    assert second["metadata"] == {"jupyter": {"outputs_hidden": True}, "slideshow": {"slide_type": "fragment"}}
    assert notebook("code-along", text=text)["cells"][0]["metadata"] == {}


@pytest.mark.parametrize("kind", AUDIENCES)
@pytest.mark.parametrize("language", PROG_LANG.values(), ids=lambda language: language.name)
def test_notebooks_are_valid(kind: Any, language: Any) -> None:
    text = DECK.replace("# ", f"{language.comment} ").replace("\n#\n", f"\n{language.comment}\n")
    found = notebook(kind, language, text)
    nbformat.validate(nbformat.from_dict(found))
    assert found["metadata"]["kernelspec"]["name"] == language.kernel
    assert found["metadata"]["language_info"]["file_extension"] == language.extension


def test_a_notebook_holds_what_a_student_needs_and_nothing_else() -> None:
    cells = notebook("code-along")["cells"]
    assert [(cell["cell_type"], "".join(cell["source"]), cell["metadata"]) for cell in cells] == [
        ("markdown", "# Grüße\n\n- a", {"slideshow": {"slide_type": "slide"}}),
        ("code", "%matplotlib inline\nx = 1", {"slideshow": {"slide_type": "subslide"}}),
        ("code", "", {}),
        ("raw", "as it is", {}),
    ]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells[1:3])
    speaker = notebook("speaker")["cells"]
    assert speaker[2]["metadata"] == {"tags": ["raises-exception"]}
    assert speaker[4]["metadata"] == {"slideshow": {"slide_type": "notes"}}


def test_notebook_bytes_are_as_jupyter_writes_them() -> None:
    cells = in_language(read_cells(DECK, PYTHON), "en")
    data = notebook_bytes(cells, PYTHON)
    again = nbformat.writes(nbformat.reads(data.decode(), as_version=4))
    assert data.decode() == again + "\n"
    assert data == notebook_bytes(cells, PYTHON)


def test_code_has_markers_without_metadata() -> None:
    cells = variant(in_language(read_cells(DECK, PYTHON), "en"), "completed", "en")
    assert code_bytes(cells, PYTHON).decode() == (
        "# %% [markdown]\n# # Grüße\n#\n# - a\n\n"
        "# %%\n# %matplotlib inline\nx = 1\n\n"
        "# %%\n1 / 0\n\n"
        "# %% [raw]\n# as it is\n"
    )


def test_code_in_a_language_with_slashes() -> None:
    text = "// %% [markdown]\n// # A\n\n// %%\nint x = 1;\n"
    cells = variant(in_language(read_cells(text, PROG_LANG["cpp"]), "en"), "code-along", "en")
    assert code_bytes(cells, PROG_LANG["cpp"]).decode() == "// %% [markdown]\n// # A\n\n// %%\n"


LINES = st.lists(
    st.sampled_from(["x = 1", "", "%time f()", "!ls", "# a b", 's = """', "    return", "Text: ü", "%%bash"]),
    max_size=6,
)


@given(sources=st.lists(st.tuples(st.sampled_from(["", " [markdown]"]), LINES), min_size=1, max_size=4))
def test_code_is_read_back_as_it_was(sources: list[tuple[str, list[str]]]) -> None:
    deck = "".join(
        f"# %%{kind}\n" + "".join(f"# {line}\n" if kind else f"{line}\n" for line in lines)
        for kind, lines in sources
        if sum(line.count('"""') for line in lines) % 2 == 0
    )
    if not deck:
        return
    cells = in_language(read_cells(deck, PYTHON), "en")
    again = in_language(read_cells(code_bytes(cells, PYTHON).decode(), PYTHON), "en")
    assert [(cell.kind, cell.source) for cell in again] == [(cell.kind, cell.source) for cell in cells]
