"""Blocks that other tools hide: cells of their own in Markdown decks, mistakes elsewhere."""

from __future__ import annotations

import pytest

from clx.errors import ConversionError
from clx.jobtypes.notebook.cells import read_cells
from clx.jobtypes.notebook.deck import PROG_LANG
from clx.jobtypes.notebook.hidden_blocks import hidden_in_text, hiding_tag

PYTHON = PROG_LANG["python"]


@pytest.mark.parametrize(
    ("line", "tag"),
    [
        ("::: notes", "notes"),
        (":::notes", "notes"),
        (":::{.notes}", "notes"),
        ("::: {.notes} :::", "notes"),
        (":::: {.Notes #a}", "notes"),
        ('::: {#a .fragment .notes title="x"}', "notes"),
        ('::: {class="notes wide"}', "notes"),
        ("> ::: {.notes}", "notes"),
        ("- ::: {.private}", "private"),
        ("::: {.hidden}", "del"),
        ("::: {.content-hidden}", "del"),
        ('::: {.content-hidden when-format="pdf"}', None),
        ("::: {.columns}", None),
        ('::: {.callout-note title="my .notes"}', None),
        (":::{note}", None),
        ("::: {.notes-list}", None),
        (":::", None),
        ("notes", None),
    ],
)
def test_what_opens_a_hidden_block(line: str, tag: str | None) -> None:
    assert hiding_tag(line) == tag


def test_in_a_markdown_deck_it_is_a_cell() -> None:
    inside = "secret\n\n\n:::: {.columns}\nmore\n::::\n```\n:::\n```\nlast"
    text = f"# A\n\n::: {{.notes}}\n{inside}\n:::\n\npublic\n\n::: notes\nother\n:::\n"
    cells = read_cells(text, PYTHON, is_markdown=True)
    assert [(cell.tags, cell.source.split("\n")[0]) for cell in cells] == [
        ((), "# A"),
        (("notes",), "secret"),
        ((), "public"),
        (("notes",), "other"),
    ]
    assert cells[1].source.endswith("last")


def test_nested_in_another_block_it_is_a_cell_too() -> None:
    text = ":::: {.columns}\na\n::: {.notes}\nsecret\n:::\nb\n::::\n"
    cells = read_cells(text, PYTHON, is_markdown=True)
    assert [cell.source for cell in cells if "notes" not in cell.tags] == [":::: {.columns}\na", "b\n::::"]


@pytest.mark.parametrize(
    "text",
    [
        "a\n\n::: notes\nsecret\n",
        '::: notes\n<!-- #region tags=["private"] -->\nx\n:::\ny\n<!-- #endregion -->\n',
    ],
)
def test_one_that_does_not_end_is_told(text: str) -> None:
    with pytest.raises(ConversionError, match="has no end"):
        read_cells(text, PYTHON, is_markdown=True)


@pytest.mark.parametrize(
    ("text", "is_markdown", "line"),
    [
        ("# %% [markdown]\n#\n# a\n# ::: {.notes}\n# secret\n# :::\n", False, 4),
        ('# %% [markdown]\n# <aside class="notes">secret</aside>\n', False, 2),
        ("# %% [raw]\n# ::: notes\n", False, 2),
        ('a\n\n<aside class="notes">\nsecret\n</aside>\n', True, 3),
        ("a\n\n- ::: notes\n  secret\n  :::\n", True, 3),
        ("<!-- #region a -->\n::: notes\nx\n:::\n<!-- #endregion -->\n", True, 2),
    ],
)
def test_elsewhere_it_is_a_mistake(text: str, is_markdown: bool, line: int) -> None:
    with pytest.raises(ConversionError, match="would be published") as error:
        read_cells(text, PYTHON, is_markdown=is_markdown)
    assert error.value.line == line
    assert 'tags=["notes"]' in error.value.next_step


def test_what_is_shown_or_hidden_already_is_none() -> None:
    assert not list(hidden_in_text('```\n::: notes\n```\n<p class="notes-list">'))
    shown = '# %% [markdown]\n# ```\n# ::: {.notes}\n# ```\n\n# %% [markdown] tags=["private"]\n# ::: notes\n'
    assert len(read_cells(shown, PYTHON)) == 2
