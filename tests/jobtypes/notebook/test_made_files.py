"""Files that cells write become part of the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from clx.jobtypes.notebook import made_files
from clx.jobtypes.notebook.made_files import MadeFiles, files_below, with_placeholders

PIXEL = "data:image/png;base64,cGl4ZWw="


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A job's inputs: a deck's directory, with a file from before."""
    (tmp_path / "in" / "deck").mkdir(parents=True)
    (tmp_path / "in" / "deck" / "old.png").write_text("old")
    return tmp_path / "in"


def embedded(place: Path, page: str, refs: list[str], warnings: list[str] | None = None) -> tuple[str, list[str]]:
    """The page once a cell has written files."""
    before = files_below(place)
    for name in ("p.png", "a b.png", "ä&b.png", "old.png"):
        (place / "deck" / name).write_text("pixel")
    (place / "deck" / "out.csv").write_text("a")
    (place / "deck" / "away.png").symlink_to("/etc/passwd")
    (place.parent / "outside.png").write_text("pixel")
    warn = (warnings if warnings is not None else []).append
    return MadeFiles(place, place / "deck", before).embedded(page, refs, warn)


@pytest.mark.parametrize(
    ("page", "refs", "shown"),
    [
        ('<img alt="p" src="p.png">', ["p.png"], f'<img alt="p" src="{PIXEL}">'),
        ("<img src='./p.png'>", ["./p.png"], f'<img src="{PIXEL}">'),
        ('<img src="a%20b.png">', ["a%20b.png"], f'<img src="{PIXEL}">'),
        ('<img src="p.png?1#x">', ["p.png?1#x"], f'<img src="{PIXEL}">'),
        ('<img src="ä&amp;b.png">', ["ä&b.png"], f'<img src="{PIXEL}">'),
        ('<a href="out.csv">', ["out.csv"], '<a download="out.csv" href="data:text/csv;charset=utf-8;base64,YQ==">'),
        ('<img src="p.png"><img src="p.png">', ["p.png"], f'<img src="{PIXEL}"><img src="{PIXEL}">'),
    ],
)
def test_what_a_cell_has_written_is_in_the_page(place: Path, page: str, refs: list[str], shown: str) -> None:
    assert embedded(place, page, refs) == (shown, refs)


@pytest.mark.parametrize("ref", ["old.png", "gone.png", "away.png", "../../outside.png", "", "\0", ".", "#p.png"])
def test_what_was_there_before_or_lies_elsewhere_is_left_alone(place: Path, ref: str) -> None:
    page = f'<img src="{ref}">'
    assert embedded(place, page, [ref]) == (page, [])


def test_an_empty_file_is_warned_of(place: Path) -> None:
    before = files_below(place)
    (place / "deck" / "e.png").touch()
    warnings: list[str] = []
    MadeFiles(place, place / "deck", before).embedded('<img src="e.png">', ["e.png"], warnings.append)
    assert warnings == ["e.png, which a cell writes, is empty"]


def test_a_large_file_is_warned_of(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made_files, "LIMIT", 3)
    warnings: list[str] = []
    assert embedded(place, '<img src="p.png">', ["p.png"], warnings)[1] == []
    assert warnings == ["p.png, which a cell writes, is not shown: it has 0 MB, more than 0"]


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        ('<img src="img/a%20b.png" alt="A &lt;plot&gt;">', "<b>A &lt;plot&gt;</b> Later &amp; so"),
        ("<img width='3' alt='' src='./img/a b.png?1' />", "Later &amp; so"),
        ('<img alt="a > b" src="img/a%20b.png#x">', "<b>a &gt; b</b> Later &amp; so"),
    ],
)
def test_a_picture_that_is_not_written_yet_is_a_box_with_its_text(page: str, shown: str) -> None:
    found = with_placeholders(f"<p>{page}</p>", ["img/a b.png"], "Later & so")
    assert found == f'<p><span class="awaited">{shown}</span></p>'


@pytest.mark.parametrize(
    "page", ['<img src="b.png">', "<img>", '<img src="#">', '<a href="a.png">', "&lt;img src=a.png"]
)
def test_other_pictures_have_no_box(page: str) -> None:
    assert with_placeholders(page, ["a.png"], "Later") == page
