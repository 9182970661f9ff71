"""Fixtures of the worker tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.courses import Course
from tests.support.scene import IN_CONTAINERS, Scene


@pytest.fixture
def mode(request: pytest.FixtureRequest) -> str:
    """How workers are run: ``direct``, or what :data:`tests.support.scene.BOTH` says."""
    return str(getattr(request, "param", "direct"))


@pytest.fixture
def scene(
    mode: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    """A project without a course yet; everything that still runs in it afterwards is killed."""
    client: Any = None
    if mode == "docker":
        request.getfixturevalue("images")
        client = request.getfixturevalue("client")
        for name, value in IN_CONTAINERS.items():
            monkeypatch.setenv(name, value)
    root = tmp_path / "project"
    (root / "slides").mkdir(parents=True)
    folder = root / ".clx" if client is None else root / ".clx" / "shared"
    found = Scene(Course(root), folder / "jobs.db", client)
    yield found
    found.end()
