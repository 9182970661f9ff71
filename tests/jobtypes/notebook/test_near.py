"""What was meant as the marker of a hidden cell is never text of a public one, however it is written."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from clx.errors import ConversionError
from clx.jobtypes.notebook.cells import read_cells
from clx.jobtypes.notebook.deck import PROG_LANG
from clx.jobtypes.notebook.markers import near_hidden
from clx.jobtypes.notebook.near import near_marker

PYTHON = PROG_LANG["python"]
INVISIBLE = ["\ufeff", "\u200b", "\u2060", "\u00ad", "\u200e", "\u180e", "\x00", "\x08"]
NEAR = [
    '# % % tags=["private"]',
    '# % tags=["private"]',
    '# %%Title tags=["private"]',
    "# % % private",
    "# %%%private",
    '# + tags=["private"]',
    '# +tags=["private"]',
    '# + lang="de" tags=["notes", "slide"]',
    '# + {"tags": ["private"]}',
    '# + slideshow={"slide_type": "notes"}',
    '# region tags=["private"]',
    '# #region tags=["private"]',
    "#| tags: [private]",
    "#| tags: private",
    "//| tags: [private]",
    '# <codecell tags="private">',
    "# <markdowncell> private",
    '<codecell> tags=["private"]',
    '# In[1]: tags=["private"]',
    '# markdown tags=["private"]',
    '# [markdown] tags=["private"]',
    '# cell_tags=["private"]',
    '# tags=["private"]',
    '+++ {"tags": ["private"]}',
    ':tags: ["private"]',
    '// %% tags=["private"]',
    "#|   - private",
    "//| - 'notes'",
    "``` {.python .private}",
    '> ```python tags=["private"]',
    '- ```python tags=["private"]',
    '1. ~~~python tags=["private"]',
    '-- %% tags=["private"]',
    '<!-- #region tags=["private"] -->',
    '<!-- region tags=["private"] -->',
    '```python tags=["private"]',
    '## %% tags=["private"]',
    '# ## % % tags=["private"]',
    '# % % tags=["privat"]',
    '# % % tags=["PRIVATE"]',
    '# % % Tags=["priv"]',
    '# ％％ tags=["private"]',
    *(f'{sign}# %% tags=["private"]' for sign in INVISIBLE),
    *(f'#{sign} %% tags=["private"]' for sign in INVISIBLE),
    *(f'# %{sign}% tags=["private"]' for sign in INVISIBLE),
]


@pytest.mark.parametrize("line", NEAR)
@pytest.mark.parametrize("public", ["# %%\nx = 1", "# %% [markdown]\n# text", "# %% tags=['keep']"])
def test_a_line_that_looks_like_the_marker_of_a_hidden_cell_is_one_or_an_error(line: str, public: str) -> None:
    with pytest.raises(ConversionError, match="would be published") as caught:
        read_cells(f'{public}\n\n{line}\npassword = "Zebra"\n', PYTHON)
    assert caught.value.line == public.count("\n") + 3


@pytest.mark.parametrize("line", [each for each in NEAR if "region" not in each and "```" not in each])
def test_so_it_is_in_markdown_decks(line: str) -> None:
    with pytest.raises(ConversionError, match="would be published") as caught:
        read_cells(f"# Title\n\n{line}\nZebra\n", PYTHON, is_markdown=True)
    assert caught.value.line == 3


@pytest.mark.parametrize(
    "line",
    [
        ' <!-- #region tags=["private"] -->',
        '<!-- #Region tags=["private"] -->',
        '<!-- region tags=["private"] -->',
        '<!-- # region tags=["private"] -->',
        '<!-- #region tags=["private"]',
        '<!-- #cell tags=["private"] -->',
        '\ufeff<!-- #region tags=["private"] -->',
        '``` python tags=["private"',
        "# | tags: [private]",
        "# | - private",
        '```{code-cell} python tags=["private"]',
        '> <!-- #region tags=["private"] -->',
        'words <!-- #region tags=["private"] -->',
        '~~~python tags=["private"]',
        ' ```python tags=["private"]',
    ],
)
def test_near_regions_and_fences_of_markdown_decks_are_errors(line: str) -> None:
    with pytest.raises(ConversionError) as caught:
        read_cells(f"# Title\n\n{line}\nZebra\n", PYTHON, is_markdown=True)
    assert caught.value.line == 3


@pytest.mark.parametrize(
    "marker",
    [
        '# %% {"metadata": {"tags": ["private"]}}',
        '# %% jupyter={"tags": ["private"]}',
        '# %% cell_tags=["private"]',
        '# %% slide_type="notes"',
        '# %% slide_type="skip"',
        "# %% private=true",
        "# %% [markdown] notes=1",
        '# %%{"metadata": {"tags": ["private"]}}',
    ],
)
def test_an_attribute_that_hides_the_cell_elsewhere_is_an_error(marker: str) -> None:
    with pytest.raises(ConversionError, match=r"hides no cell here") as caught:
        read_cells(f"# %%\nx\n\n{marker}\nsecret\n", PYTHON)
    assert caught.value.line == 4
    assert caught.value.next_step.startswith("Write tags=[")


@pytest.mark.parametrize(
    "tag",
    [
        *("Private", "PRIVATE", "priv", "privat", "private-cell", "private_cell", "privateCell", "Private cell"),
        *(
            "private1",
            "speaker-notes",
            "note",
            "Notes!",
            "my.notes",
            "DEL",
            "del-me",
            "deleted",
            "delete",
            "delte",
            "dlete",
            "priv\u200bate",
            "no\u200btes",
            "pri\u00advate",
            "d\u200bel",
            "prív\u0301ate",
        ),
    ],
)
def test_a_tag_that_is_nearly_one_that_hides_is_an_error(tag: str) -> None:
    with pytest.raises(ConversionError, match="unknown tag"):
        read_cells(f'# %% tags=["{tag}"]\nx\n', PYTHON)
    with pytest.raises(ConversionError, match="unknown tag"):
        read_cells(f'```python tags=["{tag}"]\nx\n```\n', PYTHON, is_markdown=True)


def test_other_tags_are_not_near() -> None:
    for tag in (
        "delta",
        "notebook",
        "model",
        "hide-input",
        "remove_cell",
        "note-book",
        "exercise",
        "delphi",
        "pri",
        "délta",
    ):
        assert (near_hidden(tag) is None) == (tag != "note-book"), tag


@pytest.mark.parametrize(
    ("marker", "kind", "respelt"),
    [
        ('# %%{"tags": ["private", "keep"]}', "code", '%% {"tags": ["private", "keep"]}'),
        ('#%%markdown tags=["private", "keep"]', "markdown", '%% [markdown] tags=["private", "keep"]'),
        ('# %%, tags=["private", "keep"]', "code", '%% tags=["private", "keep"]'),
        ('#%%tags=["private", "keep"]', "code", '%% tags=["private", "keep"]'),
        ('# %%[md] tags=["private", "keep"]', "markdown", '%% [md] tags=["private", "keep"]'),
    ],
)
def test_a_marker_whose_meaning_is_plain_is_one_and_told(marker: str, kind: str, respelt: str) -> None:
    _, cell = read_cells(f"# %%\nx\n{marker}\n# secret\n", PYTHON)
    assert (cell.kind, cell.tags, cell.respelt) == (kind, ("private", "keep"), respelt)
    right = read_cells(f"# {respelt}\n# secret\n", PYTHON)[0]
    assert (right.kind, right.tags, right.source, right.respelt) == (cell.kind, cell.tags, cell.source, "")


@pytest.mark.parametrize("blank", ["\u00a0", "\x0c", "\x0b", "\u3000", "\t"])
def test_odd_blanks_are_blanks(blank: str) -> None:
    for marker in (f'{blank}# %% tags=["private"]', f'#{blank}%% tags=["private"]', f'# %%{blank}tags=["private"]'):
        assert read_cells(f"# %%\nx\n{marker}\nsecret\n", PYTHON)[1].tags == ("private",)


@pytest.mark.parametrize(
    "line",
    [
        "# %%timeit",
        "# %%bash",
        "# %%html",
        "%%time",
        "# %matplotlib inline",
        "# 50 % of the tags are private",
        "# + a bullet about private tags",
        "# - tags: private and public ones",
        "# # Tags: notes and more",
        "# | tag | private |",
        "# | tags=[private] | removed |",
        "# private = 1",
        "# Notes",
        "# del x",
        "#region Private",
        "# region Private methods",
        "# endregion",
        'tags = ["private"]',
        '    "tags": ["private"],',
        '{"tags": ["private"]}',
        'f(tags=["private"])',
        "x % tags[private]",
        "# see `tags=['private']`",
        "# The cell is marked with tags=['private']",
        '# {"id": 1, "tags": ["private"]}',
        "# ```python",
        "<div class='tags private'>",
        "<!-- private notes -->",
        "# raw data: notes",
        "#| - a list",
        "``` {.python .numbered}",
        "> quoted, with private tags: a=1",
        "# code that is private",
    ],
)
def test_ordinary_lines_are_left_alone(line: str) -> None:
    assert near_marker(line) is None


def test_what_a_string_or_fence_shows_is_text() -> None:
    text = 'deck = """\n# % tags=["private"]\n# + tags=["notes"]\n"""'
    assert [cell.source for cell in read_cells(text, PYTHON)] == [text]
    text = '# %% [markdown]\n# ```\n# % tags=["private"]\n# ```\n# text\n'
    assert len(read_cells(text, PYTHON)) == 1


def test_hidden_cells_may_hold_whatever_they_like() -> None:
    text = '# %% tags=["private"]\n' + "\n".join(NEAR[:5])
    assert [cell.tags for cell in read_cells(text, PYTHON)] == [("private",)]


def test_no_line_of_the_standard_library_or_the_example_is_near() -> None:
    library = Path(sysconfig.get_path("stdlib"))
    examples = Path(__file__).parents[3] / "examples"
    paths = [*library.glob("*.py"), *library.glob("asyncio/*.py"), *library.glob("email/*.py")]
    found = [
        f"{path}: {line}"
        for path in paths
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n")
        if near_marker(line)
    ]
    assert found == []
    for path in examples.rglob("slides_*"):
        for line in path.read_text(encoding="utf-8").split("\n"):
            assert near_marker(line) is None or "%% " in line or "<!-- #region" in line, line
