"""Markdown decks: which blocks are cells, and what their options mean."""

from __future__ import annotations

import jupytext
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clx.errors import ConversionError
from clx.jobtypes.notebook.cells import Cell, read_cells
from clx.jobtypes.notebook.deck import PROG_LANG
from clx.jobtypes.notebook.header import header_of
from clx.jobtypes.notebook.markdown import read_markdown

PYTHON = PROG_LANG["python"]


def cells(text: str, language: str = "python") -> list[Cell]:
    return read_cells(text, PROG_LANG[language], is_markdown=True)


def code(text: str, language: str = "python") -> list[tuple[str, tuple[str, ...]]]:
    return [(cell.source, cell.tags) for cell in cells(text, language) if cell.kind == "code"]


@pytest.mark.parametrize(
    ("opens", "tags"),
    [
        ("```python", ()),
        ("``` python", ()),
        ("````python", ()),
        ("```py", ()),
        ("```ipython3", ()),
        ('```python tags=["private"]', ("private",)),
        ('```python {"tags": ["private"]}', ("private",)),
        ("```{python}", ()),
        ('```{python tags=["private"]}', ("private",)),
        ("```{python, echo=FALSE, tags=['private', 'keep']}", ("private", "keep", "remove-input")),
        ("```{python plot, eval=FALSE}", ("skip-execution",)),
        ('```python slideshow={"slide_type": "skip"}', ("del",)),
        ("```{code-cell}", ()),
        ("```{code-cell} ipython3", ()),
    ],
)
def test_a_block_in_the_decks_language_is_a_cell(opens: str, tags: tuple[str, ...]) -> None:
    closes = opens[: len(opens) - len(opens.lstrip("`"))]
    assert code(f"# T\n\n{opens}\nx = 1\n{closes}\n\nText\n") == [("x = 1", tags)]


@pytest.mark.parametrize(
    "opens",
    [
        *(
            "```bash",
            "```html",
            "```javascript",
            "```sql",
            "```r",
            "```ruby",
            "```",
            "```text",
            "```{bash}",
            "~~~python",
        ),
        *(
            "```python .noeval",
            "```python {.norun}",
            "```{python .no-run}",
            "```{.python}",
            " ```python",
            "```pythonic",
        ),
        *("```python-repl", "```{note}", "```{r}", "````{python3000}"),
    ],
)
def test_all_others_are_shown(opens: str) -> None:
    signs = opens.strip()
    closes = signs[: len(signs) - len(signs.lstrip("`~"))]
    block = f"{opens}\nx = 1\n{closes}"
    found = cells(f"Before\n\n{block}\n\nBehind\n")
    assert [(cell.kind, cell.source) for cell in found] == [("markdown", f"Before\n\n{block}\n\nBehind")]


def test_the_language_is_the_courses_and_not_the_most_frequent_one() -> None:
    text = "# Git\n\n```bash\necho one\n```\n\n```bash\necho two\n```\n\n```python\n1 + 1\n```\n"
    assert code(text) == [("1 + 1", ())]
    assert code("```c++\nint x;\n```\n\n```python\n1\n```\n\n```python\n2\n```\n", "cpp") == [("int x;", ())]


@pytest.mark.parametrize(
    "header",
    [
        "kernelspec: {name: ir, display_name: R, language: R}",
        "jupyter:\n  kernelspec:\n    language: julia",
        "jupyter:\n  jupytext:\n    main_language: bash",
    ],
)
def test_a_deck_in_a_language_that_the_course_is_not_in_is_an_error(header: str) -> None:
    with pytest.raises(ConversionError, match="but the course is in python"):
        cells(f"---\n{header}\n---\n\n# T\n")


@pytest.mark.parametrize(
    ("options", "tags"),
    [
        (":tags: [keep, hide-input]\n", ("keep", "hide-input")),
        (':tags: ["private"]\n:other: 1\n', ("private",)),
        ("---\ntags: [private]\nmystnb:\n  image: {width: 1}\n---\n", ("private",)),
        ("---\ntags:\n  - private\n---\n", ("private",)),
        (":tags: keep\n", ("keep",)),
        ("", ()),
    ],
)
def test_options_of_myst_are_options(options: str, tags: tuple[str, ...]) -> None:
    [cell] = cells(f"```{{code-cell}} ipython3\n{options}\nx = 1\n```\n")
    assert (cell.kind, cell.source, cell.tags) == ("code", "x = 1", tags)
    assert cell.line == options.count("\n") + 3


def test_breaks_of_myst_begin_a_cell() -> None:
    text = (
        '# T\n\n+++ {"slideshow": {"slide_type": "notes"}}\n\nfor me\n\n\nalso\n\n+++\n\npublic\n\n'
        '+++ {"tags": ["private"]}\nhidden\n\n```{code-cell}\n1\n```\nbehind\n'
    )
    assert [(cell.source, cell.tags, cell.line) for cell in cells(text)] == [
        ("# T", (), 1),
        ("for me\n\n\nalso", ("notes",), 5),
        ("public", (), 12),
        ("hidden", ("private",), 15),
        ("1", (), 18),
        ("behind", (), 20),
    ]
    with pytest.raises(ConversionError, match="looks like the marker"):
        cells('# T\n\n+++ {"tags": ["private"]}\n\nno MyST\n')


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("```{code-cell}\n:tags: [Private]\nx\n```\n", "unknown tag"),
        ("```{code-cell}\n:tags: [a\nx\n```\n", "no YAML"),
        ("```{code-cell}\n:tag: [private]\nx\n```\n", "unknown cell attribute"),
        ("```{python tag=['private']}\nx\n```\n", "unknown cell attribute"),
        ("```{python private}\nx\n```\n", "no attribute"),
        ('```bash tags=["private"]\nx\n```\n', "looks like the marker"),
    ],
)
def test_options_that_cannot_be_read_are_errors(text: str, fact: str) -> None:
    with pytest.raises(ConversionError, match=fact):
        cells(f"# T\n\n{text}")


def test_a_block_that_is_left_open_goes_to_the_end() -> None:
    assert [(cell.kind, cell.source) for cell in cells("a\n\n```python\nx\n\n\ny\n")] == [
        ("markdown", "a"),
        ("code", "x\n\n\ny"),
    ]


@pytest.mark.parametrize("text", ["---\n\nText\n", "---\nText\n---\n\nmore\n", "---\n- a\n---\n"])
def test_rules_on_top_are_no_header(text: str) -> None:
    assert header_of(text) == ({}, 0)
    assert "".join(cell.source for cell in cells(text)).startswith("---")


def test_a_header_is_no_cell_and_told_where_it_is_wrong() -> None:
    assert header_of("---\ntitle: x\n---\na\n") == ({"title": "x"}, 3)
    assert [cell.source for cell in cells("---\n---\na\n")] == ["a"]
    with pytest.raises(ConversionError, match="YAML block") as caught:
        cells("---\ntitle: a: b\n---\n\nText\n")
    assert caught.value.line == 2


BLOCKS = st.sampled_from(
    [
        "",
        "",
        "Text\nmore",
        "# Head",
        "- a\n\n  b",
        "| b |",
        "```python\nx\n\n\ny\n```",
        "```text\ny\n```",
        "> q",
        "~~~\nz\n~~~",
    ]
)


@given(blocks=st.lists(BLOCKS, max_size=9))
def test_text_and_code_are_split_as_jupytext_splits_them(blocks: list[str]) -> None:
    text = "\n".join(["```python\n1\n```", *blocks])
    problems: list[ConversionError] = []
    found = [(cell.kind, cell.source) for cell in read_markdown(text, PYTHON, problems)]
    read = [(cell.cell_type, str(cell.source).strip("\n")) for cell in jupytext.reads(text, fmt="md").cells]
    assert found == [each for each in read if each[1]]
    assert not problems


def test_a_cell_of_myst_in_another_language_is_shown() -> None:
    text = "```{code-cell} bash\n:tags: [keep]\n\nrm -r x\n```\n\n```{code-cell} python3\n1\n```\n"
    assert [(cell.kind, cell.source) for cell in cells(text)] == [
        ("markdown", "```bash\nrm -r x\n```"),
        ("code", "1"),
    ]


@pytest.mark.parametrize("options", [":tags: [private]\n", "---\ntags:\n  - private\n---\n"])
def test_a_hidden_cell_of_myst_in_another_language_stays_hidden(options: str) -> None:
    [cell] = cells(f"```{{code-cell}} bash\n{options}secret\n```\n")
    assert (cell.kind, cell.source, cell.tags) == ("markdown", "```bash\nsecret\n```", ("private",))
