"""What the page for developers says of the tree is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import clx

_SOURCES = Path(clx.__file__).parent
_PAGE = (Path(__file__).parents[2] / "docs" / "development.md").read_text(encoding="utf-8")
_TABLE = _PAGE.partition("## Where to look")[2].partition("\n## ")[0]
_PLACES = re.findall(r"`([\w/]+\.py)`(?:: `([\w.]+)`)?", _TABLE)


def test_twenty_behaviours_are_named() -> None:
    """The table is there and is read."""
    assert len(_TABLE.splitlines()) >= 22
    assert len(_PLACES) >= 20


@pytest.mark.parametrize(("file", "name"), _PLACES)
def test_each_file_and_name_of_the_table_is_there(file: str, name: str) -> None:
    """A newcomer who follows the table arrives."""
    text = (_SOURCES / file).read_text(encoding="utf-8")
    for part in name.split(".") if name else ():
        assert re.search(rf"\b{part}\b", text), f"{part} in {file}"


def test_every_room_is_drawn() -> None:
    """A directory of modules that the picture leaves out could not be found by it."""
    rooms = {path.name for path in _SOURCES.iterdir() if (path / "__init__.py").exists()}
    drawn = set(re.findall(r"^ +(\w+)/(?: |$)", _PAGE, re.MULTILINE))
    assert rooms <= drawn, rooms - drawn
