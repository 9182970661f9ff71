"""How far upwards a project's settings are looked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support.tools import skip_or_fail

from clx.course.topics import find_course_root
from clx.db.of_project import project_root
from clx.errors import CourseError, UntrustedError
from clx.settings.project import project_file, upwards

NOBODY = 65534


def settings(folder: Path) -> Path:
    file = folder / ".clx" / "config.toml"
    file.parent.mkdir(parents=True)
    file.touch()
    return file


@pytest.mark.parametrize("root", ["slides", ".clx"])
def test_the_search_ends_at_the_root_of_the_course_or_project(tmp_path: Path, root: str) -> None:
    """What lies above, where others may be able to write, is not even looked at."""
    settings(tmp_path)
    (tmp_path / "mine" / root / "deep").mkdir(parents=True)
    assert project_file(tmp_path / "mine" / root / "deep") is None
    own = tmp_path / "mine" / ".clx" / "config.toml"
    own.parent.mkdir(exist_ok=True)
    own.touch()
    assert project_file(tmp_path / "mine" / root / "deep") == own


def test_the_courses_of_one_repository_may_share_settings(tmp_path: Path) -> None:
    """Up to the top of the git work tree, not beyond; and not by a ``.git`` that is somebody else's."""
    settings(tmp_path)
    course = tmp_path / "repository" / "courses" / "a"
    (course / "slides").mkdir(parents=True)
    (tmp_path / "repository" / ".git").mkdir()
    assert project_file(course) is None
    shared = settings(tmp_path / "repository")
    assert project_file(course) == shared
    if os.getuid() != 0:
        skip_or_fail("root", "files cannot be given to another user here: that takes root")
    os.chown(tmp_path / "repository" / ".git", NOBODY, NOBODY)
    assert project_file(course) is None


def test_the_search_ends_at_the_home_and_before_what_is_somebody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / "home" / "ada" / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "ada"))
    assert list(upwards(deep)) == [deep, deep.parent, tmp_path / "home" / "ada"]
    monkeypatch.setenv("HOME", "/nowhere")
    assert tmp_path in upwards(deep)
    if os.getuid() != 0:
        skip_or_fail("root", "files cannot be given to another user here: that takes root")
    os.chown(tmp_path / "home" / "ada", NOBODY, NOBODY)
    assert list(upwards(deep)) == [deep, deep.parent]
    os.chown(deep, NOBODY, NOBODY)  # in the other's own tree the search goes on; what is found is judged by itself
    assert tmp_path / "home" / "ada" in upwards(deep)


def test_the_search_ends_at_the_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """As git's does."""
    mounted = Path("/proc/self")
    assert Path("/") not in upwards(mounted)


def test_a_directory_that_dots_leave_again_is_no_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``../course`` typed in another project is not below that project."""
    from clx.settings.resolve import settings_files

    settings(tmp_path / "other")
    (tmp_path / "course" / "slides").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "other")
    assert [kind for kind, _ in settings_files(Path("../course"))] == ["system", "user"]


def test_no_database_is_taken_from_above_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".clx").mkdir()
    home = tmp_path / "ada"
    (home / "work").mkdir(parents=True)
    assert project_root(home / "work") == tmp_path
    monkeypatch.setenv("HOME", str(home))
    assert project_root(home / "work") == home / "work"


def test_slides_above_the_course_file_must_be_ones_own(tmp_path: Path) -> None:
    """Their cells would run. Those beside a course file that was named are as much the author's as the file."""
    spec = tmp_path / "a" / "course.yaml"
    spec.parent.mkdir()
    spec.touch()
    with pytest.raises(CourseError):
        find_course_root(spec)
    (tmp_path / "slides").mkdir()
    assert find_course_root(spec) == tmp_path
    if os.getuid() != 0:
        skip_or_fail("root", "files cannot be given to another user here: that takes root")
    os.chown(tmp_path / "slides", NOBODY, NOBODY)
    with pytest.raises(UntrustedError, match="slides belongs to nobody"):
        find_course_root(spec)
    assert find_course_root(tmp_path / "course.yaml") == tmp_path
