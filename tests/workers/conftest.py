"""Fixtures of the worker tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.course.courses import Course
from tests.workers.scene import Scene


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A project without a course yet; everything that still runs in it afterwards is killed."""
    root = tmp_path / "project"
    (root / "slides").mkdir(parents=True)
    found = Scene(Course(root), root / ".clx" / "jobs.db")
    yield found
    found.end()
