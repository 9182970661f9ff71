"""Which lake a folder is, and that it is the same one again after its folder was removed."""

from __future__ import annotations

from pathlib import Path
from shutil import rmtree

import pytest

from clx.daily.marks import MARK, known_mark, mark_at


def test_it_is_remembered_of_the_place(tmp_path: Path) -> None:
    lake, shared = tmp_path / "lake", tmp_path / "shared"
    assert known_mark(lake, shared) is None
    assert list(tmp_path.iterdir()) == [], "a look makes nothing"
    made = mark_at(lake, shared)
    assert (known_mark(lake, shared), mark_at(lake, shared)) == (made, made)
    rmtree(lake)
    assert (known_mark(lake, shared), known_mark(lake, None)) == (made, None)
    assert not lake.exists()
    assert mark_at(lake, shared) == made
    assert (lake / MARK).read_text() == made


def test_another_folder_is_another_lake(tmp_path: Path) -> None:
    lake, shared = tmp_path / "lake", tmp_path / "shared"
    marks = {mark_at(lake, shared), mark_at(tmp_path / "other", shared)}
    assert len(marks) == 2
    (tmp_path / "link").symlink_to(lake)
    assert mark_at(tmp_path / "link", shared) in marks


def test_the_mark_in_the_folder_counts_for_more(tmp_path: Path) -> None:
    lake, shared = tmp_path / "lake", tmp_path / "shared"
    mark_at(lake, shared)
    rmtree(lake)
    lake.mkdir()
    (lake / MARK).write_text("0123456789abcdef")
    assert known_mark(lake, shared) == mark_at(lake, shared) == "0123456789abcdef"
    rmtree(lake)
    assert known_mark(lake, shared) == "0123456789abcdef"


def test_where_nothing_can_be_remembered_it_is_made_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "shared").write_text("no folder")
    assert mark_at(tmp_path / "lake", tmp_path / "shared") == known_mark(tmp_path / "lake", tmp_path / "shared")
    with pytest.raises(OSError, match="Not a directory"):
        mark_at(tmp_path / "shared" / "lake", tmp_path / "shared")
