"""``clx check``: the real command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.courses import Course, clx, tree


def test_mistakes_are_told_with_what_to_do_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "slides").mkdir()
    course = Course(tmp_path)
    course.deck("values", "# %% tags=[\n")
    course.spec("values")
    before = tree(tmp_path)
    done = clx("check", str(tmp_path / "course.yaml"))
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout.startswith("Error: slides/module_1/topic_100_values/slides_values.py:1: ")
    assert done.stdout.endswith("\n1 mistake, 0 warnings.\n")
    found = json.loads(clx("check", str(tmp_path / "course.yaml"), "--format", "json").stdout)
    assert {*found} == {"exit_code", "decks", "jobs", "mistakes", "warnings", "hints"}
    assert (found["exit_code"], len(found["mistakes"])) == (2, 1)
    assert tree(tmp_path) == before


def test_a_new_course_is_clean(tmp_path: Path) -> None:
    assert clx("new", str(tmp_path / "course")).returncode == 0
    done = clx("check", str(tmp_path / "course/course.yaml"))
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("0 mistakes, 0 warnings.\n")


@pytest.mark.parametrize("command", ["build", "check", "import", "new"])
def test_a_command_without_what_it_needs_says_so(command: str) -> None:
    done = clx(command)
    assert done.returncode == 2
    assert "Error: Missing argument" in done.stderr
    assert f"Try 'clx {command} --help'" in done.stderr
