"""Writing one setting leaves everything else in the file as it was."""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest

from clx.errors import SettingsError
from clx.settings.write import set_value, write_text


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "clx" / "config.toml"


@pytest.mark.parametrize(
    ("before", "key", "value", "after"),
    [
        ("", "jobs.lease", 7, "[jobs]\nlease = 7\n"),
        ("# mine\n", "jobs.lease", 7, "# mine\n\n[jobs]\nlease = 7\n"),
        ("[jobs]\nlease = 3 # why\n", "jobs.lease", 7, "[jobs]\nlease = 7 # why\n"),
        ("[jobs]\nlease = '#' # a\n", "jobs.lease", 7, "[jobs]\nlease = 7\n"),
        ("[jobs] # a\nmax_runs = 2\n", "jobs.lease", 7, "[jobs] # a\nlease = 7\nmax_runs = 2\n"),
        ("[ jobs ]\n", "jobs.lease", 7, "[ jobs ]\nlease = 7\n"),
        ("[jobs]\r\nlease = 3\r\n", "jobs.lease", 7, "[jobs]\nlease = 7\n"),
        ("[a]\nx = 1\n", "workers.notebook.count", 2, "[a]\nx = 1\n\n[workers.notebook]\ncount = 2\n"),
        ("jobs.lease = 3\n", "jobs.lease", 7, "[jobs]\nlease = 7\n"),
        ("jobs = {lease = 3, max_runs = 2}\n", "jobs.lease", 7, "[jobs]\nlease = 7\nmax_runs = 2\n"),
        ("[jobs]\nlist = [\n  1, # one\n]\n", "jobs.list", [2], "[jobs]\nlist = [\n    2,\n]\n"),
        ("", "plantuml.jar", 'a "b" \\c', '[plantuml]\njar = "a \\"b\\" \\\\c"\n'),
    ],
)
def test_one_line_is_exchanged_or_added(path: Path, before: str, key: str, value: Any, after: str) -> None:
    if before:
        path.parent.mkdir()
        path.write_text(before, newline="")
    set_value(path, key, value)
    assert path.read_text() == after
    section, _, name = key.rpartition(".")
    found = tomllib.loads(after)
    for part in section.split("."):
        found = found[part]
    assert found[name] == value


def test_a_file_that_is_no_toml_is_not_touched(path: Path) -> None:
    write_text(path, "[jobs\n")
    with pytest.raises(SettingsError, match=r"config\.toml:1"):
        set_value(path, "jobs.lease", 7)
    assert path.read_text() == "[jobs\n"


def test_others_may_not_write_what_was_written_and_nothing_else_is_left(path: Path) -> None:
    before = os.umask(0)
    try:
        write_text(path, "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [each.name for each in path.parent.iterdir()] == ["config.toml"]


@pytest.mark.parametrize(
    ("key", "value"), [("artifacts.token", "clx_x"), ("database.url", "postgresql://clx:secret@db/clx")]
)
def test_nobody_else_may_read_a_file_with_a_secret(path: Path, key: str, value: str) -> None:
    before = os.umask(0)
    try:
        set_value(path, key, value)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        set_value(path, "jobs.lease", 7)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.unlink()
        set_value(path, "jobs.lease", 7)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_file_that_cannot_be_written_says_so_and_leaves_nothing(path: Path) -> None:
    (path / "inside").mkdir(parents=True)
    with pytest.raises(SettingsError, match=r"config\.toml: cannot be written \(Is a directory\)"):
        write_text(path, "x")
    assert [each.name for each in path.parent.iterdir()] == ["config.toml"]
    path.parent.with_name("file").write_text("")
    with pytest.raises(SettingsError, match="cannot be written"):
        set_value(path.parent.with_name("file") / "config.toml", "jobs.lease", 7)
