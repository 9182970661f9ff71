"""Who may enter the state directory."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clx import Queue
from clx.db.database import Database
from clx.db.state import StateDirectory


@pytest.fixture(params=[0o000, 0o022, 0o002])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("database", ["course/.clx/jobs.db", "jobs.db"])
def test_it_is_nobody_elses_whatever_the_umask(tmp_path: Path, umask: int, database: str) -> None:
    """Whoever comes first makes it: a program that opens a queue, or a build before there is a database."""
    made: tuple[Callable[[Path], None], ...] = (
        lambda path: Queue.open(path).close(),
        lambda path: StateDirectory.of(path).prepare(),
    )
    for number, make in enumerate(made):
        folder = tmp_path / str(number)
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
        path = folder / database
        make(path)
        assert mode(path.parent if path.parent.name == ".clx" else path.parent / ".clx") == 0o700


def test_a_mode_that_somebody_chose_stays(tmp_path: Path) -> None:
    state = tmp_path / ".clx"
    state.mkdir()
    for chosen in (0o2770, 0o755, 0o777):
        state.chmod(chosen)
        Database.open(state / "jobs.db").close()
        StateDirectory.of(state / "jobs.db").prepare()
        assert mode(state) == chosen


@pytest.mark.parametrize(("directory", "expected"), [(0o777, 0o777), (0o1777, 0o700), (0o755, 0o700)])
def test_users_who_share_a_database_share_what_lies_beside_it(tmp_path: Path, directory: int, expected: int) -> None:
    """As SQLite gives its own files beside a database the database's mode; in /tmp nobody shares anything."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(directory)
    Queue.open(folder / "jobs.db").close()
    assert mode(folder / ".clx") == expected
    course = folder / "course"
    course.mkdir()
    course.chmod(directory)
    Queue.open(course / ".clx" / "jobs.db").close()  # a project's own is never shared by accident
    assert mode(course / ".clx") == 0o700
