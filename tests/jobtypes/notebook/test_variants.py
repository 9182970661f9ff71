"""The tag table: which cells appear in which kind, and how."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clx.jobtypes.notebook.cells import Cell
from clx.jobtypes.notebook.markers import KNOWN_TAGS, CellKind
from clx.jobtypes.notebook.variants import (
    AUDIENCES,
    Audience,
    has_secret_code,
    in_language,
    unknown_tags,
    variant,
)


def a_cell(kind: CellKind = "code", *tags: str, source: str = "x = 1", lang: str | None = None, line: int = 1) -> Cell:
    return Cell(kind, source, tags, lang, line)


def shown(cell: Cell, kind: Audience, lang: str = "en") -> str | None:
    """The cell's text in a kind; ``None`` when it is not there."""
    found = variant(in_language([cell], lang), kind, lang)
    return found[0].source if found else None


@pytest.mark.parametrize(
    ("kind", "tags", "code_along", "completed", "speaker"),
    [
        ("markdown", (), "x = 1", "x = 1", "x = 1"),
        ("code", (), "", "x = 1", "x = 1"),
        ("code", ("keep",), "x = 1", "x = 1", "x = 1"),
        ("code", ("start",), "x = 1", None, None),
        ("code", ("alt",), None, "x = 1", "x = 1"),
        ("markdown", ("alt",), None, "x = 1", "x = 1"),
        ("markdown", ("answer",), "*Answer:*", "*Answer:* x = 1", "*Answer:* x = 1"),
        ("markdown", ("notes",), None, None, "x = 1"),
        ("code", ("notes",), None, None, "x = 1"),
        ("markdown", ("private",), None, None, "x = 1"),
        ("code", ("private",), None, None, "x = 1"),
        ("markdown", ("del",), None, None, None),
        ("code", ("del",), None, None, None),
        ("code", ("slide",), "", "x = 1", "x = 1"),
        ("markdown", ("subslide",), "x = 1", "x = 1", "x = 1"),
        # Removal wins over keep.
        ("code", ("keep", "alt"), None, "x = 1", "x = 1"),
        ("code", ("keep", "private"), None, None, "x = 1"),
        ("code", ("del", "keep", "start"), None, None, None),
        ("code", ("start", "alt"), None, None, None),
        ("markdown", ("answer", "alt"), None, "*Answer:* x = 1", "*Answer:* x = 1"),
        ("markdown", ("answer", "notes"), None, None, "*Answer:* x = 1"),
        ("raw", (), "x = 1", "x = 1", "x = 1"),
        ("raw", ("private",), None, None, "x = 1"),
    ],
)
def test_the_table(
    kind: CellKind, tags: tuple[str, ...], code_along: str | None, completed: str | None, speaker: str | None
) -> None:
    cell = a_cell(kind, *tags)
    assert [shown(cell, each) for each in AUDIENCES] == [code_along, completed, speaker]


def test_cells_of_another_language_do_not_appear() -> None:
    cells = [a_cell(lang="de"), a_cell(lang="en"), a_cell()]
    assert len(in_language(cells, "de")) == 2
    assert [cell.number for cell in in_language(cells, "de")] == [1, 2]


@pytest.mark.parametrize(
    ("text", "lang", "expected"),
    [
        ("Weil", "de", "*Antwort:* Weil"),
        ("Because", "en", "*Answer:* Because"),
        ("Parce que", "fr", "*Réponse:* Parce que"),
        ("Fordi", "da", "*Answer:* Fordi"),
        ("- a\n- b", "en", "*Answer:*\n\n- a\n- b"),
        ("1. a", "en", "*Answer:*\n\n1. a"),
        ("```python\nx\n```", "en", "*Answer:*\n\n```python\nx\n```"),
        ("*Answer:* given", "en", "*Answer:* given"),
        ("", "en", "*Answer:*"),
    ],
)
def test_answers_start_with_their_prefix(text: str, lang: str, expected: str) -> None:
    assert shown(a_cell("markdown", "answer", source=text), "completed", lang) == expected


_TAGS = st.sampled_from(
    [(), ("keep",), ("start",), ("alt",), ("answer",), ("notes",), ("private",), ("del",), ("alt", "keep")]
)
_DECKS = st.lists(st.tuples(st.sampled_from(["code", "markdown", "raw"]), st.sampled_from(["a", "b", "c"]), _TAGS))


def test_ids_agree_across_kinds() -> None:
    cells = in_language([a_cell(source="a"), a_cell(source="b"), a_cell("markdown", "answer")], "en")
    ids = [[cell.id for cell in variant(cells, kind, "en")] for kind in AUDIENCES]
    assert ids[0] == ids[1] == ids[2]
    assert len(set(ids[0])) == 3


@given(_DECKS)
def test_whatever_a_deck_holds_its_ids_agree_across_kinds(found: list[tuple[CellKind, str, tuple[str, ...]]]) -> None:
    cells = in_language([Cell(kind, source, tags, None, 1) for kind, source, tags in found], "en")
    ids = [{cell.number: cell.id for cell in variant(cells, kind, "en")} for kind in AUDIENCES]
    for one in ids:
        for other in ids:
            assert {one[number] == other[number] for number in one.keys() & other.keys()} <= {True}


def test_an_id_does_not_depend_on_other_cells() -> None:
    alone = in_language([a_cell("code", "keep", source="a")], "en")[0].id
    among = in_language([a_cell(source="new"), a_cell("code", "keep", source="a"), a_cell(source="z")], "en")[1].id
    assert alone == among


def test_the_id_of_an_emptied_cell_stays_when_something_is_put_in_far_above_it() -> None:
    deck = [a_cell("markdown", source="exercise"), a_cell(source="solution"), a_cell(source="another")]
    longer = [a_cell("markdown", source="new"), a_cell(source="more"), *deck]
    assert [cell.id for cell in in_language(deck, "en")] == [cell.id for cell in in_language(longer, "en")][2:]


@given(_DECKS, st.sampled_from(["a", "b", "x"]))
def test_no_public_file_shows_by_its_ids_what_it_does_not_show_as_text(
    found: list[tuple[CellKind, str, tuple[str, ...]]], other: str
) -> None:
    cells = [Cell(kind, source, tags, None, 1) for kind, source, tags in found]

    def files(kind: Audience, cells: list[Cell]) -> list[tuple[str, str]]:
        return [(cell.id, cell.source) for cell in variant(in_language(cells, "en"), kind, "en")]

    for i, cell in enumerate(cells):
        changed = [*cells[:i], Cell(cell.kind, other, cell.tags, None, 1), *cells[i + 1 :]]
        for kind in ("code-along", "completed"):
            shows = [source for _, source in files(kind, changed)] != [source for _, source in files(kind, cells)]
            if not shows and "start" not in cell.tags:
                assert files(kind, changed) == files(kind, cells)


@given(
    st.lists(st.tuples(st.sampled_from(["code", "markdown", "raw"]), st.sampled_from(["", "a", "b"]), st.booleans()))
)
def test_ids_are_unique_valid_and_blind_to_secrets(found: list[tuple[CellKind, str, bool]]) -> None:
    cells = [Cell(kind, source, ("private",) if secret else (), None, 1) for kind, source, secret in found]
    ids = [cell.id for cell in in_language(cells, "en")]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", identity) for identity in ids)
    public = [cell for cell in cells if not cell.tags]
    without = [cell.id for cell in in_language(public, "en")]
    assert [identity for identity, cell in zip(ids, cells, strict=True) if not cell.tags] == without


def test_slide_types() -> None:
    tags = [("slide",), ("subslide",), ("notes",), ("notes", "slide"), ()]
    cells = in_language([a_cell("markdown", *each) for each in tags], "en")
    assert [cell.slide_type for cell in cells] == ["slide", "subslide", "notes", "notes", ""]


def test_secret_code_is_what_the_speaker_would_run_and_students_would_not() -> None:
    def secret(*tags: str, kind: CellKind = "code", source: str = "x") -> bool:
        return has_secret_code(in_language([a_cell(kind, *tags, source=source)], "en"))

    assert secret("private")
    assert secret("notes", "keep")
    assert not secret("keep")
    assert not secret("private", kind="markdown")
    assert not secret("private", "del")
    assert not secret("private", source="  \n")


def test_unknown_tags_are_found_once_with_their_first_line() -> None:
    cells = [
        a_cell("code", *sorted(KNOWN_TAGS)),
        a_cell("code", "demo", line=5),
        a_cell("code", "demo", "xyzzy", line=9, lang="de"),
    ]
    assert unknown_tags(cells) == {"demo": 5, "xyzzy": 9}
