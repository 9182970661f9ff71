"""What is missing is told before the first job starts, and only for what the course needs (REQ-7.4)."""

from __future__ import annotations

import shutil
import types
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.support.scene import Scene
from tests.support.tools import require

from clx.workers.supervision.checks import resource_warnings

DIAGRAM = "@startuml\nAlice -> Bob\n@enduml\n"


def test_missing_tool_is_an_error_before_anything_is_queued(scene: Scene) -> None:
    """REQ-7.4: exit code 3, the tool, for which type, and what to type."""
    require("plantuml")
    scene.decks("one")
    scene.course.write("slides/module_1/topic_100_one/pu/talk.pu", DIAGRAM)
    failed = scene.build(code=3, CLX_PLANTUML__JAR="/nowhere/plantuml.jar")
    assert "plantuml (for plantuml)" in failed.stderr
    assert "/nowhere/plantuml.jar" in failed.stderr
    assert scene.jobs() == []
    assert scene.workers(live=False) == []


def test_tools_of_other_types_do_not_matter(scene: Scene) -> None:
    """REQ-7.4: for the types in use only."""
    scene.decks("one")
    scene.build(CLX_PLANTUML__JAR="/nowhere/plantuml.jar", CLX_DRAWIO__EXECUTABLE="/nowhere/drawio")


def test_missing_engine_is_an_error(scene: Scene) -> None:
    """REQ-7.4: docker mode without a daemon."""
    scene.decks("one")
    failed = scene.build("--workers=docker", code=3, DOCKER_HOST=f"unix://{scene.course.root}/no.sock")
    assert "engine" in failed.stderr.lower()
    assert scene.jobs() == []


def test_services_need_their_tools_too(scene: Scene) -> None:
    """REQ-7.4: and what can be left out can be left out."""
    missing: dict[str, Any] = {"CLX_PLANTUML__JAR": "/nowhere/plantuml.jar"}
    failed = scene.clx("start-services", "--drawio-workers", "0", code=3, **missing)
    assert "plantuml (for plantuml)" in failed.stderr
    scene.clx("start-services", "--drawio-workers", "0", "--plantuml-workers", "0", **missing)
    scene.clx("stop-services")


def test_scarce_memory_and_disk_are_warned_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """REQ-7.4: warnings, for the work may still fit."""
    assert resource_warnings(["notebook"], tmp_path) == []
    scarce: Any = types.SimpleNamespace(available=100 << 20)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: scarce)
    full: Any = types.SimpleNamespace(free=5 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: full)
    memory, disk = resource_warnings(["drawio", "notebook"], tmp_path)
    assert memory.startswith("Only 100 MiB of memory are free; workers for drawio, notebook take about 950 MiB.")
    assert disk.startswith(f"Only 5 MiB of disk are free at {tmp_path}.")
