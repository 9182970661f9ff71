"""Fixtures of the container tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.course.courses import Course
from tests.docker.machine import Machine


@pytest.fixture
def machine(images: None, client: Any, tmp_path: Path) -> Iterator[Machine]:
    """The engine with a place for a course; after the test nothing of CLX may be left in it."""
    found = Machine(client, tmp_path)
    before = found.left()
    yield found
    found.end_processes()
    found.wait_until(lambda: found.left() == before, "containers or networks are left", seconds=15)


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """An empty course with one section and one topic."""
    return Course(tmp_path / "course")


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CLX_DOCKER")]:
        monkeypatch.delenv(name)
