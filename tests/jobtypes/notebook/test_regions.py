"""Regions of Markdown decks are counted: what stands in a hidden one is hidden to its own end."""

from __future__ import annotations

import pytest

from clx.errors import ConversionError
from clx.jobtypes.notebook.cells import Cell, read_cells
from clx.jobtypes.notebook.deck import PROG_LANG

PRIVATE = '<!-- #region tags=["private"] -->'
END = "<!-- #endregion -->"


def cells(text: str) -> list[Cell]:
    return read_cells(text, PROG_LANG["python"], is_markdown=True)


def public(text: str) -> str:
    return "\n".join(cell.source for cell in cells(text) if "private" not in cell.tags)


@pytest.mark.parametrize(
    "inside",
    [
        f"<!-- #region -->\nx\n{END}",
        f"<!-- #region Part one -->\nx\n{END}\n\n\n<!-- #region -->\n{END}",
        f"<!-- #region a -->\n<!-- #region b -->\nx\n{END}\n{END}",
        "<!-- #md -->\nx\n<!-- #endmd -->",
        "```python\nx\n```",
        f"```\n<!-- #region -->\nx\n{END}\n```",
        f"```\n{END}\n```",
        f"~~~text\n{END}\n~~~\n\n```\nx\n```",
        "```\nan open block",
        "~~~\nanother",
    ],
)
def test_a_region_ends_at_its_own_end(inside: str) -> None:
    text = f"Public\n\n{PRIVATE}\nMine\n{inside}\nZebra\n{END}\n\nBehind\n"
    assert public(text) == "Public\nBehind"
    [hidden] = [cell for cell in cells(text) if "private" in cell.tags]
    assert "Mine" in hidden.source
    assert hidden.source.endswith("Zebra")
    assert (hidden.line, cells(text)[-1].line) == (4, text.split("\n").index("Behind") + 1)


def test_regions_in_public_regions_are_one_cell() -> None:
    text = f"<!-- #region lang='de' -->\na\n<!-- #region More -->\nb\n{END}\nc\n{END}\nd\n"
    assert [(cell.source, cell.lang) for cell in cells(text)] == [("a\n\nb\n\nc", "de"), ("d", None)]


@pytest.mark.parametrize(
    ("text", "line", "fact"),
    [
        (f"a\n\n{PRIVATE}\nx\n", 3, "no end"),
        (f"a\n\n{PRIVATE}\nx\n<!-- #region -->\ny\n{END}\nZebra\n", 3, "no end"),
        (f"a\n\n{PRIVATE}\nx\n{END}\nZebra\n{END}\n", 7, "ends nothing"),
        (f"{END}\na\n", 1, "ends nothing"),
        (f"a\n{PRIVATE}\nx\n<!-- #endmd -->\nb\n{END}\n", 4, "has to end"),
        (f"a\n<!-- #region -->\n{PRIVATE}\nZebra\n{END}\nb\n{END}\n", 3, "no cell"),
        (f"a\n<!-- #region -->\n<!-- #region {{'tags': ['private']}} -->\nZebra\n{END}\nb\n{END}\n", 3, "no cell"),
        (f"a\n<!-- #region -->\n<!-- #region private -->\nZebra\n{END}\nb\n{END}\n", 3, "private"),
        (f"a\n\n```\n{PRIVATE}\nZebra\n{END}\n", 4, "would be published"),
        (f"a\n\n```\n{PRIVATE}\nZebra\n{END}\n```\n", 4, "would be published"),
        (f"a\n\n~~~\n{PRIVATE}\nZebra\n{END}\n~~~\n", 4, "would be published"),
        (
            f"a\n\n<!-- #region -->\nx\n{END} \n<!-- #endregion x -->\n\n{PRIVATE}\nx\n<!-- #endRegion -->\n",
            8,
            "no end",
        ),
    ],
)
def test_regions_that_do_not_match_are_errors_with_their_line(text: str, line: int, fact: str) -> None:
    with pytest.raises(ConversionError, match=fact) as caught:
        cells(text)
    assert caught.value.line == line


def test_what_a_fenced_block_shows_is_text() -> None:
    text = f"a\n\n```text\n<!-- #region -->\nx\n{END}\n{END}\n```\n\nb\n"
    assert [cell.source for cell in cells(text)] == [text.strip()]


def test_cells_of_the_same_text_have_lines_of_their_own() -> None:
    text = f"{PRIVATE}\nSame\n{END}\n\nSame\n\n\n<!-- #region -->\nSame\n{END}\n\n```python\nSame\n```\n"
    assert [cell.line for cell in cells(text)] == [2, 5, 9, 13]


def test_many_regions_are_read_in_linear_time() -> None:
    nested = "<!-- #region -->\n" * 5_000 + "x\n" + f"{END}\n" * 5_000
    assert public(f"a\n\n{PRIVATE}\n{nested}{END}\n") == "a"
