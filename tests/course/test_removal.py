"""Removing what CLX wrote: by descriptor, never through a link, and only what is there byte for byte."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from clx.course.build_state import PublishedFile
from clx.course.removal import remove_published
from clx.errors import OutputError


@pytest.fixture
def output(tmp_path: Path) -> Path:
    (tmp_path / "output").mkdir()
    return tmp_path / "output"


def written(target: Path, path: str, text: str = "text") -> PublishedFile:
    """A file as CLX wrote it, and its row."""
    full = target / path
    full.parent.mkdir(parents=True, exist_ok=True)
    full.write_text(text)
    return row_of(target, path, text, full)


def row_of(target: Path, path: str, text: str, full: Path) -> PublishedFile:
    found = full.lstat()
    digest = hashlib.sha256(text.encode()).hexdigest()
    return PublishedFile(str(target), path, "", "a", "", "k", digest, found.st_size, found.st_mtime_ns)


def test_a_file_goes_with_the_directories_that_are_empty_then(output: Path) -> None:
    row = written(output, "a/b/c.html")
    written(output, "a/other.html")
    assert remove_published(row, str(output)) == []
    assert sorted(path.relative_to(output).as_posix() for path in output.rglob("*")) == ["a", "a/other.html"]


@pytest.mark.parametrize(("kept", "left"), [(0, []), (1, ["a"]), (2, ["a", "a/b"])])
def test_the_root_stays_and_as_many_directories_below_it_as_was_said(output: Path, kept: int, left: list[str]) -> None:
    assert remove_published(written(output, "a/b/c.html"), str(output), kept_folders=kept) == []
    assert sorted(path.relative_to(output).as_posix() for path in output.rglob("*")) == left


def test_a_file_that_is_gone_is_no_trouble(output: Path) -> None:
    row = written(output, "a/c.html")
    (output / "a/c.html").unlink()
    assert remove_published(row, str(output)) == []
    (output / "a").rmdir()
    assert remove_published(row, str(output)) == []


@pytest.mark.parametrize("change", [{"size": 1}, {"mtime_ns": 1}, {"digest": "0" * 64}])
def test_what_is_not_as_it_was_written_stays(output: Path, change: dict[str, Any]) -> None:
    row = written(output, "a/c.html")
    other = row._replace(**change)
    assert remove_published(other, str(output)) == [str(output / "a/c.html")]
    assert (output / "a/c.html").read_text() == "text"


def test_a_link_in_place_of_the_file_or_on_the_way_is_not_followed(output: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    row = written(precious, "c.html")
    (output / "a").symlink_to(precious)
    (output / "c.html").symlink_to(precious / "c.html")
    for path in ("a/c.html", "c.html"):
        assert remove_published(row._replace(target=str(output), path=path), str(output)) == [str(output / path)]
    assert (precious / "c.html").exists()


@pytest.mark.parametrize("path", ["../precious", "a/../../precious", "./../precious", "a//../../precious"])
def test_a_row_leads_nowhere_but_down(output: Path, tmp_path: Path, path: str) -> None:
    (tmp_path / "precious").write_text("text")
    (output / "a").mkdir()
    row = row_of(output, path, "text", tmp_path / "precious")
    assert remove_published(row, str(output)) == [str(output / path)]
    assert (tmp_path / "precious").exists()


def test_a_target_outside_the_root_is_left_alone(output: Path, tmp_path: Path) -> None:
    row = written(tmp_path / "other", "c.html")
    assert remove_published(row, str(output)) == [str(tmp_path / "other/c.html")]
    assert (tmp_path / "other/c.html").exists()


def test_a_name_that_no_system_takes_is_of_no_file(output: Path) -> None:
    assert remove_published(written(output, "c.html")._replace(path="a\0b"), str(output)) == []


def test_a_file_that_cannot_be_removed_says_so(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = written(output, "c.html")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(OutputError, match=r"c\.html is no longer made but cannot be removed: Permission denied"):
        remove_published(row, str(output))
