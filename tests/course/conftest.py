"""Fixtures of the course tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.courses import Course


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """An empty course directory."""
    root = tmp_path / "course"
    (root / "slides").mkdir(parents=True)
    return Course(root)
