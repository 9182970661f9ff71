"""A real engine with real worker images, made once per session from this tree."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.course.courses import Course
from tests.docker.machine import Machine
from tests.support import require

from clx.workers.executors.docker_build import make_wheel
from clx.workers.executors.docker_engine import connect

_ROOT = Path(__file__).parents[2]
_ENGINE = _ROOT / ".ci" / "engine"
_BASES = {"notebook": "clx-base:local", "plantuml": "clx-base-tools:local", "drawio": "clx-base-tools:local"}


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An engine that answers: the one that is there, else one that is started for the session."""
    require("docker")
    script = str(_ENGINE / "engine-up.sh")
    mine = subprocess.run(["bash", script, "status"], capture_output=True).returncode != 0
    if mine:
        _run("bash", script)
    yield
    if mine:
        _run("bash", script, "down")


@pytest.fixture(scope="session")
def images(engine: None, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The three worker images, built from this tree on local bases; nothing is done for those that are current."""
    _run("bash", str(_ENGINE / "mkbase.sh"))
    folder = tmp_path_factory.mktemp("images")
    wheel = str(make_wheel(folder))
    requirements = folder / "requirements.txt"
    requirements.write_text("matplotlib\nnumpy\npandas\n", encoding="utf-8")
    for type_, base in _BASES.items():
        extra = ["--requirements", str(requirements)] if type_ == "notebook" else []
        _run(
            sys.executable,
            "-m",
            "clx",
            "docker",
            "build",
            type_,
            "--wheel",
            wheel,
            "--base-image",
            base,
            "--fetch",
            *extra,
        )


@pytest.fixture
def client(engine: None) -> Iterator[Any]:
    """A connection to the engine."""
    with closing(connect()) as found:
        yield found


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
