"""Fixtures of the course tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.courses import Course

from clx.course.build_state import BuildState
from clx.db.jobs import Queue


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """An empty course directory."""
    root = tmp_path / "course"
    (root / "slides").mkdir(parents=True)
    return Course(root)


@pytest.fixture
def queue() -> Iterator[Queue]:
    """An empty job table in memory."""
    with Queue.open("memory:") as queue:
        yield queue


@pytest.fixture
def state(queue: Queue) -> BuildState:
    """What an empty job table remembers: nothing."""
    return BuildState(queue.database)


@pytest.fixture
def two(course: Course) -> Course:
    """Two topics; each test writes the first."""
    course.deck("one", "# %% [markdown]\n# # One\n")
    course.deck("two")
    course.spec("one", "two")
    return course
