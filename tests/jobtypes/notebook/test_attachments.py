"""What is attached to a cell is part of its page, and of its notebook if it is named there."""

from __future__ import annotations

import json

import pytest

from clx.jobtypes.notebook.attachments import embedded, named_in
from clx.jobtypes.notebook.cells import read_cells
from clx.jobtypes.notebook.deck import PROG_LANG
from clx.jobtypes.notebook.notebook_format import notebook_bytes
from clx.jobtypes.notebook.variants import in_language

PICTURE = {"a b.png": {"image/png": "aGk="}}


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<img src="attachment:a%20b.png" alt="">', '<img src="data:image/png;base64,aGk=" alt="">'),
        ("<a href='attachment:a b.png'>", '<a href="data:image/png;base64,aGk=">'),
        ("<p>attachment:a b.png</p>", "<p>attachment:a b.png</p>"),
    ],
)
def test_attachments_stand_in_the_page(html: str, found: str) -> None:
    assert embedded(html, PICTURE, pytest.fail) == found


@pytest.mark.parametrize(
    "attachments",
    [{}, {"x.png": "no bundle"}, {"x.png": {"image/png": "no base64!"}}, {"x.png": {'"><b>': "aGk="}}],
)
def test_what_is_not_there_or_cannot_be_read_is_told_and_left(attachments: dict[str, object]) -> None:
    told: list[str] = []
    html = '<img src="attachment:x.png">'
    assert embedded(html, attachments, told.append) == html
    assert told == ["x.png"]


def test_only_what_a_text_names_is_kept() -> None:
    assert named_in("![](attachment:a%20b.png)", {**PICTURE, "other.png": {}}) == PICTURE
    assert named_in("![](a b.png)", PICTURE) == {}


@pytest.mark.parametrize("text", [json.dumps(PICTURE), json.dumps(PICTURE).replace('": ', '":')])
def test_text_decks_have_attachments_in_their_markers(text: str) -> None:
    deck = f"# %% [markdown] attachments={text}\n# ![](<attachment:a b.png>)\n\n# %%\n1\n"
    first, second = in_language(read_cells(deck, PROG_LANG["python"]), "en")
    assert (first.attachments, second.attachments) == (PICTURE, {})
    cells = json.loads(notebook_bytes([first, second], PROG_LANG["python"]))["cells"]
    assert [cell.get("attachments") for cell in cells] == [PICTURE, None]
